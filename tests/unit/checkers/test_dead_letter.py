"""dead-letter: a message that never arrived is lost, whatever the strategy guarantees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from tests.unit.builders import DRAIN, UNPROVEN_DRAINS, delivered, history, published


def judged(*parts: list[Op], strategy: str = "at-least-once") -> Result:
    return dead_letter(history(*parts), strategy=strategy)


def test_messages_that_all_arrived_are_valid() -> None:
    assert judged(published(1, 2), delivered(2, 1), DRAIN).verdict is Verdict.VALID


def test_messages_that_never_arrived_are_lost() -> None:
    result = judged(published(1, 2, 3, node="n1"), delivered(2), DRAIN)
    assert (result.verdict, result.figures["lost"], result.figures["promised"]) == (
        Verdict.INVALID,
        [1, 3],
        True,
    )
    where = "confirmed by n1 between 0.0 s and 0.0 s, 2 without any fault"
    assert result.reasons == (f"2 messages never arrived in the dead-letter queue: {where}",)


def test_a_loss_is_invalid_although_the_strategy_guarantees_nothing() -> None:
    result = judged(published(1, 2), delivered(2), DRAIN, strategy="at-most-once")
    assert (result.verdict, result.figures["promised"]) == (Verdict.INVALID, False)
    assert result.reasons[0].endswith("; the strategy at-most-once guarantees nothing")
    assert (
        judged(published(1), delivered(1), DRAIN, strategy="at-most-once").verdict is Verdict.VALID
    )


def test_an_unexpected_message_has_a_reason_of_its_own() -> None:
    result = judged(published(1), delivered(7), DRAIN)
    assert [reason.split(":")[0] for reason in result.reasons] == [
        "1 message never arrived in the dead-letter queue",
        "1 delivered message is unexpected",
    ]


@pytest.mark.parametrize("drain", UNPROVEN_DRAINS)
def test_a_missing_message_is_undecided_without_a_finished_drain(drain: list[Op]) -> None:
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
def test_verdict_and_figures_are_those_of_total_queue(ops: list[Op]) -> None:
    result, total = judged(ops, DRAIN), total_queue(from_ops([*ops, *DRAIN]))
    assert (result.verdict, len(result.reasons)) == (total.verdict, len(total.reasons))
    assert {key: result.figures[key] for key in total.figures} == total.figures
