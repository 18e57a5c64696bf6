"""The drain of workload topology: reads the nodes until they agree, then probes what routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from jepsenvm.checkers.topology_things import DEFAULT_EXCHANGE, binding
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.drain import DRAIN_PROCESS
from jepsenvm.workloads.topology_probes import probe_all
from jepsenvm.workloads.topology_reads import Seen, read_all

logger = logging.getLogger(__name__)

SETTLE_S: Final = 60.0
"""Seconds that the nodes have to agree. A broker notices a lost connection within two heartbeats of
10 s, and then deletes its exclusive queues."""
READ_AGAIN_S: Final = 2.0


@dataclass(frozen=True)
class Remembered:
    """What the load of this process used, by the numbers of ``checkers.topology_things``."""

    used: Collection[int]
    """Bindings, and queues by their bindings to the default exchange."""
    temporary: Collection[int]
    """Queues that must not exist any more."""


async def read_and_probe(context: Context, remembered: Remembered | None) -> None:
    """Read every node until all agree, then probe; ``remembered`` is None in a resumed run."""
    deadline, processes = context.plan.drain_deadline, count(DRAIN_PROCESS)
    seen: list[Seen] = []
    try:
        async with asyncio.timeout(deadline):
            seen = await _settled(context, processes, remembered)
            probes = await probe_all(context, processes, *_targets(seen, remembered))
    except TimeoutError:
        error = f"not everything was read and probed within {deadline:g} s"
        logger.info(f"drain: {error}")
        if not seen:
            # What was read may be on its way, so it must not be judged.
            context.journal.append("invoke", "drain", process=DRAIN_PROCESS)
            context.journal.append("info", "drain", process=DRAIN_PROCESS, error=error)
        return
    logger.info(f"drain: {len(seen)} nodes read, {probes:,} probes")


async def _settled(
    context: Context, processes: Iterator[int], remembered: Remembered | None
) -> list[Seen]:
    """Read all nodes until they agree, twice in a row, or SETTLE_S is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE_S * context.addresses[0].patience
    before: list[Seen] = []
    while True:
        seen = await read_all(context, processes)
        if len(seen) == len(context.addresses):
            if loop.time() > until or (seen == before and _is_final(seen, remembered)):
                return seen
            before = seen
        await asyncio.sleep(READ_AGAIN_S)


def _is_final(seen: Sequence[Seen], remembered: Remembered | None) -> bool:
    """Return whether the nodes agree, and nothing is left that a broker may yet remove.

    A resumed run does not know what that is, so it waits.
    """
    if remembered is None:
        return False
    alike = all(one.listed == seen[0].listed and one.found == seen[0].found for one in seen)
    left = set(seen[0].listed["queues"]) & set(remembered.temporary)
    return alike and not left and not any(one.refused for one in seen)


def _targets(seen: Sequence[Seen], remembered: Remembered | None) -> tuple[set[int], set[int]]:
    """Return what to probe: what was used or is listed, and of this, what must be gone."""
    targets = {number for one in seen for number in one.listed["bindings"]}
    targets |= {binding(DEFAULT_EXCHANGE, queue) for one in seen for queue in one.listed["queues"]}
    if remembered is None:
        return targets, set()
    gone = {binding(DEFAULT_EXCHANGE, queue) for queue in remembered.temporary}
    return (targets | set(remembered.used)) - gone, gone
