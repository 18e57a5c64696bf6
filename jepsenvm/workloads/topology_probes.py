"""Probes of workload topology: messages that show what routes, through each node.

A probe publishes a mandatory message through a binding, or to a queue by the default exchange, and
gets it from the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jepsenvm.checkers.topology_things import DEFAULT_EXCHANGE, bound_exchange, bound_queue
from jepsenvm.history.op import Type
from jepsenvm.rabbitmq.amqp import Address, Outcome, Session, SessionLost
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.node_sessions import NodeSessions
from jepsenvm.workloads.topology_client import REFUSALS, name_of, routing_key

PROBE_ATTEMPTS: Final = 3
PROBE_AGAIN_S: Final = 1.0
GET_AGAIN_S: Final = 0.1
MOST_PROBES: Final = 2000
"""With more probes than this, each goes through one node instead of all."""


async def probe_all(
    context: Context, processes: Iterator[int], lasting: Collection[int], gone: Collection[int]
) -> int:
    """Probe bindings, and queues by their bindings to the default exchange; return how often.

    ``lasting``  these are probed through every node, unless they are too many.
    ``gone``     these must not exist any more, and are probed through one node each.
    """
    addresses, probes = context.addresses, 0
    everywhere = len(lasting) * len(addresses) <= MOST_PROBES
    async with NodeSessions(context) as sessions:
        for index, number in enumerate(sorted({*lasting, *gone})):
            one = addresses[index % len(addresses)]
            through_all = everywhere and number not in gone
            for address in addresses if through_all else [one]:
                probes += 1
                if not await _probe(sessions, address, processes, number):
                    break  # it proves nothing any more, and other nodes would not answer either
    return probes


async def _probe(
    sessions: NodeSessions, address: Address, processes: Iterator[int], number: int
) -> bool:
    """Probe one binding or queue through one node, again if the outcome is in doubt.

    Return whether the outcome is certain.
    """
    journal, node = sessions.context.journal, address.node
    for attempt in range(PROBE_ATTEMPTS):
        if attempt:
            await asyncio.sleep(PROBE_AGAIN_S)
        process = next(processes)
        journal.append("invoke", "probe", number, process=process, node=node)
        completion, error, data = await _outcome(sessions, address, process, number)
        journal.append(
            completion, "probe", number, process=process, node=node, error=error, data=data
        )
        if completion != "info":
            return True
        sessions.context.log_once(f"drain: {node}: a probe is in doubt: {error}")
    return False


async def _outcome(
    sessions: NodeSessions, address: Address, process: int, number: int
) -> tuple[Type, str | None, Mapping[str, bool] | None]:
    """Publish a message and get it back; return the completion of the probe, its error and data."""
    timeout, back = sessions.context.plan.op_timeout, _Message(str(process).encode())
    try:
        opened = await sessions.to(address)
        back.sent = True
        async with asyncio.timeout(timeout):
            exchange, key = _route(sessions.context.queue, number)
            outcome = await opened.publish(key, back.body, exchange=exchange)
            if outcome is Outcome.NACKED:
                return "info", outcome.value, None
            if outcome is Outcome.RETURNED:
                return "fail", outcome.value, {"routed": False}
            back.routed = True
            await _get_back(opened, name_of(sessions.context.queue, bound_queue(number)), back)
    except TimeoutError:
        sessions.drop(address)
        if back.queue_was_empty:
            error = f"confirmed, but not in the queue within {timeout:g} s"
            return "fail", error, {"routed": True}
        return "info", f"no answer within {timeout:g} s", None
    except SessionLost as lost:
        # A broker that refuses a login says nothing about a binding.
        refused = back.sent and str(lost).startswith(REFUSALS)
        return "fail" if refused else "info", str(lost), {"routed": back.routed}
    return "ok", None, None


def _route(run: str, number: int) -> tuple[str, str]:
    """Return the exchange and the routing key that lead through a binding to its queue."""
    exchange, queue = bound_exchange(number), bound_queue(number)
    if exchange == DEFAULT_EXCHANGE:
        return "", name_of(run, queue)
    return name_of(run, exchange), routing_key(queue)


@dataclass
class _Message:
    """The message of a probe, and how far it came."""

    body: bytes
    sent: bool = False
    """Whether a session was there to publish it."""
    routed: bool = False
    """Whether the broker confirmed it and did not return it."""
    queue_was_empty: bool = False
    """Whether the queue had no message although it was confirmed."""


async def _get_back(opened: Session, queue: str, message: _Message) -> None:
    """Get messages from a queue until the probe's own one comes."""
    while True:
        delivery = await opened.get(queue)
        if delivery is None:
            message.queue_was_empty = True
            await asyncio.sleep(GET_AGAIN_S)
            continue
        opened.settle(delivery.tag, returned=False)
        if delivery.body == message.body:
            return
