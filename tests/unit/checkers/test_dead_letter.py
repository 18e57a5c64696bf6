"""dead-letter: what never arrived is lost, whatever was promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops

DRAIN = [Op("invoke", "drain", process=99), Op("ok", "drain", process=99)]


def published(*values: int) -> list[Op]:
    return [
        Op(type_, "enqueue", value, node="n1") for value in values for type_ in ("invoke", "ok")
    ]


def arrived(*values: int) -> list[Op]:
    return [Op("ok", "dequeue", value) for value in values]


def judged(*parts: list[Op], strategy: str = "at-least-once") -> Result:
    return dead_letter(from_ops(op for part in parts for op in part), strategy=strategy)


def test_all_that_arrived_is_valid() -> None:
    assert judged(published(1, 2), arrived(2, 1), DRAIN).verdict is Verdict.VALID


def test_what_never_arrived_is_lost() -> None:
    result = judged(published(1, 2, 3), arrived(2), DRAIN)
    assert (result.verdict, result.figures["lost"], result.figures["promised"]) == (
        Verdict.INVALID,
        [1, 3],
        True,
    )
    where = "confirmed by n1 between 0.0 s and 0.0 s, 2 without any fault"
    assert result.reasons == (f"2 never arrived in the dead-letter queue: {where}",)


def test_lost_is_lost_even_where_nothing_was_promised() -> None:
    result = judged(published(1, 2), arrived(2), DRAIN, strategy="at-most-once")
    assert (result.verdict, result.figures["promised"]) == (Verdict.INVALID, False)
    assert result.reasons[0].endswith("; the strategy at-most-once promises nothing")
    assert judged(published(1), arrived(1), DRAIN, strategy="at-most-once").verdict is Verdict.VALID


def test_a_message_that_nobody_sent_is_told_beside_the_lost() -> None:
    result = judged(published(1), arrived(7), DRAIN)
    assert [reason.split(":")[0] for reason in result.reasons] == [
        "1 never arrived in the dead-letter queue",
        "1 unexpected",
    ]


@pytest.mark.parametrize("drain", [[], DRAIN[:1], [DRAIN[0], Op("info", "drain", process=99)]])
def test_without_a_finished_drain_it_is_undecided(drain: list[Op]) -> None:
    result = judged(published(1), drain)
    assert (result.verdict, result.figures["undecided"]) == (Verdict.UNKNOWN, [1])


@given(
    st.lists(
        st.builds(
            Op,
            st.sampled_from(["invoke", "ok"]),
            st.sampled_from(["enqueue", "dequeue"]),
            st.integers(0, 4),
        )
    )
)
def test_its_verdict_is_total_queues(ops: list[Op]) -> None:
    result, total = judged(ops, DRAIN), total_queue(from_ops([*ops, *DRAIN]))
    assert (result.verdict, len(result.reasons)) == (total.verdict, len(total.reasons))
    assert {key: result.figures[key] for key in total.figures} == total.figures
