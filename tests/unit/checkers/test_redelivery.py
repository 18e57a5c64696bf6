"""redelivery: a returned delivery consumed nothing; dropped messages; the definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from tests.unit.builders import (
    DRAIN,
    UNPROVEN_DRAINS,
    delivered,
    history,
    published,
    with_verdict,
)


def returned(*values: int) -> list[Op]:
    return delivered(*values, data={"redelivered": True, "returned": True})


def judged(*parts: list[Op], limit: int | None = 2) -> dict[str, Any]:
    return with_verdict(redelivery(history(*parts), delivery_limit=limit))


def test_a_message_that_is_returned_and_kept_later_is_consumed() -> None:
    figures = judged(published(1, 2), returned(1, 1), delivered(2, 1), DRAIN)
    assert (figures["verdict"], figures["dropped-count"], figures["lost-count"]) == (
        Verdict.VALID,
        0,
        0,
    )
    assert (figures["returned-count"], figures["most-returns"], figures["duplicated-count"]) == (
        2,
        2,
        0,
    )
    assert figures["deliveries"] == {"1": 1, "3": 1}


def test_a_message_that_is_kept_and_returned_later_is_consumed() -> None:
    assert judged(published(1), delivered(1), returned(1), DRAIN)["verdict"] is Verdict.VALID


def test_a_message_that_is_returned_each_time_is_dropped() -> None:
    figures = judged(published(1, 2), returned(1, 1, 1), delivered(2), DRAIN)
    assert (figures["verdict"], figures["dropped"], figures["lost"]) == (Verdict.INVALID, [1], [1])
    assert figures["reasons"] == (
        "1 acknowledged message was dropped after being returned 3 times (delivery limit 2)",
    )


def test_the_reason_names_the_returns_and_the_limit() -> None:
    (reason,) = judged(published(1, 2), returned(1, 1, 1, 1, 2), DRAIN)["reasons"]
    assert reason == (
        "2 acknowledged messages were dropped after being returned 1 to 4 times "
        "(delivery limit 2), 1 of them after no more returns than the limit allows"
    )
    (reason,) = judged(published(1), returned(1), DRAIN, limit=None)["reasons"]
    assert (
        reason == "1 acknowledged message was dropped after being returned 1 time "
        "(the broker's default delivery limit)"
    )
    (reason,) = judged(published(1), returned(1), DRAIN, limit=-1)["reasons"]
    assert reason.endswith("dropped after being returned 1 time (no delivery limit)")


def test_a_message_that_was_never_delivered_is_lost_and_not_dropped() -> None:
    figures = judged(published(1, 2, 3, node="n1"), returned(1), delivered(2), DRAIN)
    assert (figures["dropped"], figures["lost"]) == ([1], [1, 3])
    assert (
        figures["reasons"][1]
        == "1 message was lost: confirmed by n1 between 0.0 s and 0.0 s, 1 without any fault"
    )


def test_a_message_that_was_not_confirmed_may_be_dropped() -> None:
    assert judged(published(1, end="info"), returned(1), DRAIN)["verdict"] is Verdict.VALID


@pytest.mark.parametrize("drain", UNPROVEN_DRAINS)
def test_a_returned_message_is_undecided_without_a_finished_drain(drain: list[Op]) -> None:
    figures = judged(published(1), returned(1), drain)
    assert (figures["verdict"], figures["dropped-count"], figures["undecided"]) == (
        Verdict.UNKNOWN,
        0,
        [1],
    )


def test_a_message_that_was_never_sent_is_unexpected_even_if_returned() -> None:
    figures = judged(published(1), delivered(1), returned(7), DRAIN)
    assert (figures["verdict"], figures["unexpected"]) == (Verdict.INVALID, [7])


def test_a_message_that_was_never_sent_is_counted_once_however_often_it_is_returned() -> None:
    for deliveries in ([returned(7, 7)], [returned(7), delivered(7)], [delivered(7), returned(7)]):
        figures = judged(published(1), delivered(1), *deliveries, DRAIN)
        assert (figures["verdict"], figures["unexpected"]) == (Verdict.INVALID, [7])
        assert figures["reasons"] == (
            "1 delivered message is unexpected: never sent by any process",
        )


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_journal_of_many_chunks_gives_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("jepsenvm.history.table.CHUNK_ROWS", chunk)
    journal = Journal(tmp_path / "history.arrow", lambda: 0)
    for op in [
        *published(1, 2, 3),
        *returned(1),
        *delivered(2),
        *returned(3),
        *delivered(3),
        *DRAIN,
    ]:
        journal.append(op.type, op.f, op.value, process=op.process, node=op.node, data=op.data)
        journal.flush()
    journal.close()
    result = redelivery(open_history(tmp_path / "history.arrow"), delivery_limit=0)
    assert (result.figures["dropped"], result.figures["deliveries"]) == ([1], {"1": 2, "2": 1})


@given(
    st.lists(st.integers(0, 5), unique=True),
    st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from([None, {}, {"returned": False}, {"returned": True}, [1]]),
        )
    ),
)
def test_it_agrees_with_the_definition(
    acknowledged: list[int], deliveries: list[tuple[int, Any]]
) -> None:
    attempts = [Op("invoke", "enqueue", value) for value in range(6)]
    confirms = [Op("ok", "enqueue", value) for value in acknowledged]
    figures = judged(
        attempts,
        confirms,
        [Op("ok", "dequeue", value, data=data) for value, data in deliveries],
        DRAIN,
    )
    returns = Counter(value for value, data in deliveries if data == {"returned": True})
    consumed = Counter(value for value, data in deliveries if data != {"returned": True})
    lost = {value for value in acknowledged if value not in consumed}
    assert set(figures["lost"]) == lost
    assert set(figures["dropped"]) == {value for value in lost if value in returns}
    assert set(figures["unexpected"]) == {6} & {value for value, _ in deliveries}
    assert figures["returned-count"] == returns.total()
    assert figures["duplicated-count"] == sum(
        count - 1 for value, count in consumed.items() if value < 6
    )
    assert figures["verdict"] is (
        Verdict.INVALID if lost or figures["unexpected"] else Verdict.VALID
    )


def test_a_value_acknowledged_twice_and_delivered_once_is_lost_once() -> None:
    ops = [*published(1, 1), *delivered(1), *DRAIN]
    result = redelivery(history(ops), delivery_limit=None)
    assert (result.verdict, result.figures["lost-count"]) == (Verdict.INVALID, 1)
    assert result.reasons
    returned = delivered(1, data={"returned": True})
    result = redelivery(history(returned, ops), delivery_limit=None)
    assert (result.verdict, result.figures["dropped-count"]) == (Verdict.INVALID, 1)


OPS = st.lists(
    st.tuples(st.sampled_from(["sent", "doubt", "kept", "returned"]), st.integers(0, 3)),
    max_size=12,
)


@given(OPS)
def test_lost_messages_always_make_it_invalid(ops: list[tuple[str, int]]) -> None:
    parts: dict[str, Callable[[int], list[Op]]] = {
        "sent": published,
        "doubt": lambda value: published(value, end="info"),
        "kept": delivered,
        "returned": lambda value: delivered(value, data={"returned": True}),
    }
    sent = [parts[kind](value) for kind, value in ops if kind in ("sent", "doubt")]
    got = [parts[kind](value) for kind, value in ops if kind not in ("sent", "doubt")]
    result = redelivery(history(*sent, *got, DRAIN), delivery_limit=2)
    lost = sum(
        max(0, ops.count(("sent", value)) - ops.count(("kept", value))) for value in range(4)
    )
    attempted = {value for kind, value in ops if kind in ("sent", "doubt")}
    invented = sum(
        max(ops.count(("kept", value)), ("returned", value) in ops)
        for value in range(4)
        if value not in attempted
    )
    assert result.figures["lost-count"] == lost
    assert result.figures["unexpected-count"] == invented
    assert result.verdict is (Verdict.INVALID if lost or invented else Verdict.VALID)
    assert bool(result.reasons) is (result.verdict is Verdict.INVALID)
