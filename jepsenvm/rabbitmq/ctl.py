"""``rabbitmqctl`` on the nodes: the state of the cluster, queues, settings and virtual hosts.

Each function asks one node over SSH. It raises CommandError if the node's broker does not answer,
UnreachableError if the node does not, and RunError for an answer that is not understood. What each
version of RabbitMQ can be asked stands in ``rabbitmq.versions``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from jepsenvm.errors import JepsenvmError, RunError, UsageError, shown
from jepsenvm.rabbitmq.erlang import Atom, Erlang
from jepsenvm.rabbitmq.feature_flags import FeatureFlag
from jepsenvm.rabbitmq.names import SERVICE
from jepsenvm.rabbitmq.versions import RAFT_STATES, has_leader_columns

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

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
_SETTINGS_OF_CLUSTER: Final = Erlang(
    '[io:format("~s|~s|~p|~p~n", [N, rpc:call(N, rabbit_misc, version, []), '
    "case rpc:call(N, application, get_env, [rabbit, cluster_partition_handling, none]) of "
    "H when is_atom(H) -> H; H -> element(1, H) end, "
    "rpc:call(N, net_kernel, get_net_ticktime, [])]) || N <- [node() | nodes()]]."
)
"""As _SETTINGS, for the node and each node that it is connected to. The name comes first."""
_SETTINGS_ANSWER: Final = r"([0-9][^|\s]*)\|([a-z_]+)\|(\d{1,9})"
"""What both print of a node: version, partition handling and net_ticktime."""
# The module came with the maintenance mode. Versions that always have the mode may have dropped the
# feature flag, so that it is not listed at all.
_HAS_MAINTENANCE_MODE: Final = Erlang(
    "code:ensure_loaded(rabbit_maintenance) =:= {module, rabbit_maintenance} andalso "
    "not maps:is_key(maintenance_mode_status, rabbit_feature_flags:list(disabled))."
)

_ARGUMENT: Final = re.compile(r"[^\x00-\x1f\x7f$`\\]*[$]?")
"""An argument that no shell interprets.

Debian's ``rabbitmqctl`` gives its arguments to a second shell within double quotes. A ``$`` at the
end means nothing there.
"""

STOP_TIMEOUT_S: Final = 60.0

FEATURE_FLAG_TIMEOUT_S: Final = 300.0
"""khepri_db copies all metadata into another store."""

_QUEUE_COLUMNS: Final = (
    *("name", "state", "leader", "pid"),
    *("messages_ready", "messages_unacknowledged", "messages"),
)
_REPLICA_COLUMNS: Final = ("name", "type", "leader", "pid", "members", "online")
_BINDING_COLUMNS: Final = ("source_name", "destination_name", "destination_kind", "routing_key")
_LEADER_COLUMNS: Final = ("leader", "members", "online")
"""The columns that old versions lack."""


@dataclass(frozen=True)
class View:
    """The cluster as one node sees it, with nodes under their inventory names."""

    running: frozenset[str]
    partitions: Mapping[str, Sequence[str]]
    """node -> the nodes from which it is partitioned."""
    alarms: Sequence[Any] = field(default_factory=list)
    members: frozenset[str] = frozenset()
    """All nodes of the cluster, running or not."""
    maintenance: Mapping[str, str] = field(default_factory=dict)
    """running node -> its maintenance status, as text; empty for versions without it."""
    listeners: Mapping[str, frozenset[tuple[str, int]]] = field(default_factory=dict)
    """node -> protocol and port of each of its listeners; without the nodes that list none."""

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
class Binding:
    """The binding of a queue to an exchange with a routing key."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True)
class Listing:
    """The queues, exchanges and bindings of the run's virtual host, as one node lists them."""

    queues: frozenset[str]
    exchanges: frozenset[str]
    bindings: frozenset[Binding]
    """Without the implicit bindings to the default exchange."""


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
    with _understood(node, "cluster_status"):
        return _view(status, _inventory_names(fleet))


def queues(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Queue]:
    """Return the queues of the run's virtual host by name, as this node lists them."""
    inventory_name = _inventory_names(fleet)
    listed = _list_queues(fleet, node, _QUEUE_COLUMNS, timeout)
    times_listed = Counter(row["name"] for row in listed)
    # list_queues does not escape newlines, so the name of one queue can contain a line that looks
    # like another queue's. Of a queue that is listed twice only the name is known.
    rows = [
        row if times_listed[row["name"]] == 1 else _row(row["name"], _QUEUE_COLUMNS)
        for row in listed
    ]
    return {row["name"]: _queue(row, inventory_name) for row in rows}


