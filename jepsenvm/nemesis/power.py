"""Power cuts: the machine provider switches hosts off and on, because no host can do it itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jepsenvm.errors import RunError
from jepsenvm.machines.power import Power
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.clock import Clock


@dataclass(frozen=True)
class PowerSwitch:
    """Switches the hosts of a fleet; ``power`` is None if the provider cannot."""

    fleet: Fleet
    power: Power | None
    clock: Clock

    def cut(
        self, nodes: Sequence[str], at: float | None, silence: float, *, unsynced: bool = False
    ) -> dict[str, float]:
        """Cut the power of nodes at an instant (wall clock; at once if None).

        With ``unsynced``, what RabbitMQ had not synced is lost too. Return the time at which each
        was off. A watchdog restores the power ``silence`` seconds
        after this process has ended. Raise RunError if the provider cannot switch hosts.
        """
        power = self._require_power()
        turn_off = power.lose if unsynced else power.cut

        def cut(node: str) -> float:
            turn_off(node, silence)
            self.fleet.forget(node)
            return self.clock.time()

        self.clock.sleep_until(at or 0.0)
        return self.fleet.each(cut, nodes)

    def restore(self, nodes: Sequence[str], at: float | None) -> dict[str, float]:
        """Switch nodes on at an instant; return the time at which each was on."""
        power = self._require_power()

        def restore(node: str) -> float:
            power.on(node)
            self.fleet.forget(node)
            return self.clock.time()

        self.clock.sleep_until(at or 0.0)
        return self.fleet.each(restore, nodes)

    def restore_all(self, nodes: Collection[str]) -> list[str]:
        """Switch nodes on one after the other; return the problems. One never stops the others."""
        if self.power is None:
            return []  # no power was cut
        problems = []
        for node in nodes:
            try:
                self.restore([node], None)
            except Exception as problem:
                problems.append(str(problem))
        return problems

    def _require_power(self) -> Power:
        if self.power is None:
            raise RunError("the machine provider cannot switch these hosts off and on")
        return self.power
