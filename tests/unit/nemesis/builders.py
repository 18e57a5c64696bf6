"""Hosts, faults and evidence that the tests of faults share."""

from __future__ import annotations

from typing import Any, Final

from jepsenvm.machines.action import Action
from jepsenvm.machines.host import Host
from jepsenvm.machines.reachability import Grudge
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.grudge import complete_grudge
from jepsenvm.nemesis.registry import FAULTS

HOSTS: Final = {
    "n1": Host(("10.0.0.1", "fd00::1"), "10.0.0.254", 22, "rabbit@n1"),
    "n2": Host(("10.0.0.2",), "10.0.0.254", 2222, "rabbit@n2"),
    "n3": Host(("10.0.0.3", "fe80::3"), None, 22, "rabbit@ip-10-0-0-3", answers=(2222,)),
}
GRUDGE: Final = complete_grudge([["n1"], ["n2", "n3"]])
CUT: Final = Partition(name="partition", text="n1 | n2 n3", nodes=("n1", "n2", "n3"), grudge=GRUDGE)
NO_OTHERS: Final = ConcurrentFaults()

SETTINGS: Final[dict[str, dict[str, float | str]]] = {
    "clients": {"way": "drop"},
    "clients-kill": {"way": "kill"},
    "clock": {"way": "bump", "seconds": 30},
    "disk-slow": {"write-kbyte-s": 200},
    "file-corrupt": {
        "way": "flip",
        "victims": "drawn",
        "queue": "jepsenvm.quorum.x",
        "at-percent": 50,
    },
    "leader-transfer": {"queue": "jepsenvm.quorum.x", "heir": "n2"},
    "feature-flag": {"flag": "khepri_db"},
    "flapping": {"cut-ms": 300, "open-ms": 700},
    "link-reset": {"blip-ms": 5},
    "loss": {"percent": 20},
    "packets": {"rate-kbit": 1000},
    "upgrade": {
        "to": "3.10.9",
        "package": "rabbitmq-server=3.10.9-1",
        "version": "3.10.9-1",
    },
    "stress": {"way": "cpu", "workers": 1},
}
"""Settings with which each kind of fault can be injected."""


def fault_of(
    kind: str,
    *nodes: str,
    grudge: Grudge | None = None,
    settings: dict[str, float | str] | None = None,
) -> Fault:
    """Return a fault of a kind, on n1 by default and with settings with which it can be injected."""
    return FAULTS[kind](
        name=kind,
        text="n1",
        nodes=nodes or ("n1",),
        grudge=grudge or {},
        settings=SETTINGS.get(kind, {}) if settings is None else settings,
    )


def injected(fault: Fault, node: str) -> list[Action]:
    return list(fault.inject("3", node, HOSTS))


def healed(fault: Fault, node: str) -> list[Action]:
    return list(fault.heal("3", node, HOSTS))


def active_problems(
    fault: Fault, before: Evidence, during: Evidence, others: ConcurrentFaults = NO_OTHERS
) -> list[str]:
    return list(fault.verify_active(before, during, others))


def healed_problems(
    fault: Fault, before: Evidence, after: Evidence, others: ConcurrentFaults = NO_OTHERS
) -> list[str]:
    return list(fault.verify_healed(before, after, others))


# Evidence.

OPEN: Final[dict[str, Any]] = {a: {b: True for b in HOSTS if b != a} for a in HOSTS}
PARTED: Final[dict[str, Any]] = {a: {b: "n1" not in (a, b) for b in HOSTS if b != a} for a in HOSTS}


def datagrams(**counts: int) -> dict[str, Any]:
    """Return datagrams of which ``a_b=count`` of 50 arrived from a at b, and all 50 elsewhere."""
    return {
        b: {
            "sent": 50,
            "heard": {
                a: {
                    "count": counts.get(f"{a}_{b}", 50),
                    "copies": 0,
                    "late": 0,
                    "bytes": 9600,
                    "seconds": 0.02,
                }
                for a in HOSTS
                if a != b
            },
            "echo": {a: {"count": 50, "median-ms": 1.0, "max-ms": 2.0} for a in HOSTS if a != b},
        }
        for b in HOSTS
    }


def process_table(
    state: str = "S", started: int = 100, *, amqp: bool = True, sessions: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the process table of n1; without a state, no runtime is alive."""
    runtime = {"pid": 7, "state": state, "started": started} if state else None
    return {"processes": {"n1": {"runtime": runtime, "amqp": amqp, "sessions": list(sessions)}}}


def distribution(*links: str) -> dict[str, Any]:
    """Return connections ``a-b:port`` from a port of a to b; ``a-b:port/a`` is listed by a only."""
    found: dict[str, dict[str, list[str]]] = {node: {} for node in HOSTS}
    for link in links:
        connection, _, only = link.partition("/")
        ends = connection.partition(":")[0].split("-")
        for node, peer in (ends, ends[::-1]):
            if only in ("", node):
                found[node].setdefault(peer, []).append(connection)
    return {"distribution": found}


def maintenance(status: str | None, table: dict[str, Any]) -> dict[str, Any]:
    """Return a process table of n1 together with its maintenance status."""
    return {**table, "maintenance": {"n1": status}}


def members(*names: str) -> dict[str, Any]:
    """Return views in which every node lists these members, all running."""
    return {
        "members": {
            node: {"running": list(names), "members": list(names)} for node in ("n1", "n2", "n3")
        }
    }
