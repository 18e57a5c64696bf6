"""Firing: actions are staged on all nodes of a fault, and all nodes act at the same instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jepsenvm.machines.action import Action
from jepsenvm.machines.remote_source import source
from jepsenvm.machines.rendezvous import Rendezvous, start_together
from jepsenvm.machines.ssh import Fleet


def fire(
    fleet: Fleet,
    orders: Mapping[str, Mapping[str, Any]],
    rendezvous: Rendezvous,
    *,
    wait_s: float,
    timeout: float,
) -> dict[str, float | Exception]:
    """Send each node its order (``machines.remote.fire``); all act at the same instant.

    Return the time by its reference clock at which each had acted, or its error. The nodes wait for
    each other for up to ``wait_s`` seconds. ``timeout`` is in seconds.
    """
    return start_together(fleet, "fire", orders, rendezvous, _fired, wait_s=wait_s, timeout=timeout)


def _fired(answer: Any) -> float:
    return float(answer["fired"])


def argv(action: Action, python: Sequence[str] = ("python3",)) -> list[str]:
    """Return the command of an action on a node; ``python`` is the node's Python."""
    if action.program is None:
        return list(action.argv)
    return [*python, "-c", source(action.program), *action.argv]
