"""What the nodes must be able to do for some faults, and what to do where they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ABILITIES: Final[Mapping[str, str]] = {
    "iptables": "install iptables there (`jepsenvm deploy` does); in a container grant CAP_NET_ADMIN and CAP_NET_RAW",
    "ip6tables": "install iptables there; without it partitions of IPv6 clusters are refused",
    "systemd-run": "use hosts that run systemd: each node's own timer heals it when the controller is gone",
    "netem": "load the kernel module sch_netem; without it delay, duplication and reordering of packets are refused",
    "statistic": "load the kernel module xt_statistic; without it random loss of packets is refused",
    "shaping": "load the kernel modules sch_htb, sch_tbf and cls_u32; without them packets are not held to a rate",
    "socket-kill": "use a kernel with CONFIG_INET_DIAG_DESTROY; without it clients' connections are not killed",
    "io-limits": "use hosts with cgroup v2 and its io controller; without it slow disks are refused",
    "own-clock": "use virtual machines: a host that shares its kernel shares its clock, and setting it would set all",
    "power": "power cuts need machines that we switch: the lab's hosts, or VMs by Vagrant",
}
"""Ability -> its remedy where a node has it not."""
