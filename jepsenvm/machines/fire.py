"""Firing: actions are staged on all nodes of a fault, and all nodes act at the same instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jepsenvm.machines.action import Action
from jepsenvm.machines.remote_source import source
from jepsenvm.machines.ssh import Fleet


def fire(
    fleet: Fleet, orders: Mapping[str, Mapping[str, Any]], timeout: float
) -> dict[str, float | Exception]:
    """Send each node its order (``machines.remote.fire``) at the same time.

    Return the time by its reference clock at which each had acted, or its error. ``timeout`` is in
    seconds. A node without an answer delays no other node.
    """
    return fleet.each_or_error(
        lambda node: float(fleet.python(node, "fire", orders[node], timeout=timeout)["fired"]),
        list(orders),
    )


def argv(action: Action, python: Sequence[str] = ("python3",)) -> list[str]:
    """Return the command of an action on a node; ``python`` is the node's Python."""
    if action.program is None:
        return list(action.argv)
    return [*python, "-c", source(action.program), *action.argv]
