"""The nemesis: injects faults, proves that they bite, heals them, proves that too, and records all of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from jepsenvm.errors import JepsenvmError, RunError
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.machines.action import Action
from jepsenvm.machines.facts import Facts, facts
from jepsenvm.machines.fire import argv, fire
from jepsenvm.machines.power import Power
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import heal_all as everything
from jepsenvm.nemesis import heal_timer as deadman
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.manual import FIRST_NUMBER
from jepsenvm.nemesis.probes import LOOKS, broker_view, look
from jepsenvm.nemesis.records import FaultRecord, Record
from jepsenvm.nemesis.registry import fault_from_data
from jepsenvm.nemesis.status import in_force
from jepsenvm.rabbitmq.ctl import learn_names

logger = logging.getLogger(__name__)

LEAD_S: Final = 1.0
"""So far ahead of its firing a fault is staged on the nodes."""

AHEAD_S: Final = 4.0
"""So far ahead of its time a fault, or its healing, wants to be begun: what is looked at before takes its time too."""

LOOK_AGAIN_S: Final = 1.5
"""A look takes about so long; one that raises a doubt at a fault's end is repeated if there is time."""

GRACE_S: Final = 30.0
"""A node heals itself when the controller has been silent for the longest planned fault and so much more."""

ACT_DEADLINE_S: Final = 130.0

HIDDEN: Final = "other faults hid whether it bites, each time that it was looked at"

Acts = Callable[[Fault, str, str, Hosts], Sequence[Action]]
"""``Fault.inject`` or ``Fault.heal``."""

Judge = Callable[[Fault, Evidence, Evidence, ConcurrentFaults], Iterator[str]]
"""``Fault.verify_active`` or ``Fault.verify_healed``."""


@dataclass(frozen=True)
class Active:
    """A fault in force, and what was seen before it."""

    fault: Fault
    before: Evidence
    seen: bool = False
    """Whether it was looked at while no other fault hid it."""


