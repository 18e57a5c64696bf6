"""SIGKILL of the controller at random moments of runs, one nemesis after another."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from jepsenvm.errors import UsageError
from jepsenvm.experiment.lost_tail import LOST_TAIL
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.readers import open_history
from jepsenvm.history.units import SECOND
from jepsenvm.nemesis.registry import MIXES, NEMESES
from tests.lab.conftest import JEPSENVM, jepsenvm
from tests.torture.hosts import nodes_without_users_rule, seconds_until_healed

FAULT_S: Final = 15
TIME_LIMIT_S: Final = 40
RECOVERY_DEADLINE_S: Final = 30
LATEST_KILL_S: Final = 70.0
"""Seconds after the start of a run by which its controller is killed: also while it drains."""
HEALED_WITHIN_S: Final = 180.0
ALLOWED_GAP_S: Final = 0.25
NOT_POSSIBLE: Final = "is not possible here"
"""Words of the refusal of a fault for which the lab lacks a capability."""


@dataclass(frozen=True)
class Kill:
    """What one kill left behind."""

    nemesis: str
    after_s: float
    begun: bool
    """Whether the history had an op of the load."""
    healed_s: float | None
    """Seconds until every node was healed; None if one never was."""
    without_users_rule: tuple[str, ...]
    missing_s: float | None
    """Seconds of the load that the history does not have; None if it cannot be measured."""
    finished: bool
    """Whether the run had its results already. Then `jepsenvm check` gives the verdict."""
    verdict_status: int | None
    """The exit status of `jepsenvm resume` or `check`; None if there was nothing to judge."""

    @property
    def judged(self) -> bool:
        """Whether there is a verdict. A run whose load was cut short is never valid."""
        return self.verdict_status in ((0, 1, 2) if self.finished else (1, 2))

    def problems(self) -> Iterator[str]:
        """Yield what must not be."""
        if self.healed_s is None:
            yield "not healed"
        if self.without_users_rule:
            yield f"the user's rule is gone from {' '.join(self.without_users_rule)}"
        if self.missing_s is not None and self.missing_s > ALLOWED_GAP_S:
            yield f"{self.missing_s:.2f} s of history are missing"
        if self.begun and not self.judged:
            yield f"no verdict: exit {self.verdict_status}"

    def line(self) -> str:
        """Return the kill as one line."""
        missing = "-" if self.missing_s is None else f"{self.missing_s:.3f} s"
        healed = "NOT HEALED" if self.healed_s is None else f"healed in {self.healed_s:.0f} s"
        problems = "; ".join(self.problems()) or "as it must be"
        return (
            f"{self.nemesis}: killed after {self.after_s:.1f} s, {healed}, missing {missing}, "
            f"{'check' if self.finished else 'resume'} {self.verdict_status}: {problems}"
        )


def nemeses() -> list[str]:
    """Return the nemeses under which a controller is killed."""
    return [name for name in NEMESES if _draws_by_itself(name)]


def kills(number: int, seed: int, names: Sequence[str], store: Path) -> Iterator[Kill]:
    """Kill this many controllers; each of these nemeses that the lab can have takes its turn."""
    random = Random(seed)
    refused: set[str] = set()
    turns = 0
    while turns < number and len(refused) < len(names):
        order = [name for name in names if name not in refused]
        random.shuffle(order)
        for name in order[: number - turns]:
            kill = _kill(name, random, store / f"{turns:03}")
            if kill is None:
                refused.add(name)
                print(f"{name}: the lab cannot have it", flush=True)
            else:
                turns += 1
                yield kill


def _draws_by_itself(nemesis: str) -> bool:
    """Return whether a nemesis injects one kind of fault that is undone, and takes no grudge.

    The next run needs the same cluster, and a nemesis that takes a grudge needs it from its caller.
    """
    spec = NEMESES[nemesis]
    if spec is None or nemesis in MIXES:
        return False
    return not (spec.takes_grudge or spec.permanent)


def _kill(nemesis: str, random: Random, store: Path) -> Kill | None:
    """Start a run and kill it; return None if the lab refuses its nemesis."""
    after = random.uniform(0, LATEST_KILL_S)
    words = (
        *("run", "--store", str(store), "--nemesis", nemesis),
        *("--seed", str(random.randrange(10**6)), "--net-ticktime", "8"),
        *("--quiet-before", "2", "--fault-duration", str(FAULT_S)),
        *("--time-limit", str(TIME_LIMIT_S), "--set", f"recovery-deadline={RECOVERY_DEADLINE_S}"),
    )
    status, errors, killed_at = _killed(words, after)
    if status == UsageError.exit_status and NOT_POSSIBLE not in errors:
        # The last kill may have left the cluster degraded. A deployment repairs it.
        jepsenvm("deploy", "--net-ticktime", "8", expect=0, timeout=1200)
        status, errors, killed_at = _killed(words, after)
    if status == UsageError.exit_status:
        return None
    run = store / "latest"
    begun = _has_load(run / "history.arrow")
    healed = seconds_until_healed(HEALED_WITHIN_S)
    gone = tuple(nodes_without_users_rule())
    written_at = (run / "history.arrow").stat().st_mtime if begun else killed_at
    finished = (run / "results.json").exists()
    command = "check" if finished else "resume"
    verdict = jepsenvm(command, str(run), timeout=1200).returncode if begun else None
    missing = _missing_seconds(run / "history.arrow", killed_at - written_at) if begun else None
    return Kill(nemesis, after, begun, healed, gone, missing, finished, verdict)


def _killed(words: Sequence[str], after: float) -> tuple[int, str, float]:
    """Start a command and kill it after some seconds.

    Return its exit status, its errors, and when it ended.
    """
    controller = subprocess.Popen(
        [JEPSENVM, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = controller.communicate(timeout=after)
        print(f"ended by itself with {controller.returncode}: {errors.strip()}", flush=True)
        ended_at = time.time()
    except subprocess.TimeoutExpired:
        os.kill(controller.pid, signal.SIGKILL)
        ended_at = time.time()
        _, errors = controller.communicate()
    return controller.returncode, errors, ended_at


def _has_load(history_file: Path) -> bool:
    """Return whether a run recorded an op of its load. Before that there is nothing to resume."""
    if not history_file.exists():
        return False
    return any(op.process != NEMESIS for op in open_history(history_file).ops())


def _missing_seconds(history_file: Path, silence: float) -> float | None:
    """Return how much of the load the history does not have; None if the load was not recorded.

    The messages that came out of the queue, but were never recorded as sent, were sent between the
    last flush and the kill. `resume` has recorded them as sent, in doubt. The rate of the last
    recorded second tells how long that took. The history cannot miss more than the time since its
    last write.
    """
    sent: dict[object, int] = {}
    received: set[object] = set()
    unrecorded: set[object] = set()
    for op in open_history(history_file).ops():
        if (op.type, op.f) == ("invoke", "enqueue"):
            sent[op.value] = op.time
        elif (op.type, op.f) == ("ok", "dequeue"):
            received.add(op.value)
        elif op.f == "enqueue" and op.error == LOST_TAIL:
            unrecorded.add(op.value)
    recorded = [time_ for value, time_ in sent.items() if value not in unrecorded]
    if not recorded or not received:
        return None
    unrecorded |= received - sent.keys()
    rate = sum(1 for time_ in recorded if time_ > max(recorded) - SECOND)
    return min(silence, len(unrecorded) / rate)
