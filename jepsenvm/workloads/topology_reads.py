"""Reads of workload topology: what each node has, as it lists it and as clients find it.

A read asks a node twice. It lists what exists, and passive declares show whether clients
find it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jepsenvm.checkers.topology_things import binding
from jepsenvm.errors import JepsenvmError
from jepsenvm.rabbitmq.amqp import Address, SessionLost, failure_text
from jepsenvm.rabbitmq.topology_listing import Listing
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.node_sessions import NodeSessions
from jepsenvm.workloads.topology_client import REFUSALS, name_of, routing_key

ABSENT: Final = ("404 NOT_FOUND - no queue ", "404 NOT_FOUND - no exchange ")
"""How the broker says that it has no such thing. Another 404 says why it does not serve it."""
LOCKED: Final = "405 "
"""The reply code for another connection's exclusive queue, which exists."""


@dataclass
class Seen:
    """What one node has."""

    listed: Mapping[str, list[int]]
    odd: list[str]
    found: dict[str, list[int]] = field(default_factory=lambda: {"queues": [], "exchanges": []})
    refused: list[tuple[str, int, str]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Return it as the data of a read; see ``checkers.topology_reads``."""
        return {
            "listed": dict(self.listed),
            "found": self.found,
            "refused": [list(entry) for entry in self.refused],
            "odd": self.odd,
        }


async def read_all(context: Context, processes: Iterator[int]) -> list[Seen]:
    """Read all nodes at the same time, as one op each; return what those that answered have."""
    journal, addresses = context.journal, context.addresses
    of_node = {address.node: next(processes) for address in addresses}
    for node, process in of_node.items():
        journal.append("invoke", "read", process=process, node=node)
    listings = await asyncio.gather(*(_list(context, address.node) for address in addresses))
    asked = {
        key: sorted({n for one in listings if isinstance(one, Seen) for n in one.listed[key]})
        for key in ("queues", "exchanges")
    }
    answers = await asyncio.gather(
        *(
            _ask(context, address, listed, asked)
            for address, listed in zip(addresses, listings, strict=True)
        )
    )
    for (node, process), answer in zip(of_node.items(), answers, strict=True):
        if isinstance(answer, Seen):
            journal.append("ok", "read", process=process, node=node, data=answer.as_data())
        else:
            journal.append("info", "read", process=process, node=node, error=answer)
            context.log_once(f"drain: no read of {node}: {answer}")
    return [answer for answer in answers if isinstance(answer, Seen)]


async def _list(context: Context, node: str) -> Seen | str:
    """Return what a node lists; the error if it does not answer."""
    try:
        return seen_in(context.queue, await context.list_node(node))
    except JepsenvmError as problem:
        return str(problem)


def seen_in(run: str, listing: Listing) -> Seen:
    """Return what a listing has of a run, apart from the run's own queue."""
    odd: list[str] = []

    def numbers(names: Collection[str]) -> list[int]:
        of_run = [name for name in names if _is_of_run(run, name)]
        odd.extend(name for name in of_run if _number(run, name) is None)
        return sorted(number for name in of_run if (number := _number(run, name)) is not None)

    bindings = []
    for bound in listing.bindings:
        if not (_is_of_run(run, bound.exchange) or _is_of_run(run, bound.queue)):
            continue
        exchange, queue = _number(run, bound.exchange), _number(run, bound.queue)
        if exchange is None or queue is None or bound.key != routing_key(queue):
            odd.append(f"binding of {bound.queue} to {bound.exchange} with key {bound.key}")
        else:
            bindings.append(binding(exchange, queue))
    listed = {
        "queues": numbers(listing.queues),
        "exchanges": numbers(listing.exchanges),
        "bindings": sorted(bindings),
    }
    return Seen(listed, sorted(odd))


def _is_of_run(run: str, name: str) -> bool:
    return name.startswith(f"{run}.")


def _number(run: str, name: str) -> int | None:
    """Return the number in a name that a client gives; None for another name."""
    text = name.removeprefix(f"{run}.")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) if name == name_of(run, int(text)) else None


async def _ask(
    context: Context, address: Address, listed: Seen | str, asked: Mapping[str, Sequence[int]]
) -> Seen | str:
    """Declare passively, through one node, what any node lists; return the error if it fails."""
    if isinstance(listed, str):
        return listed
    try:
        async with NodeSessions(context) as sessions:
            for key, numbers in asked.items():
                for number in numbers:
                    await _look(sessions, address, listed, key, number)
    except (SessionLost, TimeoutError) as problem:
        return failure_text(problem)
    return listed


async def _look(
    sessions: NodeSessions, address: Address, seen: Seen, key: str, number: int
) -> None:
    """Add to ``seen`` whether clients find a queue or an exchange."""
    opened = await sessions.to(address)
    name = name_of(sessions.context.queue, number)
    require = opened.require_queue if key == "queues" else opened.require_exchange
    try:
        async with asyncio.timeout(sessions.context.plan.op_timeout):
            await require(name)
    except SessionLost as lost:
        reason = str(lost)
        if reason.startswith(ABSENT):
            return
        if not reason.startswith(REFUSALS):
            raise
        if not reason.startswith(LOCKED):
            seen.refused.append((key, number, reason))
            return
    seen.found[key].append(number)
