"""The life of one message, and why it counts as it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jepsenvm.checkers.order import order
from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Checker, check
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from jepsenvm.report.explain import lives, values_of_kind
from jepsenvm.report.life import Life
from jepsenvm.report.life_text import life_lines
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.stored_run import StoredRun
from tests.report_runs import BEGAN, synthetic_ops
from tests.unit.builders import DRAIN, delivered, operation, published

QUEUE = Presentation("main", lambda _: "")


def stored(ops: list[Op], checker: Checker = total_queue, **parts: Any) -> StoredRun:
    history = from_ops(ops)
    return StoredRun("t", check(history, {"main": checker}), QUEUE, history, **parts)


def life(run: StoredRun, value: Any) -> Life:
    (found,) = lives(run, [value])
    return found


def test_the_life_of_a_lost_message() -> None:
    run = stored(
        synthetic_ops(lossy=True, rate=4),
        began=BEGAN,
        logs={"n1": ["2026-09-21 14:14:05.2+00:00 [error] <0.1.0> partition\n"]},
    )
    values, count = values_of_kind(run, "lost")
    assert count == len(values) > 50
    found = life(run, values[-1])
    assert found.counts_as == ["lost"]
    assert "confirmed it at 61." in found.sentence
    assert "during fault 1 (partition-random-halves {n1 n2 | n3 n4 n5})" in found.sentence
    assert "while n3 on another side led the queue as last reported" in found.sentence
    assert "never came back, although the queue was read until it was proven to be empty." in (
        found.sentence
    )
    texts = [event.text for event in found.events]
    for expected in (
        "is published",
        "is confirmed",
        "fault 1 (partition-random-halves {n1 n2 | n3 n4 n5}) is injected, sides n1 n2 | n3 n4 n5",
        "fault 1 is healed",
        "the drain ends: the queue is proven to be empty",
        "a broker reports the queue's leader: n3",
    ):
        assert any(text.startswith(expected) for text in texts), expected
    times = [event.time for event in found.events]
    assert times == sorted(times)


def test_log_lines_around_a_message_are_in_its_life() -> None:
    run = stored(
        synthetic_ops(lossy=True, rate=4),
        began=1000.0,
        logs={"n1": ["1970-01-01 00:17:25.0+00:00 [error] <0.1.0> boom\n"] * 100},
    )
    lost = values_of_kind(run, "lost")[0][0]
    lines = [event for event in life(run, lost).events if event.source == "log"]
    assert len(lines) == 30
    assert (lines[0].node, lines[0].time) == ("n1", 45 * 10**9)


@pytest.mark.parametrize(
    ("ops", "kinds", "text"),
    [
        ([*published(1), *delivered(1)], ["delivered"], "confirmed it"),
        ([*published(1)], ["lost"], "never came back"),
        ([*published(1), *delivered(1, 1, 1)], ["duplicated"], "delivered 3 times"),
        ([*published(2), *delivered(1)], ["unexpected"], "no process ever sent it"),
        ([*published(1, end="info"), *delivered(1)], ["recovered"], "never got a confirm"),
        ([*published(1, end="info")], ["in doubt"], "nothing was promised"),
        ([*published(1, end="fail")], ["refused"], "the broker refused it"),
        ([*published(2)], ["never sent"], "no op of the history"),
        ([*published(1), *published(1), *delivered(1)], ["lost"], "never came back"),
        (
            [*published(1), *delivered(1), Op("fail", "dequeue", 1, data={"unacknowledged": True})],
            ["lost"],
            "no consumer kept it (1 delivery)",
        ),
        (
            [*published(2), *delivered(1, data={"corrupted": True, "problem": "cut"})],
            ["corrupted"],
            "(cut)",
        ),
    ],
)
def test_why_a_message_counts_as_it_does(ops: list[Op], kinds: list[str], text: str) -> None:
    found = life(stored([*ops, *DRAIN]), 1)
    assert found.counts_as == kinds
    assert found.sentence.startswith(f"1 counts as {kinds[0]}: ")
    if kinds != ["lost"] or "kept" in text or len(ops) == 2:
        assert text in found.sentence


def test_without_a_drain_nothing_is_called_lost() -> None:
    run = stored(published(1), lambda history: total_queue(history, drain_required=True))
    found = life(run, 1)
    assert found.counts_as == ["undecided"]
    assert "that does not prove a loss" in found.sentence
    assert "never drained" in found.sentence


def test_kinds_agree_with_the_checker_for_every_message() -> None:
    ops = synthetic_ops(lossy=True, rate=2)
    run = stored(ops)
    figures = run.results.checkers["main"].figures
    values = sorted({op.value for op in ops if op.f == "enqueue"})
    kinds = [kind for found in lives(run, values) for kind in found.counts_as]
    for kind in ("lost", "duplicated", "unexpected", "recovered", "undecided"):
        assert kinds.count(kind) == figures[f"{kind}-count"]


def test_a_message_that_was_returned_each_time_is_lost() -> None:
    ops = [*published(1), *delivered(1, 1, data={"returned": True}), *DRAIN]
    found = life(stored(ops, lambda history: redelivery(history, delivery_limit=2)), 1)
    assert found.counts_as == ["lost"]
    assert "no consumer kept it (2 deliveries)" in found.sentence
    assert sum("goes back to the queue" in event.text for event in found.events) == 2


def test_each_reader_of_a_stream_reads_a_message_without_duplicating_it() -> None:
    reads = [
        op
        for process in (5, 6)
        for op in (
            Op("ok", "read", 1, process, node="n1", offset=0),
            Op("ok", "end", None, process, node="n1", offset=0),
        )
    ]
    run = stored([*published(1), *reads], stream)
    assert life(run, 1).counts_as == ["delivered"]
    lost = stored([*published(1, 2), *reads], stream)
    assert life(lost, 2).counts_as == ["lost"]


def test_a_message_out_of_order() -> None:
    ops = [*published(1, 2, process=4), *operation(9, "dequeue", 2), *operation(9, "dequeue", 1)]
    run = stored([*ops, *DRAIN], order)
    kinds = {value: life(run, value).counts_as for value in (1, 2)}
    assert ["out-of-order"] in kinds.values()


def test_values_of_another_program_are_compared_with_their_types() -> None:
    run = stored([*published("a", 1), *delivered("a", 1), *DRAIN])
    assert life(run, "a").counts_as == ["delivered"]
    assert life(run, True).counts_as == ["never sent"]
    assert life(run, "b").counts_as == ["never sent"]


def test_the_text_and_the_json_of_a_life() -> None:
    run = stored([*published("\x1b[2J", end="info", node="n\x1b1"), *DRAIN])
    found = life(run, "\x1b[2J")
    text = "\n".join(life_lines(found))
    assert "\x1b" not in text
    assert "is in doubt" in text
    data = json.loads(json.dumps(found.as_data()))
    assert data["counts-as"] == ["in doubt"]
    assert [event["source"] for event in data["events"]].count("op") == 2
