"""Datagrams between all nodes: what the network loses, duplicates, reorders, delays and slows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from jepsenvm.machines.facts import Facts
from jepsenvm.machines.rendezvous import NOTICE_S, Rendezvous, start_together
from jepsenvm.machines.ssh import Fleet, without_errors

PORT: Final = 25673
"""The UDP port. RabbitMQ does not use it."""

WAIT_S: Final = 3.0
"""Seconds that the nodes wait for each other before the first datagram."""


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
    exchange_id = secrets.randbits(32)
    orders = {
        node: {
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
        for node in facts
    }
    answers = start_together(
        fleet,
        "datagrams",
        orders,
        Rendezvous(
            {node: of_node.clock_offset for node, of_node in facts.items()},
            lambda: time.time() + NOTICE_S * fleet.patience,
            needs_all=False,
        ),
        dict,
        wait_s=WAIT_S,
        timeout=WAIT_S + count * every_ms / 1000 + linger_s + 15,
    )
    return without_errors(answers)
