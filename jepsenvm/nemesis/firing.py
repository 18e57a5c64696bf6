"""Fires the actions of a fault on all its nodes at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.machines.action import Action
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.fire import argv, fire
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import heal_all
from jepsenvm.nemesis.clock import Clock
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts

LEAD_S: Final = 1.0
"""Seconds between staging a fault on the nodes and the instant it fires."""

ACT_TIMEOUT_S: Final = 130.0
"""Seconds that the actions of a node may take."""


@dataclass(frozen=True)
class Firing:
    """Sends the actions of faults to the nodes.

    Each node stages its actions as processes and starts them at the instant by its own clock. SSH
    alone would spread the nodes over 100 ms.
    """

    fleet: Fleet
    facts: Mapping[str, Facts]
    clock: Clock

    @property
    def lead(self) -> float:
        """Seconds before the instant at which the nodes must get their orders."""
        return LEAD_S * self.fleet.patience

    @property
    def hosts(self) -> Hosts:
        """The hosts as faults need them."""
        return {node: facts.host for node, facts in self.facts.items()}

    def inject(
        self, number: int, fault: Fault, at: float | None, before: Evidence
    ) -> dict[str, float]:
        """Inject a fault at an instant (wall clock; at once if None).

        Each affected node keeps a note of the fault, with the evidence from before it, until it is
        healed. Return the time at which each had acted, on this machine's clock.
        """
        actions = {node: fault.inject(str(number), node, self.hosts) for node in self.facts}
        instant = self._prepare(actions, at)
        note = {"number": number, "fault": fault.as_data(), "since": instant, "before": before}
        return self._fire(number, actions, instant, note=note)

    def heal(self, number: int, fault: Fault, at: float | None) -> dict[str, float]:
        """Heal a fault at an instant; each node then removes its note."""
        actions = {node: fault.heal(str(number), node, self.hosts) for node in self.facts}
        return self._fire(number, actions, self._prepare(actions, at), note=None)

    def _prepare(self, actions: Mapping[str, Sequence[Action]], at: float | None) -> float:
        """Prepare the affected nodes; return the instant at which they fire."""
        hosts = self.hosts
        self.fleet.script_each(
            {node: heal_all.prepare(hosts[node]) for node, todo in actions.items() if todo}
        )
        # Only now, because preparing takes time over SSH. A node that gets its order after the
        # instant fires late, and the nodes no longer act together.
        return max(at or 0.0, self.clock.time() + self.lead)

    def _fire(
        self,
        number: int,
        actions: Mapping[str, Sequence[Action]],
        instant: float,
        *,
        note: Mapping[str, Any] | None,
    ) -> dict[str, float]:
        affected = {node: todo for node, todo in actions.items() if todo}
        orders = {
            node: {
                "at": instant + self.facts[node].clock_offset,
                "actions": [
                    {"argv": argv(action, self.fleet.nodes[node].python), "stdin": action.stdin}
                    for action in todo
                ],
                "id": str(number),
                "note": note,
                "forget": note is None,
                "timeout": ACT_TIMEOUT_S * self.fleet.patience,
            }
            for node, todo in affected.items()
        }
        answers = fire(self.fleet, orders, LEAD_S + ACT_TIMEOUT_S + 10)
        return {
            node: answer["fired"] - self.facts[node].clock_offset
            for node, answer in answers.items()
        }
