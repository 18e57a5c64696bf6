"""Rates that change over time: how many messages are due, and when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.plan.rate import RateCurve, RatePiece, rate_curve


def piece(lasts: float, begins: float, ends: float | None = None) -> RatePiece:
    return RatePiece(lasts=lasts, begins=begins, ends=ends)


RATES = st.just(0.0) | st.floats(0.1, 1000)
PIECES = st.lists(
    st.builds(piece, st.floats(0.1, 60), RATES, st.none() | RATES), min_size=1, max_size=4
).filter(lambda pieces: any(piece.begins or piece.ends for piece in pieces))


@pytest.mark.parametrize(
    ("pieces", "time", "messages"),
    [
        ([piece(1, 50)], 3, 150),
        ([piece(10, 5), piece(10, 20)], 15, 150),
        ([piece(10, 5), piece(10, 20)], 30, 300),  # the pieces repeat
        ([piece(10, 0, 10)], 5, 12.5),
        ([piece(10, 0, 10)], 10, 50),
        ([piece(10, 10, 0)], 5, 37.5),
        ([piece(1, 1000), piece(9, 0)], 10, 1000),
    ],
)
def test_messages_and_times_belong_to_each_other(
    pieces: Sequence[RatePiece], time: float, messages: float
) -> None:
    curve = RateCurve(pieces)
    assert curve.messages(time) == pytest.approx(messages)
    assert curve.messages(curve.time(messages)) == pytest.approx(messages)


def test_nothing_is_due_during_silence() -> None:
    curve = RateCurve([piece(1, 10), piece(9, 0)])
    times = [curve.time(messages) for messages in range(21)]
    assert times[:10] == pytest.approx([number / 10 for number in range(10)])
    assert times[10:20] == pytest.approx([10 + number / 10 for number in range(10)])
    assert times[20] == pytest.approx(20)


@given(PIECES, st.integers(0, 10_000))
def test_the_number_of_messages_until_a_time_leads_back_to_the_time(
    pieces: Sequence[RatePiece], messages: int
) -> None:
    curve = RateCurve(pieces)
    assert curve.messages(curve.time(messages)) == pytest.approx(messages, rel=1e-6, abs=1e-3)


@given(PIECES, st.lists(st.floats(0, 10_000), min_size=2))
def test_later_messages_are_due_later(pieces: Sequence[RatePiece], numbers: list[float]) -> None:
    curve = RateCurve(pieces)
    times = [curve.time(number) for number in sorted(numbers)]
    assert all(later >= sooner - 1e-6 for sooner, later in pairwise(times))


def test_next_to_no_messages_are_due_at_once() -> None:
    assert RateCurve([piece(10, 0, 1)]).time(5e-324) == 0


def test_a_rate_of_zero_is_no_limit() -> None:
    assert rate_curve(0) is None
