"""Datagrams between all nodes: what the network loses, duplicates, reorders, delays and slows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from jepsenvm.machines.facts import Facts
from jepsenvm.machines.ssh import Fleet

PORT: Final = 25673
"""The UDP port. RabbitMQ does not use it."""

LEAD_S: Final = 1.0
"""Seconds between telling the nodes and the first datagram."""


def datagrams(
    fleet: Fleet,
    facts: Mapping[str, Facts],
    *,
    count: int = 50,
    every_ms: float = 20,
    size: int = 64,
    linger_s: float = 2.0,
) -> dict[str, Any]:
    """Let all nodes send each other ``count`` datagrams; return what each node received.

    The format is that of ``machines.remote.datagrams``; None for a node that failed. ``size`` is in
    bytes. A node waits up to ``linger_s`` seconds for late datagrams while any is missing.
    """
    linger_s *= fleet.patience
    lead = LEAD_S * fleet.patience
    exchange_id = secrets.randbits(32)
    at = time.time() + lead
    timeout = lead + count * every_ms / 1000 + linger_s + 15

    def exchange(node: str) -> Any:
        order = {
            "at": at + facts[node].clock_offset,
            "run": exchange_id,
            "peers": {
                name: peer.global_addresses[0] for name, peer in facts.items() if name != node
            },
            "self": node,
            "port": PORT,
            "count": count,
            "every-ms": every_ms,
            "size": size,
            "linger-s": linger_s,
        }
        return fleet.python(node, "datagrams", order, timeout=timeout)

    return fleet.each_or_none(exchange, list(facts))
