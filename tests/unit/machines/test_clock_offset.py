"""How far a node's clock is ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jepsenvm.machines import clock_offset as module
from jepsenvm.machines.clock_offset import clock_offset
from jepsenvm.machines.ssh import Output
from tests.unit.fakes import FakeFleet

AHEAD = 7.25
"""Seconds by which the node's clock is ahead."""


class DelayedNode:
    """A node that answers after a delay each way, and the clock of this machine."""

    def __init__(self, *delays: tuple[float, float]) -> None:
        self.now = 1000.0
        self._delays = iter(delays)

    def time(self) -> float:
        return self.now

    def plain(self, node: str, command: str) -> Output:
        there, back = next(self._delays)
        self.now += there
        clock = f"{self.now + AHEAD:.9f}\n"
        self.now += back
        return Output(clock, "", 0)


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet("n1")


def measured(monkeypatch: pytest.MonkeyPatch, fleet: FakeFleet, node: DelayedNode) -> float:
    monkeypatch.setattr(fleet, "plain", node.plain, raising=False)
    monkeypatch.setattr(module, "time", node)
    return clock_offset(fleet, "n1")


def delays() -> Iterator[tuple[float, float]]:
    """One exchange is fast; the others are delayed, most of them on one way only."""
    yield from [(0.2, 0.001), (0.001, 0.3), (0.004, 0.002)]
    yield from [(0.5, 0.5)] * (module.READINGS - 3)


def test_the_fastest_exchange_counts(monkeypatch: pytest.MonkeyPatch, fleet: FakeFleet) -> None:
    offset = measured(monkeypatch, fleet, DelayedNode(*delays()))
    assert offset == pytest.approx(AHEAD + (0.004 - 0.002) / 2, abs=1e-6)


def test_the_error_is_at_most_half_of_an_exchange(
    monkeypatch: pytest.MonkeyPatch, fleet: FakeFleet
) -> None:
    one_way = DelayedNode(*[(0.0, 0.01)] * module.READINGS)
    assert abs(measured(monkeypatch, fleet, one_way) - AHEAD) <= 0.005 + 1e-6
