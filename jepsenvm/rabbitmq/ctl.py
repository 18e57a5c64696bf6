"""``rabbitmqctl`` on the nodes: the state of the cluster, queues, settings and virtual hosts.

Each function asks one node over SSH. It raises CommandError if the node's broker does not answer,
and UnreachableError if the node does not.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jepsenvm.errors import JepsenvmError, RunError, UsageError, shown
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.names import SERVICE

UNKNOWN_COUNT: Final = -1
"""The count of messages of a queue that does not answer. It must not pass for an empty queue."""

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9._-]+")
"""An Erlang node name. It has no character that a shell or Erlang would interpret."""

_NODE: Final = Erlang("node().")
_SETTINGS: Final = Erlang(
    'io:format("~s|~p|~p", [rabbit_misc:version(), '
    "case application:get_env(rabbit, cluster_partition_handling, none) of "
    "H when is_atom(H) -> H; H -> element(1, H) end, net_kernel:get_net_ticktime()])."
)

_ARGUMENT: Final = re.compile(r"[^\x00-\x1f\x7f$`\\]*[$]?")
"""An argument that no shell interprets.

Debian's ``rabbitmqctl`` gives its arguments to a second shell within double quotes. A ``$`` at the
end means nothing there.
"""

STOP_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class View:
    """The cluster as one node sees it, with nodes under their inventory names."""

    running: frozenset[str]
    partitions: Mapping[str, Sequence[str]]
    """node -> the nodes from which it is partitioned."""
    alarms: Sequence[Any] = field(default_factory=list)
    members: frozenset[str] = frozenset()
    """All nodes of the cluster, running or not."""

    def alarm_texts(self) -> list[str]:
        """Return the alarms as text, such as ``n1 memory``."""
        return sorted(map(_alarm_text, self.alarms))

    def side(self, node: str) -> frozenset[str]:
        """Return the nodes on the same side of a partition as ``node``, the owner of this view."""
        return self.running - frozenset(self.partitions.get(node, ()))

    def troubles(self, nodes: Sequence[str]) -> list[str]:
        """Return the reasons why this is not the view of a healthy cluster of these nodes."""
        missing = sorted(set(nodes) - self.running)
        problems = [f"does not see {' '.join(missing)} running"] if missing else []
        if any(self.partitions.values()):
            cut = sorted({other for others in self.partitions.values() for other in others})
            problems.append(f"sees a partition from {' '.join(cut)}")
        if self.alarms:
            problems.append("has an alarm")
        return problems


@dataclass(frozen=True)
class Queue:
    """One queue as ``list_queues`` reports it."""

    name: str
    state: str
    leader: str | None
    ready: int
    unacknowledged: int
    messages: int
    """The total. A quorum queue includes messages that its dead-letter queue has refused."""

    @property
    def empty(self) -> bool:
        """Whether the queue has no message, delivered or not."""
        return self.ready == self.unacknowledged == self.messages == 0


@dataclass(frozen=True)
class Replicas:
    """The nodes of a queue: its leader, the nodes with a replica, and those whose replica is up."""

    leader: str | None
    members: tuple[str, ...]
    online: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """The version of a running node, and those of its settings that a plan decides."""

    version: str
    partition_handling: str
    net_ticktime: int


def view(fleet: Fleet, node: str, timeout: float = 60) -> View:
    """Return the cluster as this node sees it."""
    status = _ctl_json(fleet, node, "cluster_status", timeout=timeout)
    inventory_name = _inventory_names(fleet)
    partitions = {
        inventory_name(name): [inventory_name(other) for other in others]
        for name, others in dict(status["partitions"] or {}).items()
    }
    members = [name for kind in ("disk_nodes", "ram_nodes") for name in status.get(kind) or ()]
    alarms = [
        {**alarm, "node": inventory_name(str(alarm["node"]))} if _names_a_node(alarm) else alarm
        for alarm in status["alarms"] or []
    ]
    return View(
        running=frozenset(map(inventory_name, status["running_nodes"])),
        partitions=partitions,
        alarms=alarms,
        members=frozenset(map(inventory_name, members)),
    )


def queues(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Queue]:
    """Return the queues of the run's virtual host by name, as this node lists them."""
    # The table format names the node in a pid. The JSON format replaces it with the name that the
    # process has within rabbitmqctl itself.
    columns = [
        "name",
        "state",
        "leader",
        "pid",
        "messages_ready",
        "messages_unacknowledged",
        "messages",
    ]
    inventory_name = _inventory_names(fleet)
    lines = _list_queues(fleet, node, columns, timeout)
    # Of a queue that is listed twice only the name is known.
    unique = dict.fromkeys(name if rows > 1 else line for line, name, rows in _with_rows(lines))
    return {queue.name: queue for queue in (_queue(line, inventory_name) for line in unique)}


