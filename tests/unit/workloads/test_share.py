"""The shares of load processes: together they are the whole load, and no client is in two."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.history.journal import Journal
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.workloads import consumers as consumers_module
from jepsenvm.workloads import publishers as publishers_module
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.publishers import publishers_and_consumers
from jepsenvm.workloads.share import EVERY_CLIENT, Share

Client = tuple[str, str, int]
"""The kind of a client, its node and a number that only it has."""


@given(st.integers(1, 64), st.integers(0, 300))
def test_every_client_is_in_one_share(processes: int, client: int) -> None:
    shares = [Share(index, processes) for index in range(processes)]
    assert sum(share.has(client) for share in shares) == 1
    assert EVERY_CLIENT.has(client)


def clients(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: Share,
    *,
    single_active: bool = False,
    **keys: Any,
) -> list[Client]:
    """Return the clients that a process with a share begins."""
    begun: list[Client] = []

    class Publisher:
        def __init__(self, _: Context, address: Address, values: Any, *more: object) -> None:
            self._client = "publisher", address.node, next(values)

        async def run(self, numbers: Any) -> None:
            begun.append((*self._client[:2], self._client[2] * 1000 + numbers[0].current))

    async def consume(_: Context, address: Address, numbers: Any, use: object) -> None:
        begun.append(("consumer", address.node, numbers.current))

    monkeypatch.setattr(publishers_module, "_Publisher", Publisher)
    monkeypatch.setattr(consumers_module, "_consume", consume)

    async def run() -> None:
        folder.mkdir()
        context = Context(
            Plan(**keys),
            [Address(node, "192.0.2.1", 5672, "user", "secret") for node in ("n1", "n2", "n3")],
            "queue",
            Journal(folder / "history.arrow", count().__next__),
            asyncio.Event(),
            share=share,
        )
        await asyncio.gather(*publishers_and_consumers(context, single_active=single_active))
        assert len(context.op_counts) == sum(kind == "publisher" for kind, *_ in begun)

    asyncio.run(run())
    return begun


KEYS: Any = {"publishers": 2, "consumers": 5, "window": 3}


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_all_shares_are_the_whole_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    whole = clients(tmp_path / "whole", monkeypatch, EVERY_CLIENT, **KEYS)
    assert len(whole) == 11
    parts = [
        clients(tmp_path / f"{index}", monkeypatch, Share(index, processes), **KEYS)
        for index in range(processes)
    ]
    assert Counter(client for part in parts for client in part) == Counter(whole)
    # Each process has its share of both kinds, to one client.
    for kind in ("publisher", "consumer"):
        sizes = [sum(client[0] == kind for client in part) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_consumers_of_which_one_is_active_are_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        clients(tmp_path / f"{index}", monkeypatch, Share(index, 4), single_active=True, **KEYS)
        for index in range(4)
    ]
    consumers = [sum(client[0] == "consumer" for client in part) for part in parts]
    assert sorted(consumers) == [0, 0, 0, 5]
    assert sum(len(part) for part in parts) == 11
