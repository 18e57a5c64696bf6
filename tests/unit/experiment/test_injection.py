"""The injection of a run's faults: which wait for each other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from jepsenvm.experiment.injection import inject_steps
from jepsenvm.nemesis.schedule import ScheduledFault
from tests.unit.nemesis.builders import fault_of


class Nemesis:
    """Keeps a record. An injection of ``slow`` numbers ends only when it is released."""

    ahead = 0.0

    def __init__(self, *slow: int) -> None:
        self.events: list[str] = []
        self.slow = slow
        self.unseen: set[int] = set()
        self.released = threading.Event()
        self.lock = threading.Lock()

    def note(self, event: str) -> None:
        with self.lock:
            self.events.append(event)

    def inject(self, number: int, *_: Any) -> None:
        self.note(f"inject {number}")
        if number in self.slow:
            assert self.released.wait(30)

    def heal(self, number: int, *_: Any) -> None:
        self.note(f"heal {number}")

    def seen_healed(self, number: int) -> bool:
        return number not in self.unseen

    def settle(self) -> None:
        self.note("settle")


def steps(*kinds: str) -> list[ScheduledFault]:
    return [ScheduledFault(0.0, 0.0, fault_of(kind, f"n{i}")) for i, kind in enumerate(kinds, 1)]


async def run(nemesis: Nemesis, *kinds: str, stop_first: bool = False) -> None:
    stop = asyncio.Event()
    began = asyncio.get_running_loop().time()
    injecting = asyncio.create_task(inject_steps(nemesis, steps(*kinds), stop, began))  # type: ignore[arg-type]  # a fake
    while len(nemesis.events) < 3:
        await asyncio.sleep(0.01)
    if stop_first:
        stop.set()
    nemesis.released.set()
    await injecting


def test_the_next_node_waits_until_the_one_before_was_upgraded() -> None:
    nemesis = Nemesis(1)
    asyncio.run(run(nemesis, "upgrade", "upgrade", "kill"))
    upgrades = [event for event in nemesis.events if not event.endswith("3")]
    assert upgrades == ["inject 1", "heal 1", "inject 2", "heal 2", "settle"]
    # The other fault does not wait for an upgrade.
    assert nemesis.events.index("heal 3") < nemesis.events.index("heal 1")


def test_no_further_node_is_upgraded_after_the_load() -> None:
    nemesis = Nemesis(1)
    asyncio.run(run(nemesis, "upgrade", "upgrade", "kill", stop_first=True))
    assert "inject 2" not in nemesis.events
    assert "heal 1" in nemesis.events


def test_a_healing_that_is_hidden_is_settled_after_the_load() -> None:
    nemesis = Nemesis()
    nemesis.unseen = {1}
    asyncio.run(run(nemesis, "drain", "kill", stop_first=True))
    assert sorted(nemesis.events[:-1]) == ["heal 1", "heal 2", "inject 1", "inject 2"]
    assert nemesis.events[-1] == "settle"