def exchange_names(fleet: Fleet, node: str, timeout: float = 60) -> frozenset[str]:
    """Return the names of the exchanges of the run's virtual host, as this node lists them."""
    return frozenset(row["name"] for row in _listed(fleet, node, "exchanges", ["name"], timeout))


def listing(fleet: Fleet, node: str, timeout: float = 60) -> Listing:
    """Return the queues, exchanges and bindings of the run's virtual host, by one node."""
    queue_rows = _listed(fleet, node, "queues", ["name"], timeout)
    return Listing(
        queues=frozenset(row["name"] for row in queue_rows),
        bindings=bindings(fleet, node, timeout),
        exchanges=exchange_names(fleet, node, timeout),
    )


def bindings(fleet: Fleet, node: str, timeout: float = 60) -> frozenset[Binding]:
    """Return the bindings of queues in the run's virtual host, as this node lists them.

    The implicit bindings to the default exchange are left out.
    """
    rows = _listed(fleet, node, "bindings", _BINDING_COLUMNS, timeout)
    return frozenset(
        Binding(row["source_name"], row["destination_name"], row["routing_key"])
        for row in rows
        if row["source_name"] and row["destination_kind"] == "queue"
    )


def replicas(fleet: Fleet, node: str, queue: str, timeout: float = 60) -> Replicas | None:
    """Return where a queue of the run's virtual host is; None if this node lists no such queue."""
    inventory_name = _inventory_names(fleet)
    rows = _list_queues(fleet, node, _REPLICA_COLUMNS, timeout)
    matches = [row for row in rows if row["name"] == queue]
    if not matches:
        return None
    if len(matches) > 1:
        raise RunError(f"list_queues lists the queue {shown(queue)} twice", node=node)
    (row,) = matches
    if row.get("type") == "quorum" and "members" not in row:
        return _quorum_replicas(fleet, node, row, timeout)
    return _replicas(row, inventory_name)


def replicas_of(
    fleet: Fleet, node: str, names: Collection[str], timeout: float = 60
) -> dict[str, Replicas]:
    """Return where queues of the run's virtual host are, by name, from one listing.

    A queue is left out if this node does not list it once, or if the version does not list the
    replicas of quorum queues.
    """
    inventory_name, wanted = _inventory_names(fleet), frozenset(names)
    rows = [
        row for row in _list_queues(fleet, node, _REPLICA_COLUMNS, timeout) if row["name"] in wanted
    ]
    times_listed = Counter(row["name"] for row in rows)
    return {
        row["name"]: _with_its_leader(_replicas(row, inventory_name))
        for row in rows
        if times_listed[row["name"]] == 1 and not ("members" not in row and row["type"] == "quorum")
    }


def settings(fleet: Fleet, node: str, timeout: float = 60) -> Settings:
    """Return the settings in force on a running node, which may differ from its files.

    Raise RunError for an answer that is not understood.
    """
    answer = _eval(fleet, node, _SETTINGS, timeout=timeout)
    match = re.search(_SETTINGS_ANSWER, answer)
    if not match:
        raise _not_understood(node, "eval", answer)
    return _learned(fleet, node, *match.groups())


def settings_of_cluster(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Settings]:
    """Return the settings in force on each node of the fleet, as this node learns them.

    A node is left out if it did not answer this one, or if its answer is not understood.
    """
    answer = _eval(fleet, node, _SETTINGS_OF_CLUSTER, timeout=timeout)
    inventory_name = _inventory_names(fleet)
    found = {}
    for line in answer.splitlines():
        match = re.fullmatch(rf"([^|]+)\|{_SETTINGS_ANSWER}", line)
        if match and match[3] != "badrpc" and (name := inventory_name(match[1])) in fleet.nodes:
            found[name] = _learned(fleet, name, *match.groups()[1:])
    return found


def _learned(fleet: Fleet, node: str, version: str, handling: str, ticktime: str) -> Settings:
    """Return the settings of a node, and let the fleet know its version."""
    fleet.learn(replace(fleet.nodes[node], broker_version=version))
    return Settings(version, handling, int(ticktime))


