"""The fuzzer itself: its truth is independent of the checkers, and it survives what it looks for."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import RunError, UsageError
from tests.fuzz import runs
from tests.fuzz.outcome import (
    ANSWERED,
    REFUSED,
    SIGNAL,
    TRACEBACK,
    UNCLEAR,
    Outcome,
    observe,
    unclear,
)
from tests.fuzz.truth import INVALID, VALID, allowed_for, entries_of, same_facts
from tests.fuzz.workers import Batch, Workers


def queue(*ops: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [{"type": type_, "f": f, "value": value, "process": 0} for type_, f, value in ops]


SENT = (("invoke", "enqueue", 1), ("ok", "enqueue", 1))
DRAINED = (("invoke", "drain", None), ("ok", "drain", [1]))


@pytest.mark.parametrize(
    ("ops", "valid", "invalid"),
    [
        ((*SENT, *DRAINED), True, False),
        ((*SENT, ("ok", "drain", [])), False, True),
        ((*SENT, *SENT, *DRAINED), False, True),
        ((*SENT, ("ok", "drain", [1, 2])), False, True),
        ((*SENT, *DRAINED, ("ok", "enqueu", 3)), False, True),
        ((), False, False),
    ],
)  # fmt: skip
def test_the_truth_about_a_queue(ops: Any, valid: bool, invalid: bool) -> None:
    allowed = allowed_for("queue", queue(*ops))
    assert (VALID in allowed) is valid
    assert (INVALID in allowed) is invalid or not ops


@pytest.mark.parametrize("format_", sorted(runs.FORMATS))
@pytest.mark.parametrize("workload", ["queue", "set"])
def test_the_truth_reads_what_other_programs_write(workload: str, format_: str) -> None:
    ops = runs.foreign_ops(Random(1), workload)
    entries = entries_of(format_, runs.FORMATS[format_](ops).encode())
    assert entries is not None
    assert [entry["f"] for entry in entries] == [op.f for op in ops]
    assert entries_of(format_, b"\xff") is None


def test_the_facts_of_a_journal_change_with_its_rows(tmp_path: Path) -> None:
    ops = runs.stored_ops(Random(1), "queue")
    for name, written in {"one": ops, "same": ops, "other": ops[:-1]}.items():
        runs.write_run(tmp_path / name, "queue", written)
    one, same, other = (
        (tmp_path / name / "history.arrow").read_bytes() for name in ("one", "same", "other")
    )
    assert same_facts(one, same)
    assert not same_facts(one, other)
    assert not same_facts(one, one + one)
    assert not same_facts(one, one[:-1])


def test_outcomes_of_calls() -> None:
    def fail(error: Exception) -> Any:
        def call() -> None:
            raise error

        return call

    assert observe(lambda: 1).name == ANSWERED
    assert observe(fail(UsageError("no"))).name == REFUSED
    assert observe(fail(RunError("no")), crash_status=255).name == TRACEBACK
    assert unclear("\x1b[2J") == Outcome(UNCLEAR, "control characters in a message")
    assert observe(fail(UsageError("x" * 10_000))).name == UNCLEAR
    assert observe(fail(KeyError("x"))).name == TRACEBACK


def dies_at_three(random: Random, folder: Path) -> Outcome:
    number = int(folder.name)
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(ANSWERED, str(random.random()))


def test_a_signal_ends_one_input_only() -> None:
    def outcomes() -> dict[int, Outcome]:
        workers = Workers({"kind": dies_at_three}, seed=1, jobs=2)
        batches = iter([Batch("kind", 0, 5), Batch("kind", 5, 8)])
        return {result.number: result.outcome for result in workers.run(batches)}

    results = outcomes()
    assert sorted(results) == list(range(8))
    assert results[3] == Outcome(SIGNAL, "SIGKILL")
    assert [number for number, outcome in results.items() if outcome.failed] == [3]
    assert results == outcomes(), "the same seed gives the same inputs"