def replicas(fleet: Fleet, node: str, queue: str, timeout: float = 60) -> Replicas | None:
    """Return where a queue of the run's virtual host is; None if this node lists no such queue."""
    columns = ["name", "leader", "pid", "members", "online"]
    inventory_name = _inventory_names(fleet)
    for line, name, rows in _with_rows(_list_queues(fleet, node, columns, timeout)):
        if name == queue and rows > 1:
            raise RunError(f"list_queues lists the queue {shown(queue)} twice", node=node)
        if name == queue:
            return _replicas(line, inventory_name)
    return None


def settings(fleet: Fleet, node: str, timeout: float = 60) -> Settings:
    """Return the settings in force on a running node, which may differ from its files.

    Raise RunError for an answer that is not understood.
    """
    answer = _eval(fleet, node, _SETTINGS, timeout=timeout)
    match = re.search(r"([0-9][^|\s]*)\|([a-z_]+)\|(\d+)", answer)
    if not match:
        raise RunError(
            f"rabbitmqctl eval gave an answer that is not understood: {answer[:60]!r}", node=node
        )
    return Settings(match[1], match[2], int(match[3]))


def set_policy(
    fleet: Fleet, node: str, name: str, pattern: str, definition: Mapping[str, Any]
) -> None:
    """Set a policy for queues. It takes precedence over the policies of the deployment."""
    options = ["-p", fleet.nodes[node].vhost, "--priority", "1", "--apply-to", "queues"]
    _ctl(fleet, node, "set_policy", *options, name, pattern, json.dumps(definition), timeout=60)


def learn_names(fleet: Fleet) -> None:
    """Ask nodes with unknown Erlang names for their names; skip nodes that do not answer."""

    def ask(node: str) -> str:
        return _eval(fleet, node, _NODE, timeout=60)

    unnamed = [name for name, node in fleet.nodes.items() if node.broker is None]
    for node, answer in fleet.each_or_error(ask, unnamed).items():
        match = NODE_NAME.search(answer) if isinstance(answer, str) else None
        if match:
            fleet.learn(replace(fleet.nodes[node], broker=match[0]))


def make_vhost(fleet: Fleet, node: str, user: str) -> bool:
    """Create the run's virtual host with full permissions for a user; return whether it is new.

    An existing virtual host keeps its permissions.
    """
    vhost = fleet.nodes[node].vhost
    existing = _ctl_json(fleet, node, "list_vhosts", "name", timeout=60)
    if vhost in (entry["name"] for entry in existing):
        return False
    _ctl(fleet, node, "add_vhost", vhost, timeout=60)
    try:
        _ctl(fleet, node, "set_permissions", "-p", vhost, user, ".*", ".*", ".*", timeout=60)
    except JepsenvmError:
        delete_vhost(fleet, node)
        raise
    return True


def delete_vhost(fleet: Fleet, node: str) -> None:
    """Delete the run's virtual host with its queues."""
    _ctl(fleet, node, "delete_vhost", fleet.nodes[node].vhost, timeout=60)


def stop(fleet: Fleet, node: str, timeout: float = STOP_TIMEOUT_S) -> None:
    """Stop a node's broker: cleanly within ``timeout`` seconds, otherwise with SIGKILL."""
    clean_s = timeout * fleet.patience
    fleet.run(
        node,
        f"timeout {clean_s:.0f} systemctl stop {SERVICE}"
        f" || systemctl kill --signal=SIGKILL {SERVICE}; "
        f"systemctl reset-failed {SERVICE} 2>/dev/null; true",
        timeout=timeout + 30,
    )