@dataclass
class Nemesis:
    """What the nemesis works with; all its methods block, and any thread may call them."""

    fleet: Fleet
    facts: Mapping[str, Facts]
    record: Record
    longest_fault: float
    queue: str | None = None
    """The queue whose leader some faults are about."""
    power: Power | None = None
    views: bool = False
    """Whether the brokers' own views are recorded as well, before, during and after each fault."""
    _active: dict[int, Active] = field(default_factory=dict)
    _ended: bool = False
    _acting: threading.Lock = field(default_factory=threading.Lock)
    """Held while nodes act: what a cancelled run still has under way must not fire after the last healing."""

    _viewers: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, "view"))
    """Asking brokers takes seconds, and longest under a fault: no fault waits for it."""

    @property
    def ahead(self) -> float:
        """So many seconds ahead of its time a fault, or its healing, wants to be begun."""
        return AHEAD_S * self.fleet.patience

    @property
    def _lead(self) -> float:
        return LEAD_S * self.fleet.patience

    @property
    def _silence(self) -> float:
        """Seconds of its controller's silence after which a node heals itself."""
        return self.longest_fault + GRACE_S * self.fleet.patience

    def prepare(self) -> None:
        """Arm every node's timer, before the first fault."""
        self.fleet.each(self._arm)

    def renew(self) -> None:
        """Tell every node that its controller lives.

        A node that cannot be told heals itself when its timer runs out, and then the proof sees that.
        """
        with self._acting:
            answers = {} if self._ended else self.fleet.each_or_error(self._arm, self._powered())
        for node, problem in answers.items():
            if isinstance(problem, Exception):
                logger.info(f"{node}: its timer could not be renewed: {problem}")

    def end(self) -> list[str]:
        """Heal everything and stop the timers, for good; return what went wrong."""
        self._viewers.shutdown(cancel_futures=True)
        with self._acting:
            self._ended = True
            problems = self._power_on(
                [node for one in self._active.values() for node in _switched_off(one.fault)]
            )
            self._active.clear()
            answers = heal_everything(self.fleet)
        return problems + [
            str(answer) for answer in answers.values() if isinstance(answer, Exception)
        ]

    def adopt(self, note: FaultRecord) -> None:
        """Take over what another process did by hand to the same nodes: ours to explain, and to heal at the end."""
        if note.phase == IN_FORCE:
            self._active[note.number] = Active(
                fault_from_data(note.fault), note.proof.get("before", {})
            )
        if note.phase == HEALED:
            self._active.pop(note.number, None)

    def heal_by_hand(self) -> None:
        """Heal what was adopted and is still in force, and look whether it is gone."""
        for number in sorted(number for number in self._active if number >= FIRST_NUMBER):
            self.heal(number)

    def inject(self, number: int, fault: Fault, at: float | None = None) -> None:
        """Inject a fault on all its nodes at one instant (wall clock; at once if None), and look whether it bites."""
        try:
            fault = self._resolved(fault)
            self._view("before", number, fault)
            before = self._before(number, fault, at)
            fired = self._injected(number, fault, before, at)
        except JepsenvmError as problem:
            self._note("start", IN_FORCE, number, fault, error=f"could not be injected: {problem}")
            logger.info(f"fault {number}: could not be injected: {problem}")
            return
        if fired is None:
            return
        self._view("during", number, fault)
        during, doubts, hidden = self._seen(
            number, fault, _active, before, fault.settles_s * self.fleet.patience
        )
        if hidden and not fault.lasting:
            doubts.append(HIDDEN)
        if number in self._active:  # unless everything was healed meanwhile
            self._active[number] = Active(fault, before, seen=not hidden)
        note = self._note(
            "start",
            IN_FORCE,
            number,
            fault,
            proof={"before": before, "during": during},
            error="; ".join(doubts) or None,
            fired=fired,
        )
        told = "hidden by other faults until later" if hidden else f"proven ({_summary(during)})"
        told = f"NOT PROVEN: {'; '.join(doubts)}" if doubts else told
        logger.info(f"fault {number}: {fault.describe()} in force, skew {note.skew_ms} ms; {told}")

    def heal(self, number: int, at: float | None = None) -> None:
        """Look whether a fault is still there, heal it at an instant (at once if None), look whether it is gone."""
        if number not in self._active:
            return
        active = self._active[number]
        fault, before, seen = active.fault, active.before, active.seen
        gone: list[str] = []
        proof = {}
        if fault.lasting and (at is None or at - time.time() > self._lead + 0.5):
            look_again = LOOK_AGAIN_S * self.fleet.patience
            again = look_again if at is None else at - time.time() - self._lead - look_again
            proof["at-end"], gone, hidden = self._seen(
                number, fault, _active, before, min(again, look_again)
            )
            seen = seen or not hidden
        doubt = (
            f"it did not last: {'; '.join(gone)}"
            if gone
            else None
            if seen or not fault.lasting
            else HIDDEN
        )
        self._note("stop", HEAL, number, fault, proof=proof, error=doubt)
        fired, problems = self._healed(number, fault, at)
        self._view("after", number, fault)
        after, left, hidden = self._seen(
            number, fault, _gone, before, fault.heals_s * self.fleet.patience
        )
        problems += left
        if hidden and not fault.grudge:
            problems.append(HIDDEN)
        self._note(
            "stop",
            HEALED,
            number,
            fault,
            proof={"after": after},
            error="; ".join(problems) or None,
            fired=fired,
        )
        logger.info(
            f"fault {number}: "
            + (f"NOT HEALED: {'; '.join(problems)}" if problems else "healed, and seen healed")
        )

    # Acting.

    def _injected(
        self, number: int, fault: Fault, before: Evidence, at: float | None
    ) -> Mapping[str, float] | None:
        """Return when each node had acted; None when the nemesis has ended meanwhile."""
        if at is not None:
            time.sleep(max(0.0, at - self._lead - time.time()))
        with self._acting:
            if self._ended:
                return None
            self._note("start", INJECT, number, fault)
            self._active[number] = Active(fault, before)
            if fault.powers_off:
                return self._from_outside(fault, at, cut=True)
            return self._fire(number, fault, _inject, at, forget=False)

    def _healed(
        self, number: int, fault: Fault, at: float | None
    ) -> tuple[Mapping[str, float], list[str]]:
        """Return when each node had healed, and what went wrong."""
        if at is not None:
            time.sleep(max(0.0, at - self._lead - time.time()))
        with self._acting:
            try:
                if fault.powers_off:
                    return self._from_outside(fault, at, cut=False), []
                return self._fire(number, fault, _heal, at, forget=True), []
            except JepsenvmError as problem:
                return {}, [str(problem)]
            finally:
                self._active.pop(number, None)

    def _fire(
        self, number: int, fault: Fault, acts: Acts, at: float | None, *, forget: bool
    ) -> Mapping[str, float]:
        """Stage what every node does, let all act at one instant; return when each had, on our clock."""
        hosts = {node: known.host for node, known in self.facts.items()}
        actions = {node: acts(fault, str(number), node, hosts) for node in self.facts}
        actions = {node: todo for node, todo in actions.items() if todo}
        self.fleet.script_each({node: everything.prepare(hosts[node]) for node in actions})
        instant = max(at or 0.0, time.time() + self._lead)
        before = {} if forget else self._active[number].before
        note = {"number": number, "fault": fault.as_data(), "since": instant, "before": before}
        orders = {
            node: {
                "at": instant + self.facts[node].clock_offset,
                "actions": [
                    {"argv": argv(action, self.fleet.nodes[node].python), "stdin": action.stdin}
                    for action in todo
                ],
                "id": str(number),
                "note": None if forget else note,
                "forget": forget,
                "timeout": ACT_DEADLINE_S * self.fleet.patience,
            }
            for node, todo in actions.items()
        }
        answers = fire(self.fleet, orders, LEAD_S + ACT_DEADLINE_S + 10)
        return {
            node: answer["fired"] - self.facts[node].clock_offset
            for node, answer in answers.items()
        }

    def _from_outside(self, fault: Fault, at: float | None, *, cut: bool) -> Mapping[str, float]:
        """Switch hosts off or on; return when each was."""
        if self.power is None:
            raise RunError("nobody here can switch these hosts off and on")
        time.sleep(max(0.0, (at or 0.0) - time.time()))
        power = self.power

        def switch(node: str) -> float:
            if cut:
                power.cut(node, self._silence)
            else:
                power.on(node)
            self.fleet.forget(node)
            return time.time()

        return self.fleet.each(switch, fault.nodes)

    def _power_on(self, nodes: Sequence[str]) -> list[str]:
        problems = []
        for node in nodes:
            try:
                if self.power:
                    self.power.on(node)
                self.fleet.forget(node)
            except JepsenvmError as problem:
                problems.append(str(problem))
        return problems

    def _arm(self, node: str) -> None:
        self.fleet.run(node, deadman.arm(self._silence, everything.heal()))

    def _powered(self) -> list[str]:
        off = {node for one in self._active.values() for node in _switched_off(one.fault)}
        return [node for node in self.facts if node not in off]

    # Looking.

    def _resolved(self, fault: Fault) -> Fault:
        """Return the fault about the nodes that it is about at this moment."""
        if fault.role is None:
            return fault
        seen = look(self.fleet, self.facts, ["queue"], self.queue)["queue"]
        if not seen or not seen["leader"]:
            raise RunError("the queue's leader could not be learnt")
        found = fault.resolve(seen["leader"], seen["members"])
        return replace(found, settings={**found.settings, "queue": self.queue or ""})

    def _before(self, number: int, fault: Fault, at: float | None) -> Evidence:
        """Look before a fault; again, while there is time, when another one was just being healed."""
        while True:
            busy = self._active.keys() - {number}
            around = self._around(number)
            sights = {**self._look(fault), "around": (around | self._around(number)).as_data()}
            if not busy or time.time() > (at or 0.0) - self._lead:
                return sights

    def _look(self, fault: Fault) -> Evidence:
        return look(self.fleet, self.facts, fault.probes(), self.queue)

    def _seen(
        self, number: int, fault: Fault, judge: Judge, before: Evidence, deadline: float
    ) -> tuple[Evidence, list[str], bool]:
        """Look until nothing is doubted or left over, or the deadline (seconds) is over.

        Return what was seen and what was doubted last, and whether other faults hide the fault.
        """
        until = time.monotonic() + deadline
        while True:
            earlier = self._around(number)
            sights = self._look(fault)
            around = earlier | self._around(number)
            away = set() if fault.grudge else around.off | around.mute
            known = replace(fault, nodes=tuple(node for node in fault.nodes if node not in away))
            found = list(judge(known, before, sights, around))
            if not found or time.monotonic() > until:
                return {**sights, "around": around.as_data()}, found, fault.hidden_by(around)

    def _view(self, when: str, number: int, fault: Fault) -> None:
        """Record what the brokers themselves see, as soon as they have said it."""

        def ask() -> None:
            self._note(
                "view", when, number, fault, proof={"broker": broker_view(self.fleet, self.queue)}
            )

        if self.views:
            self._viewers.submit(ask)

    def _around(self, number: int) -> ConcurrentFaults:
        """Return what the other faults in force explain."""
        others = [one.fault for other, one in list(self._active.items()) if other != number]
        return ConcurrentFaults.union(fault.hides() for fault in others)

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
        note = FaultRecord(
            f,
            phase,
            number,
            fault.as_data(),
            proof or {},
            error,
            fired or {},
            fault.stops_all_load(self.facts.keys()),
        )
        self.record(note)
        return note


