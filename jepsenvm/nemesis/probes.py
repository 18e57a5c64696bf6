"""Looks: what is seen of the cluster before, during and after a fault; all of it JSON-able, to be stored as proof."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines import reachability_probe as reach
from jepsenvm.machines.datagrams import datagrams
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.names import CLUSTER_PORTS

KNOCK_S: Final = 2.0
"""So long without any answer counts as silence."""

ASK_S: Final = 15.0
"""So long a node is asked; rabbitmqctl alone takes a second or two."""

VIEW_S: Final = 10.0

T = TypeVar("T")

Known = Mapping[str, Facts]
Look = Callable[[Fleet, Known, str | None], Any]


def look(fleet: Fleet, facts: Known, names: Sequence[str], queue: str | None) -> dict[str, Any]:
    """Return what these looks see, by their names, one after the other."""
    return {name: LOOKS[name](fleet, facts, queue) for name in names}


def broker_view(fleet: Fleet, queue: str | None) -> dict[str, Any]:
    """Return whom each node sees running and cut off (None where it does not say), and the queue's leader."""
    views = _seen(fleet, lambda node: broker.view(fleet, node, timeout=VIEW_S))
    nodes = {
        node: None
        if view is None
        else {
            "running": sorted(view.running),
            "partitions": {a: sorted(b) for a, b in view.partitions.items()},
        }
        for node, view in views.items()
    }
    found = _replicas(fleet, [node for node, view in views.items() if view], queue, VIEW_S)
    return {"nodes": nodes, "leader": found.leader if found else None}


def _seen(fleet: Fleet, task: Callable[[str], T]) -> dict[str, T | None]:
    """Do a task for all nodes at once; None stands for a node where it failed."""
    answers = fleet.each_or_error(task)
    return {
        node: None if isinstance(answer, Exception) else answer for node, answer in answers.items()
    }


def _replicas(
    fleet: Fleet, nodes: Sequence[str], queue: str | None, timeout: float
) -> broker.Replicas | None:
    """Ask these nodes one after the other until one answers."""
    for node in nodes if queue else ():
        try:
            return broker.replicas(fleet, node, str(queue), timeout)
        except JepsenvmError:
            continue
    return None


def _matrix(fleet: Fleet, facts: Known, _: str | None) -> Any:
    return {node: dict(row) for node, row in reach.matrix(fleet, facts, CLUSTER_PORTS).items()}


def _datagrams(fleet: Fleet, facts: Known, _: str | None) -> Any:
    return datagrams(fleet, facts)


def _burst(fleet: Fleet, facts: Known, _: str | None) -> Any:
    return datagrams(fleet, facts, count=200, every_ms=5, size=1200)


def _program(name: str, fleet: Fleet, _: Known, __: str | None) -> Any:
    return _seen(fleet, lambda node: fleet.python(node, name, timeout=ASK_S))


def _clocks(fleet: Fleet, _: Known, __: str | None) -> Any:
    """Several readings for each node, in seconds ahead of our clock: one that strobes is caught at either end."""

    def readings(node: str) -> list[float]:
        answer = fleet.python(node, "clocks", timeout=ASK_S)
        ours = time.time()
        # All are told against the node's monotonic clock; the last one was read just before the answer came in.
        last = answer["clock"] - ours
        return [round(last + ahead - answer["ahead"][-1], 4) for ahead in answer["ahead"]]

    return _seen(fleet, readings)


def _clients(fleet: Fleet, _: Known, __: str | None) -> Any:
    return fleet.each(
        lambda node: _knock(
            fleet.nodes[node].amqp_host, fleet.nodes[node].amqp_port, KNOCK_S * fleet.patience
        )
    )


def _knock(host: str, port: int, silence: float) -> str:
    try:
        socket.create_connection((host, port), timeout=silence).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    return "open"


def _hosts(fleet: Fleet, _: Known, __: str | None) -> Any:
    return fleet.each(
        lambda node: _greets(
            fleet.nodes[node].ssh_host, fleet.nodes[node].ssh_port or 22, KNOCK_S * fleet.patience
        )
    )


def _greets(host: str, port: int, silence: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=silence) as connection:
            return connection.recv(4).startswith(b"SSH")
    except OSError:
        return False


def _alarms(fleet: Fleet, _: Known, __: str | None) -> Any:
    return _seen(fleet, lambda node: broker.view(fleet, node, timeout=ASK_S).alarm_texts())


def _members(fleet: Fleet, _: Known, __: str | None) -> Any:
    def of(node: str) -> dict[str, list[str]]:
        view = broker.view(fleet, node, timeout=ASK_S)
        return {"running": sorted(view.running), "members": sorted(view.members)}

    return _seen(fleet, of)


def _queue(fleet: Fleet, _: Known, queue: str | None) -> Any:
    found = _replicas(fleet, list(fleet.nodes), queue, ASK_S)
    return found and {
        "leader": found.leader,
        "members": list(found.members),
        "online": list(found.online),
    }


LOOKS: Final[Mapping[str, Look]] = {
    "matrix": _matrix,
    "datagrams": _datagrams,
    "burst": _burst,
    "clients": _clients,
    "processes": partial(_program, "processes"),
    "writes": partial(_program, "writes"),
    "clocks": _clocks,
    "hosts": _hosts,
    "alarms": _alarms,
    "members": _members,
    "queue": _queue,
}
"""What can be looked at, by the names that ``Fault.probes`` uses."""
