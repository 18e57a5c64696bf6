"""Power cut: a host is switched off without warning, from outside, and switched on again to heal."""

from __future__ import annotations

from collections.abc import Iterator

from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Kind


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the hosts that answered not even before, or still answer."""
    yield from (
        f"{node} did not answer even before" for node in fault.nodes if not before["hosts"][node]
    )
    yield from (f"{node} still answers" for node in fault.nodes if during["hosts"][node])


def leftovers(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
    """Yield the hosts that do not answer again."""
    yield from (f"{node} does not answer" for node in fault.nodes if not after["hosts"][node])


KIND = Kind(
    lambda *_: (),  # nobody on the host itself can do it
    lambda *_: (),
    lambda _: ("hosts",),
    doubts,
    leftovers,
    needs=lambda _: ("power",),
    heals_s=120.0,
    from_outside=True,
)