def has_maintenance_mode(fleet: Fleet, node: str, timeout: float = 60) -> bool:
    """Return whether a running node can be drained; raise RunError for an unknown answer."""
    answer = _eval(fleet, node, _HAS_MAINTENANCE_MODE, timeout=timeout)
    lines = answer.split()
    if lines not in (["true"], ["false"]):
        raise _not_understood(node, "eval", answer)
    return lines == ["true"]


def set_policy(
    fleet: Fleet, node: str, name: str, pattern: str, definition: Mapping[str, Any]
) -> None:
    """Set a policy for queues. It takes precedence over the policies of the deployment."""
    options = ["-p", fleet.nodes[node].vhost, "--priority", "1", "--apply-to", "queues"]
    _ctl(fleet, node, "set_policy", *options, name, pattern, json.dumps(definition), timeout=60)


def feature_flags(fleet: Fleet, node: str) -> dict[str, str]:
    """Return the feature flags that a node knows: name -> state, such as ``disabled``."""
    listed = _ctl_json(fleet, node, "list_feature_flags", "name", "state", timeout=60)
    with _understood(node, "list_feature_flags"):
        return {str(entry["name"]): str(entry["state"]).lower() for entry in listed}


def graded_feature_flags(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, FeatureFlag]:
    """Return the feature flags that a node knows, with their stability."""
    words = ["list_feature_flags", "name", "state", "stability"]
    listed = _ctl_json(fleet, node, *words, timeout=timeout)
    with _understood(node, "list_feature_flags"):
        return {
            str(entry["name"]): FeatureFlag(
                str(entry["state"]).lower(), str(entry["stability"]).lower()
            )
            for entry in listed
        }


def enable_feature_flag(fleet: Fleet, node: str, flag: str) -> None:
    """Enable a feature flag on the whole cluster; raise RunError if the broker refuses."""
    # `rabbitmqctl enable_feature_flag` asks for another option in each series to enable an
    # experimental flag, such as khepri_db.
    enable = Erlang("rabbit_feature_flags:enable($flag).", flag=Atom(flag))
    answer = _eval(fleet, node, enable, timeout=FEATURE_FLAG_TIMEOUT_S).strip()
    if answer != "ok":
        raise RunError(
            f"RabbitMQ did not enable the feature flag {flag}: {shown(answer)}", node=node
        )


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
    with _understood(node, "list_vhosts"):
        names = [entry["name"] for entry in existing]
    if vhost in names:
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
    answer = _ctl(fleet, node, *words, "--formatter", "json", timeout=timeout)
    with _understood(node, words[0]):
        return json.loads(answer)


def _listed(
    fleet: Fleet, node: str, what: str, columns: Sequence[str], timeout: float
) -> list[Mapping[str, str]]:
    """Return what a command ``list_...`` lists in the run's virtual host: column -> text."""
    command = f"list_{what}"
    words = [command, "-p", fleet.nodes[node].vhost, *columns]
    rows = _ctl_json(fleet, node, *words, timeout=timeout)
    with _understood(node, command):
        return [{column: str(row[column]) for column in columns} for row in rows]


def _list_queues(
    fleet: Fleet, node: str, columns: Sequence[str], timeout: float
) -> list[Mapping[str, str]]:
    """Return a row for each queue: column -> text. Columns that the version lacks are missing."""
    # The table format names the node in a pid. The JSON format replaces it with the name that the
    # process has within rabbitmqctl itself.
    version = _version(fleet, node, timeout)
    if not has_leader_columns(version):
        columns = [column for column in columns if column not in _LEADER_COLUMNS]
    words = ["--no-table-headers", "list_queues", "-p", fleet.nodes[node].vhost, *columns]
    lines = _ctl(fleet, node, *words, timeout=timeout).splitlines()
    return [_row(line, columns) for line in lines]


def _row(line: str, columns: Sequence[str]) -> Mapping[str, str]:
    # Of a queue that does not answer, columns may be missing.
    fields = line.split("\t") + [""] * len(columns)
    return dict(zip(columns, fields, strict=False))


