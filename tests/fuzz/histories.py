"""The kinds ``run`` and ``history``: stored runs and histories of other programs, changed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.experiment.analysis import Analysis
from jepsenvm.experiment.judge import judge
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.export import FORMATS as EXPORTS
from jepsenvm.history.readers import open_history
from jepsenvm.report.terminal import verdict_lines
from tests.fuzz.mutations import BYTE_CHANGES, changed_text, cut
from tests.fuzz.outcome import (
    ANSWERED,
    WRONG_INVALID,
    WRONG_VALID,
    Outcome,
    observe,
    unclear,
)
from tests.fuzz.runs import FOREIGN, FORMATS, PLANS, foreign_ops, stored_ops, write_run
from tests.fuzz.truth import (
    ANY,
    INVALID,
    UNKNOWN,
    VALID,
    allowed_for,
    entries_of,
    same_facts,
)

CRASHED: Final = 255
RUNS_PER_WORKLOAD: Final = 4
HISTORIES_PER_FORMAT: Final = 3


@dataclass(frozen=True)
class _StoredRun:
    workload: str
    plan: str
    history: bytes
    log: bytes
    verdict: str | None
    """None if the unchanged run is refused."""
    exports: dict[str, bytes]


@dataclass(frozen=True)
class _Foreign:
    workload: str
    format: str
    text: bytes
    verdict: str | None


def verdict_of(path: Path, workload: str | None = None) -> str:
    """Return the verdict of what is at a path."""
    return str(judge(path, workload).results.verdict)


def _baseline(path: Path, workload: str | None = None) -> str | None:
    verdicts: list[str] = []

    def decide(analysis: Analysis) -> Outcome:
        verdicts.append(str(analysis.results.verdict))
        return Outcome(ANSWERED)

    observe(lambda: judge(path, workload), decide)
    return verdicts[0] if verdicts else None


class Histories:
    """Unchanged runs and histories, and the kinds of inputs that are made from them."""

    def __init__(self, seed: int) -> None:
        """Write and judge the unchanged runs and histories of a seed."""
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=fast_folder()) as folder:
            self._runs = [
                _stored_run(
                    Path(folder) / f"{workload}-{number}",
                    workload,
                    Random(f"{seed} {workload} {number}"),
                )
                for workload in PLANS
                for number in range(RUNS_PER_WORKLOAD)
            ]
            self._foreign = [
                _foreign(
                    Path(folder), workload, format_, Random(f"{seed} {workload} {format_} {number}")
                )
                for workload in FOREIGN
                for format_ in FORMATS
                for number in range(HISTORIES_PER_FORMAT)
            ]

    def verdicts(self) -> str:
        """Return how many unchanged runs and histories have each verdict."""
        verdicts = [run.verdict for run in self._runs] + [text.verdict for text in self._foreign]
        names = [verdict or "refused" for verdict in verdicts]
        return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))

    def run(self, random: Random, folder: Path) -> Outcome:
        """Change one file of a stored run, and check the run."""
        original = random.choice(self._runs)
        path = folder / "run"
        logs = path / "nodes" / "n1"
        logs.mkdir(parents=True)
        history, plan, log = original.history, original.plan.encode(), original.log
        changed = random.choice(("history",) * 8 + ("plan", "log"))
        if changed == "plan":
            plan = changed_text(random, original.plan)
        elif changed == "log":
            log = random.choice(BYTE_CHANGES)(random, log)
        elif random.random() < 0.1:
            history = history + random.choice(self._runs).history
        else:
            history = random.choice(BYTE_CHANGES)(random, history)
        (path / "history.arrow").write_bytes(history)
        (path / "plan.yml").write_bytes(plan)
        (logs / "rabbit@n1.log").write_bytes(log)
        allowed = self._allowed_for_run(original, changed, history)
        alone = changed == "history" and random.random() < 0.2
        if alone:
            # A history that lost its plan is judged by its own records.
            (path / "plan.yml").unlink()
            return judged(path / "history.arrow", original.workload, allowed)
        return judged(path, None, allowed)

    def _allowed_for_run(
        self, original: _StoredRun, changed: str, history: bytes
    ) -> Callable[[], frozenset[str]]:
        if changed != "history":
            # Another plan may have stricter limits.
            return lambda: ANY if original.verdict == VALID else ANY - {VALID}
        damaged = {UNKNOWN} | ({INVALID} if original.verdict == INVALID else set())

        def allowed() -> frozenset[str]:
            if same_facts(original.history, history):
                return frozenset({original.verdict or UNKNOWN, UNKNOWN})
            return frozenset(damaged)

        return allowed

    def history(self, random: Random, folder: Path) -> Outcome:
        """Change a text that another program wrote, or an export of jepsenvm, and check it."""
        if random.random() < 0.25:
            return self._export(random, folder)
        original = random.choice(self._foreign)
        ending = original.format.rpartition(".")[2]
        path = folder / f"history.{ending}"
        change = random.choice(("cut", "text", "text", "bytes", "joined"))
        text = original.text
        if change == "cut":
            text = cut(random, text)
        elif change == "text":
            text = changed_text(random, text.decode())
        elif change == "bytes":
            text = random.choice(BYTE_CHANGES)(random, text)
        else:
            text += random.choice(self._foreign).text
        path.write_bytes(text)

        def allowed() -> frozenset[str]:
            verdicts = allowed_for(original.workload, entries_of(original.format, text))
            if change == "cut" and original.verdict == VALID:
                verdicts -= {INVALID}
            return verdicts

        return judged(path, original.workload, allowed)

    def _export(self, random: Random, folder: Path) -> Outcome:
        """Cut an export of one of our runs."""
        original = random.choice(self._runs)
        format_ = random.choice(sorted(original.exports))
        path = folder / f"history.{format_}"
        text = original.exports[format_]
        if random.random() < 0.9:
            text = cut(random, text)
        path.write_bytes(text)
        allowed = ANY
        if original.verdict == VALID:
            allowed = allowed - {INVALID}
        elif len(text) == len(original.exports[format_]):
            allowed = allowed - {VALID}
        if original.workload == "queue":
            allowed &= allowed_for("queue", entries_of(format_, text))
        return judged(path, original.workload, lambda: allowed)


def judged(path: Path, workload: str | None, allowed: Callable[[], frozenset[str]]) -> Outcome:
    """Check a path as the command line does, and compare the verdict with what is allowed."""

    def check() -> tuple[Results, Sequence[str]]:
        analysis = judge(path, workload)
        json.dumps(analysis.results.as_data())
        return analysis.results, list(verdict_lines(analysis.results, analysis.presentation))

    def decide(answer: tuple[Results, Sequence[str]]) -> Outcome:
        results, lines = answer
        verdict = str(results.verdict)
        crashes = [reason for reason in results.reasons if "crashed" in reason]
        if crashes:
            return Outcome("traceback", f"a checker: {crashes[0][:70]}")
        if verdict != UNKNOWN and verdict not in allowed():
            name = {VALID: WRONG_VALID, INVALID: WRONG_INVALID}[verdict]
            return Outcome(name, f"{workload or 'stored run'} {path.suffix}")
        return next(filter(None, map(unclear, lines)), Outcome(verdict))

    return observe(check, decide, crash_status=CRASHED)


def fast_folder() -> str | None:
    """Return a folder in memory, where syncing costs nothing; None without one."""
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() else None


def _stored_run(folder: Path, workload: str, random: Random) -> _StoredRun:
    write_run(folder, workload, stored_ops(random, workload))
    # The history is compact if the run has ended, and a journal if the run was killed.
    if random.random() < 0.5:
        compact_run(folder / "history.arrow")
    exports = {}
    for format_ in ("edn", "jsonl"):
        target = folder / f"export.{format_}"
        with target.open("wb") as file:
            EXPORTS[format_](open_history(folder / "history.arrow"), file)
        exports[format_] = target.read_bytes()
    run = _StoredRun(
        workload=workload,
        plan=PLANS[workload],
        history=(folder / "history.arrow").read_bytes(),
        log=(folder / "nodes/n1/rabbit@n1.log").read_bytes(),
        verdict=_baseline(folder),
        exports=exports,
    )
    shutil.rmtree(folder)
    return run


def _foreign(folder: Path, workload: str, format_: str, random: Random) -> _Foreign:
    text = FORMATS[format_](foreign_ops(random, workload)).encode()
    path = folder / f"foreign.{format_.rpartition('.')[2]}"
    path.write_bytes(text)
    return _Foreign(workload, format_, text, _baseline(path, workload))
