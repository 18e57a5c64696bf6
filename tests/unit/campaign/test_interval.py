"""Wilson's interval, compared with published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.campaign.interval import wilson


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(count: int, total: int, low: float, high: float) -> None:
    interval = wilson(count, total)
    assert interval is not None
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_nothing_observed_has_no_interval() -> None:
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("count", "total"), [(2, 1), (-1, 4)])
def test_no_proportion_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no proportion"):
        wilson(count, total)


@given(total=st.integers(1, 10**9), data=st.data())
def test_the_interval_holds_the_proportion(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    interval = wilson(count, total)
    mirrored = wilson(total - count, total)
    assert interval is not None
    assert mirrored is not None
    assert 0 <= interval.low <= count / total <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    assert (interval.low == 0) == (count == 0)
    assert (interval.high == 1) == (count == total)
