"""The broker's own word, asked of ``rabbitmqctl`` on the nodes themselves: what runs, what is cut, what is queued."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.ssh import Fleet

SERVICE = "rabbitmq-server"
UNCOUNTED = -1

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9._-]+")
"""An Erlang node's name; nothing that a shell would take for more."""


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
    host = _hosts(fleet)
    partitions = {
        host(name): [host(n) for n in others]
        for name, others in dict(status["partitions"] or {}).items()
    }
    members = [name for kind in ("disk_nodes", "ram_nodes") for name in status.get(kind) or ()]
    alarms = [
        {**one, "node": host(str(one["node"]))} if _names_a_node(one) else one
        for one in status["alarms"] or []
    ]
    return View(
        frozenset(map(host, status["running_nodes"])),
        partitions,
        alarms,
        frozenset(map(host, members)),
    )


def queues(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Queue]:
    """Return the queues of our virtual host, as this node tells them."""
    # As a table: its JSON renames a process to what it is called within rabbitmqctl itself, without its node.
    columns = [
        "name",
        "state",
        "leader",
        "pid",
        "messages_ready",
        "messages_unacknowledged",
        "messages",
    ]
    host = _hosts(fleet)
    found = (_queue(line, host) for line in _listed(fleet, node, columns, timeout))
    return {queue.name: queue for queue in found}


def replicas(fleet: Fleet, node: str, queue: str, timeout: float = 60) -> Replicas | None:
    """Return where a queue of our virtual host is, as this node tells it; None when it knows no such queue."""
    columns = ["name", "leader", "pid", "members", "online"]
    lines = _listed(fleet, node, columns, timeout)
    return next(
        (_replicas(line, _hosts(fleet)) for line in lines if line.split("\t")[0] == queue), None
    )


def settings(fleet: Fleet, node: str, timeout: float = 60) -> Settings:
    """Return what is really in force on a running node, not what its files say."""
    expression = (
        'io:format("~s|~p|~p", [rabbit_misc:version(), '
        "case application:get_env(rabbit, cluster_partition_handling, none) of H when is_atom(H) -> H; "
        "H -> element(1, H) end, net_kernel:get_net_ticktime()])."
    )
    said = _ctl(fleet, node, "eval", expression, timeout=timeout)
    found = re.search(r"([0-9][^|\s]*)\|([a-z_]+)\|(\d+)", said)
    if not found:
        raise ValueError(f"unexpected answer of rabbitmqctl eval on {node}: {said!r}")
    return Settings(found[1], found[2], int(found[3]))


def set_policy(
    fleet: Fleet, node: str, name: str, pattern: str, definition: Mapping[str, Any]
) -> None:
    """Set a policy for queues, before those of our deployment; raises like Fleet.run when it cannot be."""
    words = ["-p", fleet.nodes[node].vhost, "--priority", "1", "--apply-to", "queues"]
    _ctl(fleet, node, "set_policy", *words, name, pattern, json.dumps(definition), timeout=60)


def learn_names(fleet: Fleet) -> None:
    """Learn from each node of which we don't know it what it calls itself, if it answers."""

    def ask(node: str) -> str:
        return _ctl(fleet, node, "eval", "node().", timeout=60)

    nameless = [name for name, node in fleet.nodes.items() if node.broker is None]
    for node, said in fleet.each_or_error(ask, nameless).items():
        found = NODE_NAME.search(said) if isinstance(said, str) else None
        if found:
            fleet.learn(replace(fleet.nodes[node], broker=found[0]))


def make_vhost(fleet: Fleet, node: str, user: str) -> bool:
    """Make our virtual host and let a user do everything in it; return whether it was not there before.

    One that was there is left as it is: whoever made it decides who may use it.
    """
    vhost = fleet.nodes[node].vhost
    known = _ctl_json(fleet, node, "list_vhosts", "name", timeout=60)
    if vhost in (one["name"] for one in known):
        return False
    _ctl(fleet, node, "add_vhost", vhost, timeout=60)
    try:
        _ctl(fleet, node, "set_permissions", "-p", vhost, user, ".*", ".*", ".*", timeout=60)
    except JepsenvmError:
        delete_vhost(fleet, node)
        raise
    return True


def delete_vhost(fleet: Fleet, node: str) -> None:
    """Delete our virtual host with all that is in it."""
    _ctl(fleet, node, "delete_vhost", fleet.nodes[node].vhost, timeout=60)


def stop(fleet: Fleet, node: str, patience: float = 60) -> None:
    """Stop a node's broker: cleanly if it can within ``patience`` seconds, else by SIGKILL."""
    clean = patience * fleet.patience
    fleet.run(
        node,
        f"timeout {clean:.0f} systemctl stop {SERVICE} || systemctl kill --signal=SIGKILL {SERVICE}; "
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


def _listed(fleet: Fleet, node: str, columns: Sequence[str], timeout: float) -> list[str]:
    words = ["--no-table-headers", "list_queues", "-p", fleet.nodes[node].vhost, *columns]
    return _ctl(fleet, node, *words, timeout=timeout).splitlines()


HostOf = Callable[[str], str]
"""Returns the inventory's name for an Erlang node; for one that the inventory has not, what stands after its @."""


def _hosts(fleet: Fleet) -> HostOf:
    known = {node.broker: name for name, node in fleet.nodes.items() if node.broker}
    return lambda name: known.get(name) or name.partition("@")[2]


def _queue(line: str, host: HostOf) -> Queue:
    name, state, leader, pid, *counts = (line.split("\t") + [""] * 7)[:7]
    return Queue(name, state or "unknown", _leader(leader, pid, host), *map(_count, counts))


def _replicas(line: str, host: HostOf) -> Replicas:
    _, leader, pid, members, online = (line.split("\t") + [""] * 5)[:5]
    return Replicas(
        _leader(leader, pid, host), _listed_nodes(members, host), _listed_nodes(online, host)
    )


def _leader(leader: str, pid: str, host: HostOf) -> str | None:
    # Only quorum queues name a leader; a classic one's is the node in a pid such as <rabbit@n1.1700000000.2345.0>.
    found = re.search(r"<([^<>]+@[^<>]+?)\.\d+\.\d+\.\d+>", pid)
    name = leader or (found[1].strip("'") if found else "")
    return host(name) or None


def _listed_nodes(names: str, host: HostOf) -> tuple[str, ...]:
    # A list as Erlang writes it, such as [rabbit@n1, 'rabbit@n-2'].
    return tuple(sorted(host(name) for name in re.findall(NODE_NAME.pattern, names)))


def _names_a_node(alarm: Any) -> bool:
    return isinstance(alarm, dict) and "@" in str(alarm.get("node", ""))


def _alarm(alarm: Any) -> str:
    if not isinstance(alarm, dict):
        return str(alarm)
    what = alarm.get("resource") or alarm.get("type") or "unknown"
    node = str(alarm.get("node", ""))
    return f"{node.partition('@')[2] or node} {what}".strip()


def _count(text: str) -> int:
    # A queue that cannot answer has no counts; then it must not pass for an empty one.
    return int(text) if text.isdecimal() else UNCOUNTED
