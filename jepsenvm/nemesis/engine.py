"""The nemesis engine: injects faults, verifies them, heals them, and records every phase."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from jepsenvm.errors import MALFORMED, JepsenvmError, RunError, shown
from jepsenvm.history.nemesis_records import (
    AFTER,
    BEFORE,
    DURING,
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    START,
    STOP,
    VIEW,
)
from jepsenvm.machines.facts import Facts, facts
from jepsenvm.machines.power import Power
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import heal_all, probes
from jepsenvm.nemesis.acting import Acting
from jepsenvm.nemesis.active import ActiveFault, ActiveFaults
from jepsenvm.nemesis.clock import Clock
from jepsenvm.nemesis.evidence import EvidenceCollector, Observation, Probe, summary
from jepsenvm.nemesis.fault import Evidence, Fault
from jepsenvm.nemesis.firing import ACT_TIMEOUT_S, Firing
from jepsenvm.nemesis.heartbeat import Heartbeat
from jepsenvm.nemesis.manual import FIRST_NUMBER
from jepsenvm.nemesis.power import PowerSwitch
from jepsenvm.nemesis.records import FaultRecord, Recorder
from jepsenvm.nemesis.registry import fault_from_data
from jepsenvm.nemesis.status import in_force
from jepsenvm.rabbitmq.node_names import learn_names

logger = logging.getLogger(__name__)

AHEAD_S: Final = 4.0
"""Seconds before its instant at which a fault, or its healing, should begin: probing takes time."""

PROBE_S: Final = 1.5
"""Seconds that probes take. At a fault's end they are repeated only if there is time."""

END_S: Final = 15.0
"""Seconds that the end waits for nodes that act, before it heals the others anyway."""

HIDDEN: Final = "other faults hid it each time it was probed"


@dataclass(frozen=True)
class Healing:
    """The healing of a fault that is not verified yet."""

    active: ActiveFault
    fired: Mapping[str, float]
    """When each node had healed."""
    problems: Sequence[str]
    """Why nodes could not be healed."""


