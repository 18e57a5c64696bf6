"""Deadlines of many futures with one timer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jepsenvm.rabbitmq.deadlines import Deadlines


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time moves only when it waits for a timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.timers: list[float] = []

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]  # its type depends on the callback
        self, when: float, *args: Any, **keys: Any
    ) -> asyncio.TimerHandle:
        self.timers.append(when)
        return super().call_at(when, *args, **keys)


@pytest.fixture
def loop() -> Any:
    loop = Clock()
    yield loop
    loop.close()


def let_pass(loop: Clock, seconds: float) -> None:
    """Let time pass, and run what is due."""

    async def settle() -> None:
        await asyncio.sleep(0)

    loop.now += seconds
    loop.run_until_complete(settle())


def test_each_future_times_out_when_it_is_due(loop: Clock) -> None:
    deadlines = Deadlines()
    first, second, third = (loop.create_future() for _ in range(3))
    deadlines.add(first, 5)
    loop.now = 1
    deadlines.add(second, 5)
    deadlines.add(third, 5)
    second.set_result("in time")
    let_pass(loop, 3.9)
    assert not first.done()
    let_pass(loop, 0.1)
    assert isinstance(first.exception(), TimeoutError)
    assert not third.done()
    let_pass(loop, 1)
    assert isinstance(third.exception(), TimeoutError)
    assert second.result() == "in time"
    # One timer, and one more for what was not yet due.
    assert loop.timers == [5, 6]


def test_futures_in_time_need_one_timer(loop: Clock) -> None:
    deadlines = Deadlines()
    for _ in range(1000):
        future = loop.create_future()
        deadlines.add(future, 5)
        future.set_result(None)
    assert loop.timers == [5]
    assert len(deadlines._waiting) == 1
    let_pass(loop, 5)
    assert not deadlines._waiting
    later = loop.create_future()
    deadlines.add(later, 5)
    assert loop.timers == [5, 10]
    later.cancel()
    let_pass(loop, 5)
    assert later.cancelled()
