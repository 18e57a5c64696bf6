"""Probes: measurements of the cluster before, during and after a fault.

Each returns JSON-able results, which are stored as evidence. None stands for a node that could not
be asked.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from jepsenvm.errors import JepsenvmError, RunError, shown
from jepsenvm.machines.datagrams import datagrams
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.reachability_probe import Reachability, reachability
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import cluster_view, ctl, queue_listing
from jepsenvm.rabbitmq.names import CORRUPTED_DIR

CONNECT_S: Final = 2.0
"""Seconds without any answer after which a port counts as silent."""

ASK_S: Final = 15.0
"""Seconds that a node may take to answer, on a busy host."""

VIEW_S: Final = 10.0


@dataclass(frozen=True)
class Cluster:
    """What the probes need to know."""

    fleet: Fleet
    facts: Mapping[str, Facts]
    queue: str | None
    """The queue whose leader and replicas are of interest."""

    @cached_property
    def reachability(self) -> Reachability:
        """The reachability of the nodes, measured once for all probes that show a part of it."""
        return reachability(self.fleet, self.facts)


def probe(
    fleet: Fleet, facts: Mapping[str, Facts], names: Sequence[str], queue: str | None
) -> dict[str, Any]:
    """Return the results of the probes with these names, run one after the other."""
    cluster = Cluster(fleet, facts, queue)
    return {name: PROBES[name](cluster) for name in names}


def broker_view(fleet: Fleet, queue: str | None) -> dict[str, Any]:
    """Return the nodes that each node sees running and partitioned, and where the queue is."""
    cluster = Cluster(fleet, {}, queue)
    views = fleet.each_or_none(lambda node: cluster_view.view(fleet, node, timeout=VIEW_S))
    answering = [node for node, view in views.items() if view]
    replicas = _replicas(cluster, answering, VIEW_S)
    return {
        "nodes": {node: _view_data(view) if view else None for node, view in views.items()},
        "leader": replicas.leader if replicas else None,
        # A classic queue has no list of members.
        "members": list(replicas.members) if replicas else None,
    }


def _view_data(view: cluster_view.View) -> dict[str, Any]:
    partitions = {node: sorted(others) for node, others in view.partitions.items()}
    return {"running": sorted(view.running), "partitions": partitions}


def _replicas(
    cluster: Cluster, nodes: Sequence[str], timeout: float
) -> queue_listing.Replicas | None:
    """Ask the nodes for the queue's replicas, one after the other, until one answers."""
    if cluster.queue is None:
        return None
    for node in nodes:
        try:
            return queue_listing.replicas(cluster.fleet, node, cluster.queue, timeout)
        except JepsenvmError:
            continue
    return None


def _matrix(cluster: Cluster) -> Any:
    """Who can exchange packets with whom, on any of the cluster's ports."""
    return {node: dict(row) for node, row in cluster.reachability.matrix.items()}


def _blocked_ports(cluster: Cluster) -> Any:
    """The cluster's ports on which packets do not pass, by direction."""
    return {node: dict(row) for node, row in cluster.reachability.blocked.items()}


def _datagrams(cluster: Cluster) -> Any:
    """Small datagrams from all nodes to all: loss, order and delay by direction."""
    return datagrams(cluster.fleet, cluster.facts)


def _burst(cluster: Cluster) -> Any:
    """Large datagrams at a high rate: the rate that a link allows."""
    return datagrams(cluster.fleet, cluster.facts, count=200, every_ms=5, size=1200)


def _processes(cluster: Cluster) -> Any:
    """RabbitMQ's processes and AMQP connections on each node."""
    return cluster.fleet.each_or_none(
        lambda node: cluster.fleet.python(
            node,
            "processes",
            {"port": cluster.fleet.nodes[node].amqp_listen_port},
            timeout=ASK_S,
        )
    )