def _version(fleet: Fleet, node: str, timeout: float) -> str:
    """Return the version of a node's RabbitMQ, which is also that of its rabbitmqctl."""
    known = fleet.nodes[node].broker_version
    if known is not None:
        return known
    answer = _ctl(fleet, node, "version", timeout=timeout)
    match = re.search(r"^\d+\.\d+\S*$", answer, re.MULTILINE)
    if not match:
        raise _not_understood(node, "version", answer)
    fleet.learn(replace(fleet.nodes[node], broker_version=match[0]))
    return match[0]


@contextmanager
def _understood(node: str, command: str) -> Iterator[None]:
    """Raise RunError if an answer of ``rabbitmqctl`` lacks what is read from it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _not_understood(node, command, f"{type(error).__name__}: {error}") from error


def _not_understood(node: str, command: str, answer: str) -> RunError:
    return RunError(
        f"rabbitmqctl {command} gave an answer that is not understood: {shown(answer)}", node=node
    )


InventoryName = Callable[[str], str]
"""Returns the inventory name of an Erlang node; for an unknown node, the host part of its name."""


def _inventory_names(fleet: Fleet) -> InventoryName:
    names = {node.broker: name for name, node in fleet.nodes.items() if node.broker}
    return lambda broker: names.get(broker) or broker.partition("@")[2]


def _view(status: Mapping[str, Any], inventory_name: InventoryName) -> View:
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
        maintenance={
            inventory_name(name): str(text)
            for name, text in dict(status.get("maintenance_status") or {}).items()
        },
        listeners=_listeners(status.get("listeners"), inventory_name),
    )


def _listeners(listed: Any, inventory_name: InventoryName) -> dict[str, frozenset[tuple[str, int]]]:
    """Return what is understood of the listeners. Nothing that is measured depends on them."""
    return {
        inventory_name(name): frozenset(
            (entry["protocol"], entry["port"]) for entry in entries if _is_listener(entry)
        )
        for name, entries in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(entries, list) and any(map(_is_listener, entries))
    }


def _is_listener(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("protocol"), str)
        and isinstance(entry.get("port"), int)
    )


def _queue(row: Mapping[str, str], inventory_name: InventoryName) -> Queue:
    return Queue(
        name=row["name"],
        state=row["state"] or "unknown",
        leader=_leader(row, inventory_name),
        ready=_count(row["messages_ready"]),
        unacknowledged=_count(row["messages_unacknowledged"]),
        messages=_count(row["messages"]),
    )


def _replicas(row: Mapping[str, str], inventory_name: InventoryName) -> Replicas:
    return Replicas(
        leader=_leader(row, inventory_name),
        members=_node_list(row.get("members", ""), inventory_name),
        online=_node_list(row.get("online", ""), inventory_name),
    )


def _with_its_leader(replicas: Replicas) -> Replicas:
    """Return the replicas, with the leader for a classic queue of a version without members."""
    if replicas.members or replicas.leader is None:
        return replicas
    return replace(replicas, members=(replicas.leader,))


def _quorum_replicas(fleet: Fleet, node: str, row: Mapping[str, str], timeout: float) -> Replicas:
    """Return where a quorum queue is, in a version whose ``list_queues`` does not tell."""
    words = ["quorum_status", "-p", fleet.nodes[node].vhost, row["name"], "--formatter", "json"]
    command = shlex.join(["rabbitmq-queues", "--quiet", *words])
    answer = fleet.run(node, command, timeout=timeout).stdout
    inventory_name = _inventory_names(fleet)
    with _understood(node, "quorum_status"):
        states = {
            inventory_name(entry["Node Name"]): entry["Raft State"] for entry in json.loads(answer)
        }
    leaders = [name for name, state in states.items() if state == "leader"]
    return Replicas(
        # During an election, no replica or two replicas may call themselves the leader.
        leader=leaders[0] if len(leaders) == 1 else _leader(row, inventory_name),
        members=tuple(sorted(states)),
        online=tuple(sorted(name for name, state in states.items() if state in RAFT_STATES)),
    )


def _leader(row: Mapping[str, str], inventory_name: InventoryName) -> str | None:
    # Only quorum queues and streams report a leader. The leader of a classic queue is the node in
    # its pid, such as <rabbit@n1.1700000000.2345.0>.
    match = re.search(r"<([^<>]+@[^<>]+?)\.\d+\.\d+\.\d+>", row.get("pid", ""))
    pid_node = match[1].strip("'") if match else ""
    return inventory_name(row.get("leader") or pid_node) or None


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
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else UNKNOWN_COUNT