def heal_everything(fleet: Fleet) -> dict[str, list[str] | Exception]:
    """Remove every fault of ours and every timer from every node; return what each removed, or why it could not."""
    script = everything.heal_and_disarm()
    return fleet.each_or_error(
        lambda node: fleet.run(node, script, timeout=ACT_DEADLINE_S * 2).stdout.splitlines()
    )


def heal_noted(fleet: Fleet, record: Record, power: Power | None) -> None:
    """Heal what was done by hand, as the nodes have it on record, with proof and notes."""
    learn_names(fleet)
    nemesis = Nemesis(fleet, facts(fleet), record, 0.0, power=power)
    told = in_force(fleet)
    noted = [one for faults in told.values() if not isinstance(faults, Exception) for one in faults]
    for one in noted:
        nemesis.adopt(
            FaultRecord("start", IN_FORCE, one["number"], one["fault"], {"before": one["before"]})
        )
    nemesis.heal_by_hand()


def _switched_off(fault: Fault) -> tuple[str, ...]:
    return fault.nodes if fault.powers_off else ()


def _inject(fault: Fault, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
    return fault.inject(fault_id, node, hosts)


def _heal(fault: Fault, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
    return fault.heal(fault_id, node, hosts)


def _active(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    return fault.verify_active(before, during, around)


def _gone(
    fault: Fault, before: Evidence, after: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    return fault.verify_healed(before, after, around)


def _summary(during: Evidence) -> str:
    """Return what was seen, in a few words."""
    matrix = during.get("matrix")
    if matrix:
        links = [flows for row in matrix.values() for flows in row.values()]
        return f"{links.count(False)} of {len(links)} links cut, {links.count(True)} open"
    return f"seen in {', '.join(name for name in during if name in LOOKS)}"
