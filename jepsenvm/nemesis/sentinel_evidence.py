"""Evidence of the probe `sentinels`: what a host kept and lost of what RabbitMQ's disk had."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from jepsenvm.nemesis.fault import Evidence

PROBE: Final = "sentinels"

PROGRAM: Final = "power_loss"
"""The program of ``machines.remote`` that writes the sentinels."""

ENDANGERS_S: Final = 5.0
"""Seconds in which a write that nobody synced may not be on the disk. ext4 commits every 5 s."""


def not_read_before(nodes: Collection[str], before: Evidence) -> Iterator[str]:
    """Yield a reason for each node whose sentinels were not read before the fault."""
    for node in nodes:
        if not before[PROBE].get(node):
            yield f"the disk of {node} was not read before the fault"


def not_lost(nodes: Collection[str], before: Evidence, after: Evidence) -> Iterator[str]:
    """Yield each reason why a node is not proven to have lost exactly what was not synced."""
    yield from not_read_before(nodes, before)
    for node in nodes:
        earlier, now = before[PROBE].get(node), after[PROBE].get(node)
        if not now:
            yield f"the disk of {node} could not be read"
        elif earlier:
            yield from (f"{node} {problem}" for problem in _problems(earlier, now))


def _problems(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    synced, unsynced = now["synced"], now["unsynced"]
    # A power loss before this one may have left its files.
    if not synced or not synced.endswith("\n") or synced == earlier["synced"]:
        yield "lost a file that was synced"
    # The kernel may commit the name of a file some seconds before its content.
    if unsynced:
        yield "kept a file that was not synced: it lost nothing"
    if now["own"] is not earlier["own"]:
        yield "has RabbitMQ's data on another file system than before"
    if now["writable"] is not True:
        yield "cannot write to the file system of RabbitMQ's data"