def _distribution(cluster: Cluster) -> Any:
    """The connections of Erlang's distribution by node and peer, each as both ends with ports."""
    nodes = cluster.fleet.nodes
    owners = {
        address: name for name, known in cluster.facts.items() for address in known.host.addresses
    }
    order = {"ports": sorted({node.distribution_port for node in nodes.values()})}

    def connections(node: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for near, far in cluster.fleet.python(node, "distribution", order, timeout=ASK_S):
            peer = owners.get(far.rpartition(":")[0].strip("[]"))
            if peer is not None and peer != node:
                # Both ends describe a connection in the same way.
                found.setdefault(peer, []).append(" ".join(sorted((near, far))))
        return found

    return cluster.fleet.each_or_none(connections)


def _corruption(cluster: Cluster) -> Any:
    """Each node's record of a file that a fault corrupted there; a null record without one."""
    record = f"{CORRUPTED_DIR}/record.json"
    script = f"if [ -e {CORRUPTED_DIR} ]; then cat {record}; else echo null; fi"

    def ask(node: str) -> dict[str, Any]:
        answer = cluster.fleet.run(node, script, timeout=ASK_S).stdout
        try:
            return {"record": json.loads(answer)}
        except ValueError:
            raise RunError(f"its record is damaged: {shown(answer)}", node=node) from None

    return cluster.fleet.each_or_none(ask)


def _stress(cluster: Cluster) -> Any:
    """What the processes of stress-ng that faults have started take from each node."""
    return cluster.fleet.each_or_none(
        lambda node: cluster.fleet.python(node, "stress", timeout=ASK_S)
    )


def _writes(cluster: Cluster) -> Any:
    """The time of a synced write on each node."""
    return cluster.fleet.each_or_none(
        lambda node: cluster.fleet.python(node, "writes", timeout=ASK_S)
    )


def _clocks(cluster: Cluster) -> Any:
    """Readings of each node's clock over a second, in seconds ahead of this machine's clock.

    A strobing clock is at either end of its jump in some of them.
    """

    def readings(node: str) -> list[float]:
        answer = cluster.fleet.python(node, "clocks", timeout=ASK_S)
        now = time.time()
        # The readings are relative to the node's monotonic clock. The last one was taken just
        # before the answer arrived, which relates all of them to this machine's clock.
        last_offset = answer["clock"] - now
        last = answer["ahead"][-1]
        return [round(last_offset + ahead - last, 4) for ahead in answer["ahead"]]

    return cluster.fleet.each_or_none(readings)


def _clients(cluster: Cluster) -> Any:
    """What a client meets at each node's AMQP port: open, refused or silent."""
    nodes, patience = cluster.fleet.nodes, cluster.fleet.patience
    return cluster.fleet.each(
        lambda node: _connect(nodes[node].amqp_host, nodes[node].amqp_port, CONNECT_S * patience)
    )


def _connect(host: str, port: int, timeout: float) -> str:
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    return "open"


def _hosts(cluster: Cluster) -> Any:
    """Whether each host's sshd answers."""
    nodes, patience = cluster.fleet.nodes, cluster.fleet.patience
    return cluster.fleet.each(
        lambda node: _ssh_answers(
            nodes[node].ssh_host, nodes[node].ssh_port or 22, CONNECT_S * patience
        )
    )


def _ssh_answers(host: str, port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            return connection.recv(4).startswith(b"SSH")
    except OSError:
        return False


def _sentinels(cluster: Cluster) -> Any:
    """What is left of a power loss's sentinel files on each node, and whether its data is whole."""
    answering = [node for node, answers in _hosts(cluster).items() if answers]
    found = cluster.fleet.each_or_error(
        lambda node: cluster.fleet.python(node, "power_loss", timeout=ASK_S), answering
    )
    return {
        node: None if isinstance(found.get(node), Exception) else found.get(node)
        for node in cluster.fleet.nodes
    }


def _alarms(cluster: Cluster) -> Any:
    """The resource alarms that each node reports."""
    fleet = cluster.fleet
    return fleet.each_or_none(
        lambda node: cluster_view.view(fleet, node, timeout=ASK_S).alarm_texts()
    )


def _members(cluster: Cluster) -> Any:
    """The members and the running nodes that each node reports."""

    def members(node: str) -> dict[str, list[str]]:
        view = cluster_view.view(cluster.fleet, node, timeout=ASK_S)
        return {"running": sorted(view.running), "members": sorted(view.members)}

    return cluster.fleet.each_or_none(members)


def _maintenance(cluster: Cluster) -> Any:
    """The maintenance status that each node reports of itself."""
    fleet = cluster.fleet
    return fleet.each_or_none(
        lambda node: cluster_view.view(fleet, node, timeout=ASK_S).maintenance.get(node)
    )


def _versions(cluster: Cluster) -> Any:
    """The installed package and the running version of each node, and how far an upgrade is."""
    fleet = cluster.fleet
    return fleet.each_or_none(lambda node: fleet.python(node, "broker_version", timeout=ASK_S))


def _feature_flags(cluster: Cluster) -> Any:
    """The state and the stability of each feature flag, as each node lists it."""
    fleet = cluster.fleet

    def flags(node: str) -> dict[str, list[str]]:
        listed = ctl.graded_feature_flags(fleet, node, ASK_S)
        return {name: [flag.state, flag.stability] for name, flag in listed.items()}

    return fleet.each_or_none(flags)


def _queue(cluster: Cluster) -> Any:
    """The leader and the replicas of the queue."""
    replicas = _replicas(cluster, list(cluster.fleet.nodes), ASK_S)
    if replicas is None:
        return None
    return {
        "leader": replicas.leader,
        "members": list(replicas.members),
        "online": list(replicas.online),
    }


PROBES: Final[Mapping[str, Callable[[Cluster], Any]]] = {
    "matrix": _matrix,
    "blocked-ports": _blocked_ports,
    "datagrams": _datagrams,
    "burst": _burst,
    "clients": _clients,
    "processes": _processes,
    "distribution": _distribution,
    "writes": _writes,
    "stress": _stress,
    "clocks": _clocks,
    "hosts": _hosts,
    "sentinels": _sentinels,
    "alarms": _alarms,
    "members": _members,
    "maintenance": _maintenance,
    "versions": _versions,
    "feature-flags": _feature_flags,
    "queue": _queue,
    "corruption": _corruption,
}
"""Every probe by the name that ``Fault.probes`` returns."""
