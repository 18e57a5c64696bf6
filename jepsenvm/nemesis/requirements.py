"""The capabilities that faults require of the nodes, and the remedy if one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CAPABILITIES: Final[Mapping[str, str]] = {
    "iptables": "install iptables on the node (`jepsenvm deploy` does); in a container, grant"
    " CAP_NET_ADMIN and CAP_NET_RAW",
    "ip6tables": "install iptables on the node; partitions of IPv6 clusters need ip6tables",
    "systemd-run": "use hosts that run systemd; a timer on each node heals it when the controller"
    " is gone",
    "netem": "load the kernel module sch_netem; delay, duplicate, reorder and corrupt need it",
    "statistic": "load the kernel module xt_statistic; random loss of packets needs it",
    "shaping": "load the kernel modules sch_htb, sch_tbf and cls_u32; faults of packets need them",
    "socket-kill": "use a kernel with CONFIG_INET_DIAG_DESTROY; killing connections needs it",
    "io-limits": "use hosts with cgroup v2 and its io controller; slow disks need it",
    "stress-ng": "install stress-ng on the node (`jepsenvm deploy` does, if apt has it)",
    "own-clock": "use virtual machines; hosts that share a kernel share its clock",
    "power": "use machines that jepsenvm can switch off and on: the lab's hosts, or VMs of Vagrant",
    "data-file-system": "mount an ext4 or xfs file system for RabbitMQ's data alone at"
    " /var/lib/rabbitmq (rabbitmq_data_device does); a lab gets one with `jepsenvm lab down` and"
    " `jepsenvm lab up`",
    "queue-files": "let RabbitMQ keep its database in /var/lib/rabbitmq/mnesia, where the fault"
    " looks for the files of the queue",
    "data-mount": "list the file system of RabbitMQ's data in /etc/fstab, so that healing can mount"
    " it again; hosts that jepsenvm can switch do not need that",
}
"""The remedy by capability of a host."""

BROKER_CAPABILITIES: Final[Mapping[str, str]] = {
    "maintenance-mode": "use RabbitMQ 3.8.8 or newer, and run `rabbitmqctl enable_feature_flag"
    " maintenance_mode_status` on the cluster",
}
"""The remedy by capability of a running broker."""
