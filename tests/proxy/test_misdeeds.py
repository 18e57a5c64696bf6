"""A proxy that misdeals with one message is found out, and an honest proxy is not accused.

| kind | what the proxy does |
| --- | --- |
| drop | swallows a delivery, and acknowledges it to the broker in the client's name |
| duplicate | publishes a message once more, on a connection of its own |
| invent | publishes a value that no client sent |
| reorder | exchanges two deliveries of one publisher |
| corrupt | changes a byte of a message on its way to the broker |
| truncate, concatenate | shortens a body or doubles it; only for bodies with a checksum |
| falsely-confirm | confirms a publish, and keeps it from the broker |

A queue may duplicate, so duplicates do not change a verdict; the figures must show them. Only
workload order and stream promise an order. The lock's message has no value to corrupt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from jepsenvm.checkers.verdict import Verdict
from tests.proxy.broker import Broker
from tests.proxy.load import NODES, Run, plan_of, run_through_proxy
from tests.proxy.misdeeds import KINDS, OTHER_LENGTHS, Kind, expected_figures

QUEUE_MESSAGES: Final = 10_000
MESSAGES: Final = 1_000

WITHOUT_ORDER: Final[tuple[Kind, ...]] = tuple(kind for kind in KINDS if kind != "reorder")
LOCK_KINDS: Final[tuple[Kind, ...]] = ("drop", "duplicate", "invent", "falsely-confirm")

QUEUE: Final = {"workload": "queue", "queue-type": "quorum", "window": 50}

OTHERS: Final[Mapping[str, tuple[Mapping[str, Any], tuple[Kind, ...]]]] = {
    "queue-classic": ({**QUEUE, "queue-type": "classic"}, WITHOUT_ORDER),
    "queue-mirrored": ({**QUEUE, "queue-type": "mirrored"}, WITHOUT_ORDER),
    "queue-stream": ({**QUEUE, "queue-type": "stream"}, WITHOUT_ORDER),
    "queue-consumers": ({**QUEUE, "consumers": 4, "consume": "mixed"}, WITHOUT_ORDER),
    "queue-transactions": (
        {**QUEUE, "queue-type": "classic", "confirm": "transactions", "window": 1},
        WITHOUT_ORDER,
    ),
    # With prefetch 1, the broker waits for an acknowledgement before each delivery, so that a proxy
    # cannot exchange two. Without a window, a publisher has confirmed a message before the next.
    "order": ({"workload": "order", "prefetch": 20}, KINDS),
    "stream": ({"workload": "stream", "window": 10}, KINDS),
    "redelivery": ({"workload": "redelivery", "window": 10}, WITHOUT_ORDER),
    "dead-letter": ({"workload": "dead-letter", "window": 50}, WITHOUT_ORDER),
    # Classic queues keep bodies under 4,096 bytes elsewhere than larger ones.
    "queue-bodies": (
        {**QUEUE, "queue-type": "classic", "message-size": [43, 9000]},
        (*WITHOUT_ORDER, *OTHER_LENGTHS),
    ),
    "order-bodies": (
        {"workload": "order", "prefetch": 20, "message-size": 200},
        (*KINDS, *OTHER_LENGTHS),
    ),
    "stream-bodies": (
        {"workload": "stream", "window": 10, "message-size": [43, 9000]},
        (*KINDS, *OTHER_LENGTHS),
    ),
    "queue-workers": ({**QUEUE, "workers": 2, "consumers": 2}, ("drop",)),
    "order-workers": ({"workload": "order", "workers": 2, "prefetch": 20}, ("reorder",)),
    "stream-workers": ({"workload": "stream", "workers": 2, "window": 10}, ("drop",)),
    "lock": ({"workload": "lock", "hold": [0, 0.01], "messages": 60, "time-limit": 10}, LOCK_KINDS),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat each test with as many seeds as the command line says."""
    metafunc.parametrize("seed", range(metafunc.config.getoption("--proxy-seeds")))


def run_all(
    broker: Broker, folder: Path, keys: Mapping[str, Any], kinds: Sequence[Kind | None]
) -> dict[Kind | None, Run]:
    """Run the plan once for each kind, all at the same time."""

    async def run() -> list[Run]:
        plan = plan_of(keys)
        names = {kind: f"{folder.name}-{kind}" for kind in kinds}
        return await asyncio.gather(
            *(run_through_proxy(broker, folder / names[kind], plan, kind) for kind in kinds)
        )

    return dict(zip(kinds, asyncio.run(run()), strict=True))


def must_be_found_out(run: Run, messages: int, keys: Mapping[str, Any] = QUEUE) -> None:
    """Assert that the figures are those of the proxy's misdeed, and that the verdict follows.

    ``keys`` are those of the plan.
    """
    assert run.misdeed is not None, "the proxy did nothing"
    assert run.main.figures["acknowledged-count"] >= messages, "the machine is too slow"
    expected = expected_figures(run.misdeed, range(messages), checked="message-size" in keys)
    if keys["workload"] == "stream":
        expected["corrupted"] *= len(NODES)  # each node's reader reads the record
    figures = {name: run.main.figures[f"{name}-count"] for name in expected}
    assert figures == expected, (run.misdeed, run.reasons)
    if run.misdeed.kind == "reorder":
        # A stream's reader sees a lower offset in each record that was overtaken.
        ordered = {"nonmonotonic": run.misdeed.overtaken, "out-of-order": 0}
        ordered = ordered if keys["workload"] == "stream" else {"out-of-order": 1}
        assert {kind: run.main.figures[f"{kind}-count"] for kind in ordered} == ordered, run.reasons
    duplicate = run.misdeed.kind == "duplicate"
    assert run.verdict is (Verdict.VALID if duplicate else Verdict.INVALID), run.reasons


def test_a_queue(seed: int, private_broker: Broker, tmp_path: Path) -> None:
    kinds: list[Kind | None] = [None, *WITHOUT_ORDER]
    keys = {**QUEUE, "messages": QUEUE_MESSAGES, "seed": seed}
    runs = run_all(private_broker, tmp_path, keys, kinds)
    must_not_be_accused(runs.pop(None))
    for run in runs.values():
        must_be_found_out(run, QUEUE_MESSAGES)


@pytest.mark.parametrize("name", OTHERS)
def test_other_workloads(name: str, seed: int, private_broker: Broker, tmp_path: Path) -> None:
    keys, kinds = OTHERS[name]
    plan = {"messages": MESSAGES, **keys, "seed": seed}
    runs = run_all(private_broker, tmp_path, plan, [None, *kinds])
    must_not_be_accused(runs.pop(None))
    for run in runs.values():
        if name == "lock":
            must_lose_or_double_the_lock(run)
        else:
            must_be_found_out(run, MESSAGES, keys)


def must_not_be_accused(run: Run) -> None:
    """Assert that a run without a misdeed is valid."""
    assert run.misdeed is None
    assert run.verdict is Verdict.VALID, run.reasons


def must_lose_or_double_the_lock(run: Run) -> None:
    """Assert that a lock without its message, or with two, is invalid."""
    assert run.misdeed is not None, "the proxy did nothing"
    assert run.verdict is Verdict.INVALID, (run.misdeed, run.reasons)
    doubled = run.misdeed.kind in ("duplicate", "invent")
    assert run.main.figures["tokens"] == (2 if doubled else 0)
