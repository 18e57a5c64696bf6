"""What the faults that raise a resource alarm share: the broker's own word is the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence

Said = Callable[[Fault, Evidence, Evidence, ConcurrentFaults], Iterator[str]]


def looks(_: Fault) -> tuple[str, ...]:
    """An alarm shows in what the brokers say."""
    return ("alarms",)


def raised(sights: Evidence, node: str, resource: str) -> bool | None:
    """Return whether a node tells of an alarm of its own; None when it could not be asked."""
    told = sights["alarms"].get(node)
    return None if told is None else any(resource in text and node in text for text in told)


def doubts(resource: str) -> Said:
    """Return what yields the nodes without that alarm, or with it even before."""

    def yielded(
        fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults
    ) -> Iterator[str]:
        for node in fault.nodes:
            if raised(before, node, resource) is not False:
                yield f"{node} had a {resource} alarm, or could not be asked, even before"
            if not raised(during, node, resource):
                yield f"{node} tells of no {resource} alarm"

    return yielded


def leftovers(resource: str) -> Said:
    """Return what yields the nodes that still have that alarm."""

    def yielded(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
        for node in fault.nodes:
            if raised(after, node, resource) is not False:
                yield f"{node} still has a {resource} alarm, or cannot be asked"

    return yielded
