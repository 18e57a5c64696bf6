"""Corrupted deliveries are counted once, deliver no message, and make every workload invalid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.corrupted import split_corrupted
from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.order import order
from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Verdict, check
from jepsenvm.experiment.run_analysis import presentation_of
from jepsenvm.history.export import FORMATS
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import Chunk, History
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit.builders import DRAIN, UNPROVEN_DRAINS, delivered, history, published

MARK = {"corrupted": True, "problem": "value 2: byte 50 of 100 differs"}

CHECKERS: dict[str, Callable[[History], Result]] = {
    "total-queue": lambda judged: total_queue(judged, drain_required=True),
    "order": order,
    "redelivery": lambda judged: redelivery(judged, delivery_limit=None),
    "dead-letter": lambda judged: dead_letter(judged, strategy="at-least-once"),
}


def corrupted(value: int = -99, **data: Any) -> list[Op]:
    return [Op("ok", "dequeue", value, data={**MARK, **data}, node="n3")]


def counts(result: Result) -> dict[str, int]:
    kinds = ("corrupted", "unexpected", "lost", "duplicated", "undecided")
    return {kind: count for kind in kinds if (count := result.figures[f"{kind}-count"])}


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=list(CHECKERS))
def test_a_corrupted_message_is_invalid_and_lost(checker: Callable[[History], Result]) -> None:
    result = checker(history(published(1, 2), delivered(1), corrupted(), DRAIN))
    assert result.verdict is Verdict.INVALID
    assert counts(result) == {"corrupted": 1, "lost": 1}
    assert result.figures["corrupted"] == ["value 2: byte 50 of 100 differs (n3)"]
    assert (
        "1 delivery is corrupted: the body differs from the sent body, "
        "first value 2: byte 50 of 100 differs (n3)"
    ) in result.reasons


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=list(CHECKERS))
def test_a_corrupted_copy_of_a_delivered_message_is_invalid(
    checker: Callable[[History], Result],
) -> None:
    result = checker(history(published(1, 2), corrupted(), delivered(1, 2), DRAIN))
    assert (result.verdict, counts(result)) == (Verdict.INVALID, {"corrupted": 1})


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=list(CHECKERS))
@pytest.mark.parametrize("data", [None, {"redelivered": True}, {"corrupted": False}, ["corrupted"]])
def test_without_the_mark_nothing_is_corrupted(
    data: Any, checker: Callable[[History], Result]
) -> None:
    result = checker(history(published(1, 2), delivered(1, 2, data=data), DRAIN))
    assert (result.verdict, counts(result)) == (Verdict.VALID, {})


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=list(CHECKERS))
@pytest.mark.parametrize("data", [{}, {"returned": True}, {"redelivered": True}])
def test_a_marked_delivery_never_delivers_the_value_that_it_names(
    data: dict[str, bool], checker: Callable[[History], Result]
) -> None:
    result = checker(history(published(1, 2), delivered(1), corrupted(2, **data), DRAIN))
    assert (result.verdict, counts(result)) == (Verdict.INVALID, {"corrupted": 1, "lost": 1})


@pytest.mark.parametrize("drain", UNPROVEN_DRAINS)
def test_a_corrupted_message_is_invalid_without_a_drain(drain: list[Op]) -> None:
    result = total_queue(
        history(published(1, 2), delivered(1), corrupted(), drain), drain_required=True
    )
    assert (result.verdict, counts(result)) == (Verdict.INVALID, {"corrupted": 1, "undecided": 1})


def test_each_corrupted_delivery_counts_and_the_first_are_shown() -> None:
    deliveries = [op for _ in range(1500) for op in corrupted()]
    result = total_queue(history(published(1), delivered(1), deliveries, DRAIN))
    assert (result.figures["corrupted-count"], len(result.figures["corrupted"])) == (1500, 1000)
    assert result.reasons[0].startswith("1,500 deliveries are corrupted")


def test_an_unreadable_body_of_a_run_without_checksums_is_unexpected() -> None:
    unreadable = [Op("ok", "dequeue", -1, data={"body": "b'x'"})]
    result = total_queue(history(published(1), unreadable, DRAIN))
    assert counts(result) == {"unexpected": 1, "lost": 1}


def read(process: int, *records: tuple[int, int] | Op) -> list[Op]:
    """Return the ops of one reader: a record is a value and its offset."""
    reads = [
        record if isinstance(record, Op) else Op("ok", "read", record[0], process, offset=record[1])
        for record in records
    ]
    end = max(op.offset or 0 for op in reads)
    return [
        Op("invoke", "end", process=process),
        *reads,
        Op("ok", "end", process=process, offset=end),
    ]


def bad_record(process: int, offset: int, value: int = -99) -> Op:
    return Op("ok", "read", value, process, data=MARK, offset=offset, node="n3")


def test_a_record_that_every_reader_reads_corrupted() -> None:
    readers = [read(process, (1, 0), bad_record(process, 1), (3, 2)) for process in (8, 9)]
    result = stream(history(published(1, 2, 3), *readers))
    assert result.verdict is Verdict.INVALID
    assert (result.figures["corrupted-count"], result.figures["lost"]) == (2, [2])
    assert result.figures["unexpected-count"] == result.figures["divergent-count"] == 0
    assert result.reasons[0].startswith("2 deliveries are corrupted")


def test_a_record_that_one_reader_reads_corrupted() -> None:
    whole = read(8, (1, 0), (2, 1), (3, 2))
    damaged = read(9, (1, 0), bad_record(9, 1), (3, 2))
    result = stream(history(published(1, 2, 3), whole, damaged))
    assert result.verdict is Verdict.INVALID
    assert (result.figures["corrupted-count"], result.figures["divergent"]) == (1, [1])
    twin = stream(history(published(1, 2, 3), whole, read(9, (1, 0), (2, 1), (3, 2))))
    assert (twin.verdict, twin.figures["corrupted-count"]) == (Verdict.VALID, 0)


def recorded(folder: Path) -> Path:
    """Return the journal of a run with one corrupted delivery among many others."""
    ticks = count()
    path = folder / "history.arrow"
    journal = Journal(path, lambda: next(ticks))
    for op in [*published(*range(50)), *delivered(*range(25), data={"redelivered": True})]:
        journal.append(op.type, op.f, op.value, process=op.process, data=op.data)
    journal.flush()
    journal.append("ok", "dequeue", -99, process=3, node="n3", data=MARK)
    for op in [*delivered(*range(26, 50)), *DRAIN]:
        journal.append(op.type, op.f, op.value, process=op.process, data=op.data)
    journal.close()
    return path


@pytest.mark.parametrize("format_", ["arrow", "edn", "jsonl"])
def test_every_format_keeps_the_mark(format_: str, tmp_path: Path) -> None:
    path = recorded(tmp_path)
    if format_ != "arrow":
        source, path = path, tmp_path / f"exported.{format_}"
        with path.open("wb") as out:
            FORMATS[format_](open_history(source), out)
    result = total_queue(open_history(path))
    assert counts(result) == {"corrupted": 1, "lost": 1}
    assert result.figures["lost"] == [25]
    assert result.figures["corrupted"] == ["value 2: byte 50 of 100 differs (n3)"]


def test_the_terminal_shows_corrupted_messages(tmp_path: Path) -> None:
    results = check(open_history(recorded(tmp_path)), {"total-queue": total_queue})
    lines = list(verdict_lines(results, presentation_of(WORKLOADS["queue"])))
    assert lines[0] == (
        "INVALID: acknowledged 50, drained 49, LOST 1, duplicated 0, unexpected 0, corrupted 1, "
        "recovered 0"
    )
    assert "  first corrupted: value 2: byte 50 of 100 differs (n3)" in lines


def test_a_history_without_marks_costs_no_pass() -> None:
    passes: list[int] = []
    marked = [
        *published(1),
        *delivered(1),
        Op("info", "start", process=NEMESIS, data={"phase": "x"}),
    ]
    for extra, expected in (([], 1), (delivered(2, data={"redelivered": True}), 2)):
        original = history(marked, extra)
        passes.clear()

        def chunks(_: History, original: History = original) -> Iterator[Chunk]:
            passes.append(1)
            return iter(original)

        counted = replace(original, _chunks=chunks)
        assert split_corrupted(counted, "dequeue")[1].count == 0
        assert len(passes) == expected, "the survey of the history, and the search for marks"
