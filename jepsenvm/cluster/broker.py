"""The broker's own word, asked of ``rabbitmqctl`` on the nodes themselves: what runs, what is cut, what is queued."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jepsenvm.cluster.ssh import Fleet

SERVICE = "rabbitmq-server"
UNCOUNTED = -1


@dataclass(frozen=True)
class View:
    """The cluster as one node sees it; nodes under their inventory names."""

    running: frozenset[str]
    partitions: Mapping[str, Sequence[str]]
    alarms: Sequence[Any] = field(default_factory=list)
    members: frozenset[str] = frozenset()
    """All nodes of the cluster, running or not."""

    def alarm_texts(self) -> list[str]:
        """Return the alarms one by one, such as ``n1 memory``."""
        return sorted(map(_alarm, self.alarms))

    def side(self, node: str) -> frozenset[str]:
        """Return those whom this node, whose view it is, regards as on its own side of a partition."""
        return self.running - frozenset(self.partitions.get(node, ()))

    def troubles(self, nodes: Sequence[str]) -> list[str]:
        """Return what keeps this view from being that of a whole cluster."""
        missing = sorted(set(nodes) - self.running)
        found = [f"does not see {' '.join(missing)} running"] if missing else []
        if any(self.partitions.values()):
            cut = sorted({other for others in self.partitions.values() for other in others})
            found.append(f"sees a partition from {' '.join(cut)}")
        return found + (["has an alarm"] if self.alarms else [])


@dataclass(frozen=True)
class Queue:
    """One queue as ``list_queues`` tells it."""

    name: str
    state: str
    leader: str | None
    ready: int
    unacknowledged: int
    messages: int
    """All of them: also those that a quorum queue keeps until their dead-letter queue has taken them."""

    @property
    def empty(self) -> bool:
        """Whether nothing is in it, delivered or not."""
        return self.ready == self.unacknowledged == self.messages == 0


@dataclass(frozen=True)
class Replicas:
    """Where a queue is: its leader, the nodes that have a replica of it, and those whose replica is up."""

    leader: str | None
    members: tuple[str, ...]
    online: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What of a running node's configuration a plan decides."""

    version: str
    partition_handling: str
    net_ticktime: int


def view(fleet: Fleet, node: str, timeout: float = 60) -> View:
    """Return the cluster as this node sees it; raises like Fleet.run when the node's broker is not up."""
    status = _ctl_json(fleet, node, "cluster_status", timeout=timeout)
    partitions = {_host(name): [_host(n) for n in others] for name, others in dict(status["partitions"] or {}).items()}
    members = [name for kind in ("disk_nodes", "ram_nodes") for name in status.get(kind) or ()]
    return View(
        frozenset(map(_host, status["running_nodes"])),
        partitions,
        status.get("alarms") or [],
        frozenset(map(_host, members)),
    )


def queues(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Queue]:
    """Return the queues of the default virtual host, as this node tells them."""
    # As a table: its JSON renames a process to what it is called within rabbitmqctl itself, without its node.
    columns = ["name", "state", "leader", "pid", "messages_ready", "messages_unacknowledged", "messages"]
    table = _ctl(fleet, node, "--no-table-headers", "list_queues", *columns, timeout=timeout)
    return {queue.name: queue for queue in map(_queue, table.splitlines())}


def replicas(fleet: Fleet, node: str, queue: str, timeout: float = 60) -> Replicas | None:
    """Return where a queue of the default virtual host is, as this node tells it; None when it knows no such queue."""
    columns = ["name", "leader", "pid", "members", "online"]
    table = _ctl(fleet, node, "--no-table-headers", "list_queues", *columns, timeout=timeout)
    return next((_replicas(line) for line in table.splitlines() if line.split("\t")[0] == queue), None)


def settings(fleet: Fleet, node: str, timeout: float = 60) -> Settings:
    """Return what is really in force on a running node, not what its files say."""
    expression = (
        'io:format("~s|~p|~p", [rabbit_misc:version(), '
        "application:get_env(rabbit, cluster_partition_handling, none), net_kernel:get_net_ticktime()])."
    )
    said = _ctl(fleet, node, "eval", expression, timeout=timeout)
    found = re.search(r"([0-9][^|\s]*)\|([a-z_]+)\|(\d+)", said)
    if not found:
        raise ValueError(f"unexpected answer of rabbitmqctl eval on {node}: {said!r}")
    return Settings(found[1], found[2], int(found[3]))


def set_policy(fleet: Fleet, node: str, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
    """Set a policy for queues, before those of our deployment; raises like Fleet.run when it cannot be."""
    words = ["set_policy", "--priority", "1", "--apply-to", "queues", name, pattern, json.dumps(definition)]
    _ctl(fleet, node, *words, timeout=60)


def stop(fleet: Fleet, node: str, patience: float = 60) -> None:
    """Stop a node's broker: cleanly if it can within ``patience`` seconds, else by SIGKILL."""
    fleet.run(
        node,
        f"timeout {patience:.0f} systemctl stop {SERVICE} || systemctl kill --signal=SIGKILL {SERVICE}; "
        f"systemctl reset-failed {SERVICE} 2>/dev/null; true",
        timeout=patience + 30,
    )


def start(fleet: Fleet, node: str) -> None:
    """Start a node's broker, without waiting for it to be up."""
    fleet.run(node, f"systemctl start --no-block {SERVICE}")


def _ctl(fleet: Fleet, node: str, *words: str, timeout: float) -> str:
    return fleet.run(node, shlex.join(["rabbitmqctl", "--quiet", *words]), timeout=timeout).stdout


def _ctl_json(fleet: Fleet, node: str, *words: str, timeout: float) -> Any:
    return json.loads(_ctl(fleet, node, *words, "--formatter", "json", timeout=timeout))


def _host(name: str) -> str:
    return name.partition("@")[2]


def _queue(line: str) -> Queue:
    name, state, leader, pid, *counts = (line.split("\t") + [""] * 7)[:7]
    return Queue(name, state or "unknown", _leader(leader, pid), *map(_count, counts))


def _replicas(line: str) -> Replicas:
    _, leader, pid, members, online = (line.split("\t") + [""] * 5)[:5]
    return Replicas(_leader(leader, pid), _hosts(members), _hosts(online))


def _leader(leader: str, pid: str) -> str | None:
    # Only quorum queues name a leader; a classic one's is the node in a pid such as <rabbit@n1.1700000000.2345.0>.
    found = re.search(r"@(.+?)\.\d+\.\d+\.\d+>", pid)
    return _host(leader) or (found[1] if found else None)


def _hosts(names: str) -> tuple[str, ...]:
    # A list as Erlang writes it, such as [rabbit@n1, 'rabbit@n-2'].
    return tuple(sorted(re.findall(r"@([A-Za-z0-9.-]+)", names)))


def _alarm(alarm: Any) -> str:
    if not isinstance(alarm, dict):
        return str(alarm)
    what = alarm.get("resource") or alarm.get("type") or "unknown"
    node = str(alarm.get("node", ""))
    return f"{_host(node) or node} {what}".strip()


def _count(text: str) -> int:
    # A queue that cannot answer has no counts; then it must not pass for an empty one.
    return int(text) if text.isdecimal() else UNCOUNTED
