"""Evidence of the probe `datagrams`: the datagrams that each node received from each other node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jepsenvm.machines.reachability import Grudge
from jepsenvm.nemesis.concurrent import ConcurrentFaults

TOLERATED_LOSS_PERCENT: Final = 50.0
"""A reachability probe sends several packets to several ports.

Up to this loss it is answered with near certainty.
"""


def received(datagrams: Mapping[str, Any], node: str, source: str) -> int | None:
    """Return how many datagrams a node received from another; None if its probe failed."""
    answer = datagrams.get(node)
    return None if answer is None else int(answer["heard"].get(source, {}).get("count", 0))


def lost_share(
    datagrams: Mapping[str, Any], grudge: Grudge, concurrent: ConcurrentFaults
) -> float | None:
    """Return the share of datagrams lost on the links of a grudge.

    Links that concurrent faults affect do not count. None if no other link could be measured.
    """
    sent = lost = 0
    for node, sources in grudge.items():
        answer = datagrams.get(node)
        for source in sources:
            if answer is None or concurrent.explains(source, node):
                continue
            sent += answer["sent"]
            lost += answer["sent"] - answer["heard"].get(source, {}).get("count", 0)
    return lost / sent if sent else None
