"""The faults in force, by number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault


@dataclass(frozen=True)
class ActiveFault:
    """A fault in force."""

    fault: Fault
    before: Evidence
    """The evidence from before the fault."""
    seen: bool = False
    """Whether it was probed at a moment at which no other fault hid it."""


@dataclass
class ActiveFaults:
    """The faults in force. Several threads use it; each operation is one step."""

    _faults: dict[int, ActiveFault] = field(default_factory=dict)

    def __contains__(self, number: int) -> bool:
        return number in self._faults

    def __getitem__(self, number: int) -> ActiveFault:
        return self._faults[number]

    def __setitem__(self, number: int, active: ActiveFault) -> None:
        self._faults[number] = active

    def numbers(self) -> Collection[int]:
        """Return the numbers of all faults in force, in order."""
        return sorted(self._faults.copy())

    def remove(self, number: int) -> None:
        """Forget a fault, if it is in force."""
        self._faults.pop(number, None)

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def concurrent_with(self, number: int) -> ConcurrentFaults:
        """Return the effects of all other faults on the evidence about one."""
        # A copy, because another thread may add or remove a fault meanwhile.
        faults = list(self._faults.items())
        return ConcurrentFaults.union(
            active.fault.hides() for other, active in faults if other != number
        )

    def powered_off(self) -> frozenset[str]:
        """Return the nodes that a fault has powered off."""
        faults = [active.fault for active in list(self._faults.values())]
        return frozenset(node for fault in faults if fault.powers_off for node in fault.nodes)
