"""What faults must know of the nodes: addresses that are theirs alone, and the way their controller comes in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError
from jepsenvm.machines.host import Host
from jepsenvm.machines.inventory import Node
from jepsenvm.machines.ssh import Fleet


@dataclass(frozen=True)
class Facts:
    """One node's facts."""

    host: Host
    global_addresses: tuple[str, ...]
    """Those of its own addresses that peers can connect to without naming an interface."""
    clock_offset: float
    """Seconds that the node's clock (see ``onnode.wall``) is ahead of ours, to within the way of an answer over SSH."""
    missing: tuple[str, ...]
    """Programs that faults need and the node has not."""


def facts(fleet: Fleet) -> dict[str, Facts]:
    """Return the facts of every node.

    An address that several nodes share (that of a hypervisor's NAT) is no node's own: dropping its packets
    would cut whom it should not. Raises UsageError for a node that is left without any, or whose cluster address is none
    of them.
    """
    raw = fleet.each(lambda node: _ask(fleet, node))
    shared = Counter(entry["address"] for answer in raw.values() for entry in answer.addresses)
    return {node: _facts(fleet.nodes[node], raw, shared) for node in raw}


BOOT_APART_S: Final = 0.005
"""Machines that booted closer together than this count as one; slewing and the reading itself cost less."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def abilities(fleet: Fleet) -> dict[str, dict[str, bool]]:
    """Return what each node can do, by the names of ``faults.abilities``."""
    answers = fleet.each(lambda node: fleet.python(node, "abilities", timeout=60))
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return judged(answers, {"boot-id": _BOOT_ID.read_text().strip(), "booted": booted})


def judged(
    answers: Mapping[str, Mapping[str, Any]], controller: Mapping[str, Any]
) -> dict[str, dict[str, bool]]:
    """Return the nodes' answers with ``own-clock`` in the place of what tells it: who shares a kernel shares its clock.

    The boot ids tell, and so do the moments of booting: systemd-nspawn gives each container a boot id of its own.
    """

    def shared(node: str) -> bool:
        mine = answers[node]
        others = [controller, *(other for name, other in answers.items() if name != node)]
        return any(
            other["boot-id"] == mine["boot-id"]
            or abs(other["booted"] - mine["booted"]) < BOOT_APART_S
            for other in others
        )

    return {
        node: {
            **{name: can for name, can in able.items() if isinstance(can, bool)},
            "own-clock": not shared(node),
        }
        for node, able in answers.items()
    }


@dataclass(frozen=True)
class _Answer:
    addresses: list[dict[str, str]]
    missing: list[str]
    controller: str | None
    """Where our SSH comes from, as the node sees it."""
    ssh_port: int
    """Where it comes in there: behind a forwarded port that is another than ours."""
    clock_offset: float


def _ask(fleet: Fleet, node: str) -> _Answer:
    came = fleet.plain(node, 'printf %s "$SSH_CONNECTION"').stdout.split()
    answer = fleet.python(node, "facts")
    # The program reads its clock at its very end, just before its answer comes in.
    offset = answer["clock"] - time.time()
    controller, port = (came[0].partition("%")[0], int(came[3])) if len(came) == 4 else (None, 22)
    return _Answer(answer["addresses"], answer["missing"], controller, port, offset)


def _facts(node: Node, answers: Mapping[str, _Answer], shared: Mapping[str, int]) -> Facts:
    answer = answers[node.name]
    own = [entry for entry in answer.addresses if shared[entry["address"]] == 1]
    reachable = tuple(entry["address"] for entry in own if entry["scope"] == "global")
    if not reachable:
        raise UsageError(
            "has no address of its own that peers could reach",
            node=node.name,
            remedy="check `ip address`",
        )
    addresses = tuple(entry["address"] for entry in own)
    if node.cluster_address not in addresses:
        # What comes from behind a translation of addresses would pass every rule of ours, and no probe would show it.
        raise UsageError(
            f"its cluster address {node.cluster_address} is none that it alone has",
            node=node.name,
            remedy=f"set cluster_address to one that `ip address` shows there, such as {reachable[0]}",
        )
    through = {
        one.ssh_port
        for name, one in answers.items()
        if name != node.name and one.controller in addresses
    }
    host = Host(
        addresses,
        answer.controller,
        answer.ssh_port,
        node.broker or "",
        node.vhost,
        tuple(sorted(through)),
    )
    return Facts(host, reachable, answer.clock_offset, tuple(answer.missing))
