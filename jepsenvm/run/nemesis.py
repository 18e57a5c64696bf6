"""The nemesis: injects the faults of a schedule, proves them, heals them, proves that, and records all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from jepsenvm.checkers.windows import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.cluster.hosts import Facts
from jepsenvm.cluster.reach import matrix
from jepsenvm.cluster.ssh import Fleet
from jepsenvm.errors import JepsenvmError
from jepsenvm.faults import deadman, everything, partition
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS
from jepsenvm.plan.fault import Fault

LEAD_S: Final = 1.0
"""So far ahead of its firing a fault is staged on the nodes."""

GRACE_S: Final = 30.0
"""A node heals itself when the controller has been silent for the longest planned fault and so much more."""

HEAL_PROOF_DEADLINE_S: Final = 20.0


@dataclass
class Nemesis:
    """What the nemesis works with; all its methods block, so call them from a thread."""

    fleet: Fleet
    facts: Mapping[str, Facts]
    journal: Journal
    say: Callable[[str], None]
    longest_fault: float
    _ended: bool = False
    _acting: threading.Lock = field(default_factory=threading.Lock)
    """Held while rules change: what a cancelled run still has under way must not fire after the last healing."""

    def prepare(self) -> None:
        """Arm every node's timer, before the first fault."""
        self.fleet.each(lambda node: self.fleet.run(node, self._arm()))

    def renew(self) -> None:
        """Tell every node that its controller lives.

        A node that cannot be told heals itself when its timer runs out, and then the proof sees that.
        """
        with self._acting:
            answers = {} if self._ended else self.fleet.each_or_error(lambda node: self.fleet.run(node, self._arm()))
        for node, problem in answers.items():
            if isinstance(problem, Exception):
                self.say(f"{node}: its timer could not be renewed: {problem}")

    def end(self) -> list[str]:
        """Heal everything and stop the timers, for good; return what went wrong."""
        with self._acting:
            self._ended = True
            return heal_everything(self.fleet, disarm=True)

    def inject(self, number: int, fault: Fault) -> None:
        """Inject a fault on all nodes at one instant, and look whether it bit."""
        with self._acting:
            if not self._ended:
                self._inject(number, fault)

    def _arm(self) -> str:
        return deadman.arm(self.longest_fault + GRACE_S, everything.heal())

    def _inject(self, number: int, fault: Fault) -> None:
        before = matrix(self.fleet, self.facts)
        self._record("start", INJECT, number, fault)
        try:
            data = {"skew-ms": self._fire(fault)}
        except JepsenvmError as problem:
            self._record("start", IN_FORCE, number, fault, error=f"could not be injected: {problem}")
            self.say(f"fault {number}: could not be injected: {problem}")
            return
        during = matrix(self.fleet, self.facts)
        doubts = list(partition.doubts(before, during, fault.grudge))
        proof = {**data, "before": before, "during": during}
        self._record("start", IN_FORCE, number, fault, proof=proof, error="; ".join(doubts) or None)
        links = [flows for _, _, flows in partition.pairs(during)]
        told = (
            f"NOT PROVEN: {'; '.join(doubts)}"
            if doubts
            else f"proven: {links.count(False)} of {len(links)} links cut, {links.count(True)} open"
        )
        self.say(f"fault {number}: {fault.describe()} in force, skew {data['skew-ms']} ms; {told}")

    def heal(self, number: int, fault: Fault) -> None:
        """Look whether a fault is still in force, heal it, and look whether it is gone."""
        still = matrix(self.fleet, self.facts)
        gone = list(partition.doubts({}, still, fault.grudge))
        error = f"it did not last: {'; '.join(gone)}" if gone else None
        self._record("stop", HEAL, number, fault, proof={"at-end": still}, error=error)
        problems = heal_everything(self.fleet)
        after, left = self._healed_matrix()
        problems += left
        self._record("stop", HEALED, number, fault, proof={"after": after}, error="; ".join(problems) or None)
        self.say(f"fault {number}: " + (f"NOT HEALED: {'; '.join(problems)}" if problems else "healed, all links open"))

    def _healed_matrix(self) -> tuple[partition.Matrix, list[str]]:
        deadline = time.monotonic() + HEAL_PROOF_DEADLINE_S
        while True:
            after = matrix(self.fleet, self.facts)
            left = list(partition.leftovers(after))
            if not left or time.monotonic() > deadline:
                return after, left

    def _fire(self, fault: Fault) -> float:
        """Stage the rules on every node and let them take effect at one instant; return the skew in milliseconds."""
        hosts = {node: known.host for node, known in self.facts.items()}
        at = time.time() + LEAD_S
        scripts = {
            node: _at(
                at + self.facts[node].clock_offset,
                prepare=partition.prepare(),
                script=partition.inject(node, fault.grudge, hosts),
            )
            for node in self.facts
        }
        outputs = self.fleet.script_each(scripts)
        done = [float(out.stdout) - self.facts[node].clock_offset for node, out in outputs.items()]
        return round((max(done) - min(done)) * 1000, 1)

    def _record(
        self,
        f: str,
        phase: str,
        number: int,
        fault: Fault,
        *,
        proof: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> None:
        data = {"phase": phase, "window": number, "fault": fault.as_data(), "proof": proof}
        self.journal.append("info", f, process=NEMESIS, data=data, error=error)
        self.journal.flush()


def heal_everything(fleet: Fleet, *, disarm: bool = False) -> list[str]:
    """Remove every fault of ours from every node, and its timers if asked; return what went wrong, node by node."""
    script = everything.heal_and_disarm() if disarm else everything.heal()
    answers = fleet.each_or_error(lambda node: fleet.run(node, script))
    return [str(answer) for answer in answers.values() if isinstance(answer, Exception)]


def _at(instant: float, *, prepare: str, script: str) -> str:
    """Return a script that prepares, waits for an instant of its node's wall clock, acts, and prints when it had."""
    wait = f"python3 -c 'import time; time.sleep(max(0.0, {instant!r} - time.time()))'"
    return f"set -e\n{prepare}\n{wait}\n{script}\ndate +%s.%N"