def start(fleet: Fleet, node: str) -> None:
    """Start a node's broker without waiting for it."""
    fleet.run(node, f"systemctl start --no-block {SERVICE}")


def _eval(fleet: Fleet, node: str, expression: Erlang, *, timeout: float) -> str:
    return _ctl(fleet, node, "eval", expression.code, timeout=timeout)


def _ctl(fleet: Fleet, node: str, *words: str, timeout: float) -> str:
    for word in words:
        if not _ARGUMENT.fullmatch(word):
            raise UsageError(
                f"rabbitmqctl cannot take {shown(word)} safely",
                node=node,
                remedy="use names without backslashes, backquotes, dollar and control characters",
            )
    command = shlex.join(["rabbitmqctl", "--quiet", *words])
    return fleet.run(node, command, timeout=timeout).stdout


def _ctl_json(fleet: Fleet, node: str, *words: str, timeout: float) -> Any:
    stdout = _ctl(fleet, node, *words, "--formatter", "json", timeout=timeout)
    try:
        return json.loads(stdout)
    except (ValueError, RecursionError):
        raise RunError(
            f"rabbitmqctl {words[0]} printed {shown(stdout)} instead of JSON", node=node
        ) from None


def _list_queues(fleet: Fleet, node: str, columns: Sequence[str], timeout: float) -> list[str]:
    words = ["--no-table-headers", "list_queues", "-p", fleet.nodes[node].vhost, *columns]
    return _ctl(fleet, node, *words, timeout=timeout).splitlines()


def _with_rows(lines: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Yield each line with its queue's name, and how many lines have that name.

    ``list_queues`` does not escape newlines, so the name of one queue can contain a line that looks
    like another queue's.
    """
    names = [line.split("\t")[0] for line in lines]
    rows = Counter(names)
    for line, name in zip(lines, names, strict=True):
        yield line, name, rows[name]


InventoryName = Callable[[str], str]
"""Returns the inventory name of an Erlang node; for an unknown node, the host part of its name."""


def _inventory_names(fleet: Fleet) -> InventoryName:
    names = {node.broker: name for name, node in fleet.nodes.items() if node.broker}
    return lambda broker: names.get(broker) or broker.partition("@")[2]


def _queue(line: str, inventory_name: InventoryName) -> Queue:
    name, state, leader, pid, *counts = (line.split("\t") + [""] * 7)[:7]
    return Queue(
        name, state or "unknown", _leader(leader, pid, inventory_name), *map(_count, counts)
    )


def _replicas(line: str, inventory_name: InventoryName) -> Replicas:
    _, leader, pid, members, online = (line.split("\t") + [""] * 5)[:5]
    return Replicas(
        leader=_leader(leader, pid, inventory_name),
        members=_node_list(members, inventory_name),
        online=_node_list(online, inventory_name),
    )


def _leader(leader: str, pid: str, inventory_name: InventoryName) -> str | None:
    # Only quorum queues report a leader. The leader of a classic queue is the node in its pid, such
    # as <rabbit@n1.1700000000.2345.0>.
    match = re.search(r"<([^<>]+@[^<>]+?)\.\d+\.\d+\.\d+>", pid)
    pid_node = match[1].strip("'") if match else ""
    return inventory_name(leader or pid_node) or None


def _node_list(text: str, inventory_name: InventoryName) -> tuple[str, ...]:
    # An Erlang list, such as [rabbit@n1, 'rabbit@n-2'].
    return tuple(sorted(inventory_name(name) for name in NODE_NAME.findall(text)))


def _names_a_node(alarm: Any) -> bool:
    return isinstance(alarm, dict) and "@" in str(alarm.get("node", ""))


def _alarm_text(alarm: Any) -> str:
    if not isinstance(alarm, dict):
        return str(alarm)
    resource = alarm.get("resource") or alarm.get("type") or "unknown"
    node = str(alarm.get("node", ""))
    return f"{node.partition('@')[2] or node} {resource}".strip()


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else UNKNOWN_COUNT
