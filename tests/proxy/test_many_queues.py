"""Many queues behind the proxy: each copy of a message is judged by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from jepsenvm.checkers.verdict import Verdict
from tests.proxy.broker import Broker
from tests.proxy.load import Run, plan_of, run_through_proxy
from tests.proxy.misdeeds import Kind

QUEUES: Final = 50
MESSAGES: Final = 600
COPIES: Final = 3

TOPIC: Final = {
    "queue-type": "classic",
    "queues": QUEUES,
    "exchange": "topic",
    "fan-out": COPIES,
    "consumers": 4,
    "consume": "mixed",
    "window": 10,
    "messages": MESSAGES,
}


def run(broker: Broker, folder: Path, keys: Mapping[str, Any], *kinds: Kind | None) -> list[Run]:
    """Run the plan once for each kind of misdeed, all at the same time."""

    async def together() -> list[Run]:
        return await asyncio.gather(
            *(
                run_through_proxy(broker, folder / f"{folder.name}-{kind}", plan_of(keys), kind)
                for kind in kinds
            )
        )

    return asyncio.run(together())


def test_copies_in_fifty_queues(private_broker: Broker, tmp_path: Path) -> None:
    honest, dropped, falsely_confirmed, invented = run(
        private_broker, tmp_path, TOPIC, None, "drop", "falsely-confirm", "invent"
    )
    assert honest.verdict is Verdict.VALID, honest.reasons
    assert honest.main.figures["acknowledged-count"] == MESSAGES * COPIES
    assert honest.main.figures["binding-count"] == 51  # the last group ends with the first queue
    for lossy, lost in ((dropped, 1), (falsely_confirmed, COPIES)):
        assert lossy.misdeed is not None
        assert lossy.verdict is Verdict.INVALID, lossy.reasons
        assert lossy.main.figures["lost-count"] == lost
        assert {value for value, _ in lossy.main.figures["lost"]} == {lossy.misdeed.value}
        assert [entry["count"] for entry in lossy.main.figures["lost-by-queue"]] == [1] * lost
    assert invented.verdict is Verdict.INVALID, invented.reasons
    assert invented.main.figures["unexpected-count"] == 1
    assert invented.main.figures["lost-count"] == 0


@pytest.mark.parametrize(
    "keys",
    [
        {"exchange": "direct", "fan-out": 2},
        {"exchange": "headers", "fan-out": 2},
        {"exchange": "fanout", "fan-out": 4},
        {"exchange": "fanout", "fan-out": 10},
        {"exchange": "topic", "queues": 1},
        {"queue-type": "quorum"},
        {"queue-type": "mirrored", "exchange": "direct", "consumers": 3, "consumer-churn": "1s"},
    ],
    ids=lambda keys: "-".join(map(str, keys.values())),
)
def test_each_exchange(private_broker: Broker, tmp_path: Path, keys: Mapping[str, Any]) -> None:
    plan = {"queue-type": "classic", "queues": 10, "messages": 200, "window": 5, **keys}
    kinds: tuple[Kind | None, ...] = (None, "drop")
    if "consumer-churn" in keys:
        plan, kinds = {**plan, "messages": 2000, "rate": 500}, (None,)
    honest, *others = run(private_broker, tmp_path, plan, *kinds)
    assert honest.verdict is Verdict.VALID, honest.reasons
    assert honest.main.figures["ok-count"] == plan["messages"] * int(str(keys.get("fan-out", 1)))
    for dropped in others:
        assert dropped.verdict is Verdict.INVALID, dropped.reasons
        assert dropped.main.figures["lost-count"] == 1
