"""Fires the actions of a fault on all its nodes at one instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from jepsenvm.errors import RunError
from jepsenvm.machines.action import Action
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.fire import argv, fire
from jepsenvm.machines.rendezvous import NOTICE_S, Rendezvous
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import heal_all
from jepsenvm.nemesis.clock import Clock
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts

LEAD_S: Final = 1.0
"""Seconds between staging a fault on the nodes and the instant it fires, if the nodes are quick."""

READY_S: Final = 30.0
"""Seconds that nodes may take to stage an injection. A late node cancels it on all nodes."""

HEALING_WAIT_S: Final = 3.0
"""Seconds that a healing waits for late nodes before the others heal."""

ACT_TIMEOUT_S: Final = 130.0
"""Seconds that the actions of a node may take."""

STALE_S: Final = 30.0
"""Seconds after the instant of a fault at which a node no longer obeys its order.

A host that was frozen may read its order only after everything was healed.
"""

_Answers = Mapping[str, float | Exception]


@dataclass(frozen=True)
class Firing:
    """Sends the actions of faults to the nodes.

    Each node stages its actions as processes, says that it is ready, and lets them act at the
    instant by its own clock. SSH alone would spread the nodes over 100 ms.
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
        healed. Return the time at which each had acted, on this machine's clock. When all have
        answered, raise the error of the first that failed. Nothing acts if a node could not be
        staged in time. Raise RunError if no node has anything to do: nothing would happen, and no
        probe would find a difference.
        """
        actions = {node: fault.inject(str(number), node, self.hosts) for node in self.facts}
        if not any(actions.values()):
            raise RunError(f"{fault.describe()} affects no node and no link")
        self._prepare(actions)
        note = {"number": number, "fault": fault.as_data(), "before": before}
        answers = self._fire(number, actions, at, note=note)
        errors = [answer for answer in answers.values() if isinstance(answer, Exception)]
        if errors:
            raise errors[0]
        return self._times(answers)

    def heal(
        self, number: int, fault: Fault, at: float | None, off: Collection[str] = ()
    ) -> tuple[dict[str, float], list[str]]:
        """Heal a fault at an instant; each node then removes its note.

        Nodes that are ``off`` cannot act, and a host loses its packet filter rules and its
        processes with its power. The end of the nemesis heals the rest.

        Return the time at which each node had acted, and the errors of the others. A late node
        heals late.
        """
        actions = {
            node: fault.heal(str(number), node, self.hosts)
            for node in self.facts
            if node not in off
        }
        answers = self._fire(number, actions, at, note=None)
        errors = [str(answer) for answer in answers.values() if isinstance(answer, Exception)]
        return self._times(answers), errors

    def _prepare(self, actions: Mapping[str, Sequence[Action]]) -> None:
        hosts = self.hosts
        self.fleet.script_each(
            {node: heal_all.prepare(hosts[node]) for node, todo in actions.items() if todo}
        )

    def _instant(self, at: float | None) -> float:
        """Return an instant that the nodes can still be told."""
        return max(at or 0.0, self.clock.time() + NOTICE_S * self.fleet.patience)

    def _times(self, answers: _Answers) -> dict[str, float]:
        return {
            node: fired - self.facts[node].clock_offset
            for node, fired in answers.items()
            if not isinstance(fired, Exception)
        }

    def _fire(
        self,
        number: int,
        actions: Mapping[str, Sequence[Action]],
        at: float | None,
        *,
        note: Mapping[str, Any] | None,
    ) -> _Answers:
        patience = self.fleet.patience
        orders = {
            node: {
                "actions": [
                    {"argv": argv(action, self.fleet.nodes[node].python), "stdin": action.stdin}
                    for action in todo
                ],
                "id": str(number),
                "note": note,
                "forget": note is None,
                "timeout": ACT_TIMEOUT_S * patience,
                # It is never too late to heal.
                "stale-after": None if note is None else STALE_S * patience,
            }
            for node, todo in actions.items()
            if todo
        }
        wait_s = HEALING_WAIT_S if note is None else READY_S
        rendezvous = Rendezvous(
            {node: self.facts[node].clock_offset for node in orders},
            partial(self._instant, at),
            needs_all=note is not None,
        )
        return fire(
            self.fleet, orders, rendezvous, wait_s=wait_s, timeout=READY_S + ACT_TIMEOUT_S + 10
        )
