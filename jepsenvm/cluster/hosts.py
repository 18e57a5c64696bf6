"""What faults must know of the nodes: addresses that are theirs alone, and the way their controller comes in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.cluster.ssh import Fleet
from jepsenvm.errors import Refused
from jepsenvm.faults.host import Host


@dataclass(frozen=True)
class Facts:
    """One node's facts."""

    host: Host
    global_addresses: tuple[str, ...]
    """Those of its own addresses that peers can connect to without naming an interface."""
    clock_offset: float
    """Seconds that the node's wall clock is ahead of ours, to within the way of an answer over SSH."""
    missing: tuple[str, ...]
    """Programs that faults need and the node has not."""


def facts(fleet: Fleet) -> dict[str, Facts]:
    """Return the facts of every node.

    An address that several nodes share (that of a hypervisor's NAT, say) is no node's own: dropping its packets
    would cut whom it should not. Raises Refused for a node that is left without any.
    """
    raw = fleet.each(lambda node: _ask(fleet, node))
    shared = Counter(entry["address"] for answer, _, _ in raw.values() for entry in answer["addresses"])
    return {node: _facts(fleet, node, answer, shared) for node, answer in raw.items()}


BOOT_APART_S: Final = 0.005
"""Machines that booted closer together than this count as one; slewing and the reading itself cost less."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def abilities(fleet: Fleet) -> dict[str, dict[str, bool]]:
    """Return what each node can do, by the names of ``faults.abilities``."""
    answers = fleet.each(lambda node: fleet.python(node, "abilities", timeout=60))
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return judged(answers, {"boot-id": _BOOT_ID.read_text().strip(), "booted": booted})


def judged(answers: Mapping[str, Mapping[str, Any]], controller: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """Return the nodes' answers with ``own-clock`` in the place of what tells it: who shares a kernel shares its clock.

    The boot ids tell, and so do the moments of booting: systemd-nspawn gives each container a boot id of its own.
    """

    def shared(node: str) -> bool:
        mine = answers[node]
        others = [controller, *(other for name, other in answers.items() if name != node)]
        return any(
            other["boot-id"] == mine["boot-id"] or abs(other["booted"] - mine["booted"]) < BOOT_APART_S
            for other in others
        )

    return {
        node: {**{name: can for name, can in able.items() if isinstance(can, bool)}, "own-clock": not shared(node)}
        for node, able in answers.items()
    }


def _ask(fleet: Fleet, node: str) -> tuple[dict[str, Any], str | None, float]:
    controller = fleet.plain(node, 'printf %s "$SSH_CONNECTION"').stdout.split()
    answer = fleet.python(node, "facts")
    # The program reads its clock at its very end, just before its answer comes in.
    offset = answer["clock"] - time.time()
    return answer, controller[0] if controller else None, offset


def _facts(
    fleet: Fleet, node: str, asked: tuple[dict[str, Any], str | None, float], shared: Mapping[str, int]
) -> Facts:
    answer, controller, offset = asked
    own = [entry for entry in answer["addresses"] if shared[entry["address"]] == 1]
    reachable = tuple(entry["address"] for entry in own if entry["scope"] == "global")
    if not reachable:
        raise Refused("has no address of its own that peers could reach", node=node, remedy="check `ip address` there")
    host = Host(tuple(entry["address"] for entry in own), controller, fleet.nodes[node].ssh_port)
    return Facts(host, reachable, offset, tuple(answer["missing"]))
