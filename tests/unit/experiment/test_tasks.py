"""Coroutines that run beside the phases of a run, and the faults and signals among them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jepsenvm.experiment.injection import inject_steps
from jepsenvm.experiment.signals import Interrupts
from jepsenvm.experiment.tasks import every, first_error, is_set_before, run_all
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.schedule import ScheduledFault

FAULT = Partition(name="partition", text="n1 | n2")


def test_an_action_repeats_until_the_context_ends() -> None:
    async def run() -> None:
        thrice = asyncio.Event()
        calls: list[int] = []

        async def action() -> None:
            calls.append(1)
            if len(calls) == 3:
                thrice.set()

        async with every(0.0, action):
            await thrice.wait()
        after = len(calls)
        await asyncio.sleep(0)
        assert len(calls) == after >= 3

    asyncio.run(run())


def test_an_error_of_a_repeated_action_ends_the_context() -> None:
    async def fail() -> None:
        raise OSError("disk full")

    async def run() -> None:
        async with every(0.0, fail):
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(run())
    assert str(first_error(caught.value)) == "disk full"


def test_the_first_error_cancels_the_other_coroutines() -> None:
    cancelled: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("wait")
            raise

    async def fail() -> None:
        raise ValueError("first")

    with pytest.raises(BaseExceptionGroup):
        asyncio.run(run_all([wait(), fail()]))
    assert cancelled == ["wait"]


def test_an_event_is_set_before_an_instant_or_not() -> None:
    async def run() -> None:
        event, now = asyncio.Event(), asyncio.get_running_loop().time()
        assert not await is_set_before(event, now)
        event.set()
        assert await is_set_before(event, now + 1000)

    asyncio.run(run())


def test_the_first_signal_ends_the_load_and_the_second_skips_the_drain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = asyncio.Event()
    interrupts = Interrupts(stop)
    interrupts.handle()
    assert stop.is_set()
    assert interrupts.received.is_set()
    assert not interrupts.skip_drain.is_set()
    interrupts.handle()
    assert interrupts.skip_drain.is_set()
    assert len(caplog.messages) == 1


class Nemesis:
    """Records what is injected and healed, and whether it has a time."""

    ahead = 0.0

    def __init__(self) -> None:
        self.acts: list[tuple[str, int, bool]] = []

    def inject(self, number: int, _fault: Fault, at: float | None) -> None:
        self.acts.append(("inject", number, at is not None))

    def heal(self, number: int, at: float | None) -> None:
        self.acts.append(("heal", number, at is not None))

    def seen_healed(self, _number: int) -> bool:
        return True

    def settle(self) -> None: ...


def injected(steps: list[ScheduledFault], *, stopped: bool = False) -> list[tuple[str, int, bool]]:
    nemesis: Any = Nemesis()

    async def run() -> None:
        stop = asyncio.Event()
        if stopped:
            stop.set()
        await inject_steps(nemesis, steps, stop, asyncio.get_running_loop().time())

    asyncio.run(run())
    return list(nemesis.acts)


def test_each_fault_is_injected_and_healed_at_its_time() -> None:
    steps = [ScheduledFault(0.0, 0.01, FAULT), ScheduledFault(0.03, 0.04, FAULT)]
    assert sorted(injected(steps)) == [
        ("heal", 1, True),
        ("heal", 2, True),
        ("inject", 1, True),
        ("inject", 2, True),
    ]


def test_no_fault_is_injected_after_the_load_was_stopped() -> None:
    assert injected([ScheduledFault(1000.0, 2000.0, FAULT)], stopped=True) == []


def test_a_fault_in_force_is_healed_at_once_when_the_load_is_stopped() -> None:
    nemesis: Any = Nemesis()

    async def run() -> None:
        stop = asyncio.Event()
        began = asyncio.get_running_loop().time() - 1
        injecting = asyncio.create_task(
            inject_steps(nemesis, [ScheduledFault(0.0, 1000.0, FAULT)], stop, began)
        )
        while not nemesis.acts:
            await asyncio.sleep(0)
        stop.set()
        await injecting

    asyncio.run(run())
    assert nemesis.acts == [("inject", 1, True), ("heal", 1, False)]
