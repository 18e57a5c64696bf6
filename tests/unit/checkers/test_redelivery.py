"""redelivery: what was given back consumed nothing; dropped and its innocent twins; agreement with the definition."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops, open_arrow

DRAIN = [Op("invoke", "drain", process=99), Op("ok", "drain", process=99)]


def published(*values: int) -> list[Op]:
    return [
        Op(type_, "enqueue", value, node="n1") for value in values for type_ in ("invoke", "ok")
    ]


def kept(*values: int) -> list[Op]:
    return [Op("ok", "dequeue", value) for value in values]


def returned(*values: int) -> list[Op]:
    return [
        Op("ok", "dequeue", value, data={"redelivered": True, "returned": True}) for value in values
    ]


def judged(*parts: list[Op], limit: int | None = 2) -> dict[str, Any]:
    result = redelivery(from_ops(op for part in parts for op in part), delivery_limit=limit)
    return {"verdict": result.verdict, "reasons": result.reasons, **result.figures}


def test_what_was_given_back_and_kept_later_is_consumed() -> None:
    figures = judged(published(1, 2), returned(1, 1), kept(2, 1), DRAIN)
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


def test_what_was_kept_and_given_back_later_is_consumed_too() -> None:
    assert judged(published(1), kept(1), returned(1), DRAIN)["verdict"] is Verdict.VALID


def test_what_was_given_back_each_time_was_dropped() -> None:
    figures = judged(published(1, 2), returned(1, 1, 1), kept(2), DRAIN)
    assert (figures["verdict"], figures["dropped"], figures["lost"]) == (Verdict.INVALID, [1], [1])
    assert figures["reasons"] == (
        "1 acknowledged messages were dropped after being returned 3 times (delivery limit 2)",
    )


def test_what_was_dropped_too_early_is_told() -> None:
    (reason,) = judged(published(1, 2), returned(1, 1, 1, 1, 2), DRAIN)["reasons"]
    assert reason == (
        "2 acknowledged messages were dropped after being returned 1 to 4 times (delivery limit 2), "
        "1 of them after no more returns than the limit allows"
    )
    (reason,) = judged(published(1), returned(1), DRAIN, limit=None)["reasons"]
    assert (
        reason
        == "1 acknowledged messages were dropped after being returned 1 times (the broker's own delivery limit)"
    )


def test_what_never_came_is_lost_and_not_dropped() -> None:
    figures = judged(published(1, 2, 3), returned(1), kept(2), DRAIN)
    assert (figures["dropped"], figures["lost"]) == ([1], [1, 3])
    assert (
        figures["reasons"][1]
        == "1 lost: confirmed by n1 between 0.0 s and 0.0 s, 1 without any fault"
    )


def test_what_nobody_confirmed_may_be_dropped() -> None:
    doubtful = [Op("invoke", "enqueue", 1), Op("info", "enqueue", 1)]
    assert judged(doubtful, returned(1), DRAIN)["verdict"] is Verdict.VALID


@pytest.mark.parametrize("drain", [[], DRAIN[:1], [DRAIN[0], Op("info", "drain", process=99)]])
def test_while_the_queue_is_not_proven_empty_it_may_come_again(drain: list[Op]) -> None:
    figures = judged(published(1), returned(1), drain)
    assert (figures["verdict"], figures["dropped-count"], figures["undecided"]) == (
        Verdict.UNKNOWN,
        0,
        [1],
    )


def test_a_message_that_nobody_sent_is_unexpected_even_if_it_was_given_back() -> None:
    figures = judged(published(1), kept(1), returned(7), DRAIN)
    assert (figures["verdict"], figures["unexpected"]) == (Verdict.INVALID, [7])


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_journal_of_many_chunks_is_judged_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("jepsenvm.history.table.CHUNK_ROWS", chunk)
    journal = Journal(tmp_path / "history.arrow", lambda: 0)
    for op in [*published(1, 2, 3), *returned(1), *kept(2), *returned(3), *kept(3), *DRAIN]:
        journal.append(op.type, op.f, op.value, process=op.process, node=op.node, data=op.data)
        journal.flush()
    journal.close()
    result = redelivery(open_arrow(tmp_path / "history.arrow"), delivery_limit=0)
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
    back = Counter(value for value, data in deliveries if data == {"returned": True})
    consumed = Counter(value for value, data in deliveries if data != {"returned": True})
    lost = {value for value in acknowledged if value not in consumed}
    assert set(figures["lost"]) == lost
    assert set(figures["dropped"]) == {value for value in lost if value in back}
    assert set(figures["unexpected"]) == {6} & {value for value, _ in deliveries}
    assert figures["returned-count"] == back.total()
    assert figures["duplicated-count"] == sum(
        count - 1 for value, count in consumed.items() if value < 6
    )
    assert figures["verdict"] is (
        Verdict.INVALID if lost or figures["unexpected"] else Verdict.VALID
    )
