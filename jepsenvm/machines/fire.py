"""Firing: the actions of a fault are staged on all its nodes, and act on all of them at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jepsenvm.machines.action import Action
from jepsenvm.machines.ssh import Fleet, source


def fire(fleet: Fleet, orders: Mapping[str, Mapping[str, Any]], timeout: float) -> dict[str, Any]:
    """Send every node its order (see ``onnode.fire``), all at once; return the answers by node.

    Raises like Fleet.run for the first node that failed, after all have ended.
    """
    return fleet.each(
        lambda node: fleet.python(node, "fire", orders[node], timeout=timeout), list(orders)
    )


def argv(action: Action, python: Sequence[str] = ("python3",)) -> list[str]:
    """Return the command that a node, whose Python that is, starts for an action."""
    if action.program is None:
        return list(action.argv)
    return [*python, "-c", source(action.program), *action.argv]