class Nemesis:
    """Injects and heals faults. All methods block, and any thread may call them."""

    def __init__(  # noqa: PLR0913 - four of them are optional
        self,
        fleet: Fleet,
        facts: Mapping[str, Facts],
        record: Recorder,
        longest_fault: float,
        queue: str | None = None,
        power: Power | None = None,
        *,
        views: bool = False,
        probe: Probe | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to break a fleet; ``record`` keeps every phase of every fault.

        ``longest_fault`` is in seconds. ``queue`` is the queue whose leader some faults need.
        ``power`` switches the hosts. ``views`` also records what the brokers report around each
        fault. Tests replace ``probe`` and ``clock``.
        """
        self._fleet = fleet
        self._facts = facts
        self._record = record
        self._queue = queue
        self._views = views
        self._clock = clock or Clock()
        self._probe = probe or self._probe_cluster
        self._active = ActiveFaults()
        self._evidence = EvidenceCollector(self._probe, self._active, self._clock)
        self._firing = Firing(fleet, facts, self._clock)
        self._heartbeat = Heartbeat(fleet, longest_fault)
        self._switch = PowerSwitch(fleet, power, self._clock)
        # A cancelled run may still have a fault in its staging: it must not fire after everything
        # was healed.
        self._acting = Acting()
        self._unseen: dict[int, Healing] = {}
        # Asking the brokers takes seconds, most of all under a fault. No fault waits for it.
        self._viewers = ThreadPoolExecutor(1, "view")

    @property
    def ahead(self) -> float:
        """Seconds before its instant at which ``inject`` or ``heal`` should be called."""
        return AHEAD_S * self._fleet.patience

    @property
    def longest_fault(self) -> float:
        """Seconds that the longest fault lasts; it decides when silent nodes heal themselves."""
        return self._heartbeat.longest_fault

    @longest_fault.setter
    def longest_fault(self, seconds: float) -> None:
        self._heartbeat.longest_fault = seconds

    def prepare(self) -> None:
        """Arm the healing timer of every node, before the first fault."""
        self._heartbeat.arm()

    def renew(self) -> None:
        """Renew the healing timers. Call it more often than a node's silence may last."""
        with self._acting.begin() as allowed:
            if allowed:
                self._heartbeat.renew(self._active.powered_off())

    def hurry(self) -> None:
        """Probe only once from now on: the user does not want to wait."""
        self._evidence.hurried.set()

    def end(self) -> list[str]:
        """Heal everything and stop the timers, for good; return what could not be healed.

        A node that still acts, or does not answer, delays the healing of no other node.
        """
        self._acting.end()
        rest = (ACT_TIMEOUT_S + END_S) * self._fleet.patience
        idle = self._acting.wait(END_S * self._fleet.patience)
        problems = self._heal_everything()
        if not idle and self._acting.wait(rest):
            # The nodes that acted meanwhile may have been healed too early.
            problems = self._heal_everything()
        self._active.clear()
        # Only now: a broker may take seconds to answer, and healing must not wait for it.
        self._viewers.shutdown(cancel_futures=True)
        return problems

    def _heal_everything(self) -> list[str]:
        off = self._active.powered_off()
        problems: list[str] = []

        def restore(node: str) -> None:
            if node in off:
                problems.extend(self._switch.restore_all([node]))

        answers = heal_everything(self._fleet, restore)
        return problems + [
            str(answer) for answer in answers.values() if isinstance(answer, Exception)
        ]

    def adopt(self, record: FaultRecord) -> None:
        """Take over a fault of another process: it counts as concurrent, and is healed."""
        if record.phase == IN_FORCE:
            before = record.proof.get(BEFORE, {})
            self._active[record.number] = ActiveFault(fault_from_data(record.fault), before)
        if record.phase == HEALED:
            self._active.remove(record.number)

    def heal_by_hand(self) -> None:
        """Heal the faults by hand that are still in force, and verify that they are gone."""
        for number in self._active.numbers():
            if number >= FIRST_NUMBER:
                self.heal(number)
        self.settle()

    def inject(self, number: int, fault: Fault, at: float | None = None) -> None:
        """Inject a fault on all its nodes at one instant, and verify that it is in force.

        ``at`` is on the wall clock; None is at once. A fault that cannot be injected is recorded.
        """
        try:
            fault = self._resolve_role(fault)
            self._view(BEFORE, number, fault)
            before = self._evidence.before(number, fault, (at or 0.0) - self._firing.lead)
            fired = self._injected(number, fault, before, at)
        except JepsenvmError as problem:
            error = f"could not be injected: {problem}"
            self._note(START, IN_FORCE, number, fault, error=error)
            logger.info(f"fault {number}: {error}")
            return
        if fired is not None:
            self._verify_injected(number, fault, before, fired)

    def heal(self, number: int, at: float | None = None) -> None:
        """Verify that a fault is still in force, heal it at one instant, verify that it is gone.

        If other faults hide it, ``seen_healed`` and ``settle`` look again.
        """
        if number not in self._active:
            return
        active = self._active[number]
        self._verify_lasted(number, active, at)
        fired, problems = self._healed(number, active.fault, at)
        self._view(AFTER, number, active.fault)
        self._verify_healed(number, Healing(active, fired, problems))

    def seen_healed(self, number: int) -> bool:
        """Return whether the healing of a fault is verified, or found to have failed.

        If other faults hid it, look again as soon as they do not.
        """
        healing = self._unseen.get(number)
        if healing is None:
            return True
        if self._is_hidden(number, healing.active.fault):
            return False
        self._verify_healed(number, self._unseen.pop(number))
        return number not in self._unseen

    def settle(self) -> None:
        """Look a last time at the healings that other faults hid."""
        for number in sorted(self._unseen):
            self._verify_healed(number, self._unseen.pop(number), last=True)

    # The steps of an injection.

    def _resolve_role(self, fault: Fault) -> Fault:
        """Return the fault with its role replaced by the nodes that have it at this moment."""
        if fault.role is None:
            return fault
        queue = self._probe(["queue"])["queue"]
        if not queue or not queue["leader"]:
            raise RunError("the queue's leader is unknown")
        resolved = fault.resolve(queue["leader"], queue["members"])
        return replace(resolved, settings={**resolved.settings, "queue": self._queue or ""})

    def _injected(
        self, number: int, fault: Fault, before: Evidence, at: float | None
    ) -> Mapping[str, float] | None:
        """Return the time at which each node had acted; None if the nemesis has ended meanwhile."""
        self._wait_for(at)
        with self._acting.begin() as allowed:
            if not allowed:
                return None
            self._note(START, INJECT, number, fault)
            # In force from here on: a node may have acted even if the firing fails.
            self._active[number] = ActiveFault(fault, before)
            if not fault.powers_off:
                return self._firing.inject(number, fault, at, before)
            if fault.loses_unsynced:
                self._firing.inject(number, fault, at, before)
                at = None  # the cut follows at once
            silence = self._heartbeat.silence
            return self._switch.cut(fault.nodes, at, silence, unsynced=fault.loses_unsynced)

    def _verify_injected(
        self, number: int, fault: Fault, before: Evidence, fired: Mapping[str, float]
    ) -> None:
        self._view(DURING, number, fault)
        timeout = fault.settles_s * self._fleet.patience
        seen = self._evidence.observe(number, fault, type(fault).verify_active, before, timeout)
        problems = list(seen.problems)
        if seen.hidden and not fault.lasting:
            problems.append(HIDDEN)
        if number in self._active:  # unless everything was healed meanwhile
            self._active[number] = ActiveFault(fault, before, seen=not seen.hidden)
        record = self._note(
            START,
            IN_FORCE,
            number,
            fault,
            proof={BEFORE: before, DURING: seen.evidence},
            error="; ".join(problems) or None,
            fired=fired,
        )
        logger.info(
            f"fault {number}: {fault.describe()} in force, skew {record.skew_ms} ms; "
            f"{_outcome(seen, problems)}"
        )

    # The steps of a healing.

    def _verify_lasted(self, number: int, active: ActiveFault, at: float | None) -> None:
        """Record whether a fault is still in force just before its healing."""
        fault, seen = active.fault, active.seen
        proof: dict[str, Any] = {}
        error = None
        if fault.lasting:
            last = self._evidence.observe(
                number,
                fault,
                type(fault).verify_active,
                active.before,
                self._time_for_probes(at),
            )
            proof["at-end"] = last.evidence
            seen = seen or not last.hidden
            if last.problems:
                error = f"it did not last: {'; '.join(last.problems)}"
        if error is None and fault.lasting and not seen:
            error = HIDDEN
        self._note(STOP, HEAL, number, fault, proof=proof, error=error)

    def _time_for_probes(self, at: float | None) -> float:
        """Return the seconds for repeating probes before a healing.

        0 or less allows one attempt. A healing that is late waits for it: a fault that was not seen
        at its end would not be proven.
        """
        repeat = PROBE_S * self._fleet.patience
        if at is None:
            return repeat
        left = at - self._clock.time() - self._firing.lead
        return min(repeat, left - repeat)

    def _healed(
        self, number: int, fault: Fault, at: float | None
    ) -> tuple[Mapping[str, float], list[str]]:
        """Return the time at which each node had healed, and the problems."""
        self._wait_for(at)
        with self._acting.begin():
            try:
                if fault.powers_off:
                    return self._switch.restore(fault.nodes, at), []
                return self._firing.heal(number, fault, at, self._active.powered_off())
            except JepsenvmError as problem:
                return {}, [str(problem)]
            finally:
                self._active.remove(number)

    def _is_hidden(self, number: int, fault: Fault) -> bool:
        return fault.hidden_by(self._active.concurrent_with(number))

    def _verify_healed(self, number: int, healing: Healing, *, last: bool = False) -> None:
        fault = healing.active.fault
        timeout = fault.heals_s * self._fleet.patience
        seen = self._evidence.observe(
            number, fault, type(fault).verify_healed, healing.active.before, timeout
        )
        problems = [*healing.problems, *seen.problems]
        # Every link of a grudge was compared on its own. Other faults were seen as a whole.
        if seen.hidden and not fault.grudge:
            if not last and self._is_hidden(number, fault):
                self._unseen[number] = healing
                logger.info(f"fault {number}: healed; hidden by other faults until later")
                return
            problems.append(HIDDEN)
        self._note(
            STOP,
            HEALED,
            number,
            fault,
            proof={AFTER: seen.evidence},
            error="; ".join(problems) or None,
            fired=healing.fired,
        )
        outcome = f"NOT HEALED: {'; '.join(problems)}" if problems else "healed, and seen healed"
        logger.info(f"fault {number}: {outcome}")

    # What the steps share.

    def _wait_for(self, at: float | None) -> None:
        """Sleep until the actions for an instant must be staged."""
        if at is not None:
            self._clock.sleep_until(at - self._firing.lead)

    def _probe_cluster(self, names: Any) -> Evidence:
        return probes.probe(self._fleet, self._facts, names, self._queue)

    def _view(self, phase: str, number: int, fault: Fault) -> None:
        """Record what the brokers report, as soon as they have answered."""

        def ask() -> None:
            view = probes.broker_view(self._fleet, self._queue)
            self._note(VIEW, phase, number, fault, proof={"broker": view})

        if self._views and not self._acting.ended:
            with suppress(RuntimeError):  # the end may come between the two
                self._viewers.submit(ask)

    def _note(
        self,
        f: str,
        phase: str,
        number: int,
        fault: Fault,
        *,
        proof: Mapping[str, object] | None = None,
        error: str | None = None,
        fired: Mapping[str, float] | None = None,
    ) -> FaultRecord:
        record = FaultRecord(
            f=f,
            phase=phase,
            number=number,
            fault=fault.as_data(),
            proof=proof or {},
            error=error,
            fired=fired or {},
            stops_load=fault.stops_all_load(self._facts.keys()),
            isolates_nodes=fault.isolates_nodes,
            stops_replicas=fault.stops_replicas,
            endangers_s=fault.endangers_s,
        )
        self._record(record)
        return record


def heal_everything(
    fleet: Fleet, restore: Callable[[str], None] | None = None
) -> dict[str, list[str] | Exception]:
    """Remove every fault and every timer from every node, all at once.

    ``restore`` is called for each node before it is healed, to switch it on. Return the lines that
    say what each node removed, or its error.
    """
    script = heal_all.heal_and_disarm()
    timeout = ACT_TIMEOUT_S * 2

    def heal(node: str) -> list[str]:
        if restore is not None:
            restore(node)
        return fleet.run(node, script, timeout=timeout).stdout.splitlines()

    return fleet.each_or_error(heal)


def heal_noted(fleet: Fleet, record: Recorder, power: Power | None) -> None:
    """Heal the faults by hand that the nodes have on record, with verification and records."""
    learn_names(fleet)
    nemesis = Nemesis(fleet, facts(fleet), record, 0.0, power=power)
    for node, faults in in_force(fleet).items():
        for note in [] if isinstance(faults, Exception) else faults:
            try:
                proof = {BEFORE: note["before"]}
                nemesis.adopt(FaultRecord(START, IN_FORCE, note["number"], note["fault"], proof))
            except (*MALFORMED, JepsenvmError) as problem:
                logger.info(f"{node}: a fault on record was not understood: {shown(problem)}")
    nemesis.heal_by_hand()


def _outcome(seen: Observation, problems: list[str]) -> str:
    if problems:
        return f"NOT PROVEN: {'; '.join(problems)}"
    if seen.hidden:
        return "hidden by other faults until later"
    return f"proven ({summary(seen.evidence)})"
