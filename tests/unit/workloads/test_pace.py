"""The pace of publishers, on a clock of the test."""

from __future__ import annotations

import asyncio

import pytest

from jepsenvm.plan.rate import RateCurve, RatePiece, rate_curve
from jepsenvm.workloads import pace
from jepsenvm.workloads.pace import Pace


class Clock:
    """A clock that only ``wait`` moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now

    async def wait(self, _: asyncio.Event, seconds: float) -> None:
        self.now += max(0.0, seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "wait", clock.wait)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def turns(pace: Pace, clock: Clock, number: int) -> list[float]:
    """Take some turns, and return their times since the load began."""
    times = []
    for _ in range(number):
        # A coroutine that waits for nothing ends at its first step.
        with pytest.raises(StopIteration):
            pace.turn().send(None)
        times.append(clock.now - 100)
    return times


def test_publishers_share_a_constant_rate(clock: Clock) -> None:
    publisher = Pace(rate_curve(10), 5, 100, asyncio.Event())
    assert turns(publisher, clock, 3) == pytest.approx([0.5, 1.0, 1.5])


def test_a_publisher_that_falls_behind_does_not_catch_up(clock: Clock) -> None:
    publisher = Pace(rate_curve(1), 1, 100, asyncio.Event())
    turns(publisher, clock, 1)
    clock.now += 50
    assert turns(publisher, clock, 3) == pytest.approx([51, 52, 53])


def test_a_burst_is_followed_by_silence(clock: Clock) -> None:
    pieces = [RatePiece(lasts=1, begins=4), RatePiece(lasts=9, begins=0)]
    publisher = Pace(RateCurve(pieces), 1, 100, asyncio.Event())
    assert turns(publisher, clock, 6) == pytest.approx([0.25, 0.5, 0.75, 10, 10.25, 10.5])


def test_without_a_rate_no_publisher_waits(clock: Clock) -> None:
    assert turns(Pace(None, 1, 100, asyncio.Event()), clock, 3) == [0, 0, 0]
