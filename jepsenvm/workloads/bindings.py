"""The record of the bindings after the drain: what the run declared, and what the nodes list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from jepsenvm.checkers.wording import counted
from jepsenvm.errors import JepsenvmError, shorten
from jepsenvm.history.nemesis_records import BINDINGS
from jepsenvm.history.op import NEMESIS
from jepsenvm.rabbitmq.topology_listing import Binding
from jepsenvm.workloads.context import Context

logger = logging.getLogger(__name__)

SHOWN: Final = 1000
"""At most this many missing bindings are recorded. The count is exact."""


async def record_bindings(context: Context) -> None:
    """Ask every node for its bindings, and record which of the run's bindings it lacks."""
    declared = [
        Binding(binding.exchange, binding.queue, binding.key) for binding in context.routes.bindings
    ]
    if not declared:
        return
    nodes = [address.node for address in context.addresses]
    answers = await asyncio.gather(*(_listed(context, node) for node in nodes))
    listed = dict(zip(nodes, answers, strict=True))
    missing = [
        (binding, without)
        for binding in declared
        if (without := [node for node, answer in listed.items() if _lacks(answer, binding)])
    ]
    data = {
        "declared": len(declared),
        "missing-count": len(missing),
        "missing": [_entry(binding, without) for binding, without in missing[:SHOWN]],
        "silent": {node: answer for node, answer in listed.items() if isinstance(answer, str)},
    }
    context.journal.append("info", BINDINGS, process=NEMESIS, data=data)
    logger.info(f"{counted(len(declared), 'binding')} declared, {len(missing):,} missing")


async def _listed(context: Context, node: str) -> frozenset[Binding] | str:
    """Return the bindings that a node lists, or why it lists none."""
    try:
        return await context.list_bindings(node)
    except JepsenvmError as error:
        return shorten(error, 200)


def _lacks(answer: frozenset[Binding] | str, binding: Binding) -> bool:
    return not isinstance(answer, str) and binding not in answer


def _entry(binding: Binding, nodes: Sequence[str]) -> dict[str, Any]:
    return {
        "queue": binding.queue,
        "exchange": binding.exchange,
        "key": binding.key,
        "nodes": list(nodes),
    }
