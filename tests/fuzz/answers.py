"""The kind ``answer``: changed answers of nodes, of ssh and of Ansible, and changed spool files.

Each program's answer has its usual text here, and is changed before jepsenvm reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

from jepsenvm.experiment.logs import log_sizes
from jepsenvm.machines.ansible_vars import parse_results
from jepsenvm.machines.capabilities import capabilities
from jepsenvm.machines.facts import facts
from jepsenvm.machines.ssh import Fleet, Output
from jepsenvm.machines.ssh_route import parse_route
from jepsenvm.nemesis.manual import SPOOL, Spool
from jepsenvm.nemesis.probes import PROBES, broker_view, probe
from jepsenvm.nemesis.records import FaultRecord
from jepsenvm.nemesis.status import in_force
from jepsenvm.rabbitmq import cluster_view, ctl, node_names, queue_listing, topology_listing
from jepsenvm.rabbitmq.finished_runs import finished_runs
from tests.fuzz.mutations import changed_text
from tests.fuzz.outcome import Outcome, observe
from tests.unit.fakes import facts as facts_of
from tests.unit.fakes import node as node_named
from tests.unit.rabbitmq.answers import printed

STATUS: Final = json.dumps(
    {
        "running_nodes": ["rabbit@n1", "rabbit@n2"],
        "disk_nodes": ["rabbit@n1", "rabbit@n2", "rabbit@n3"],
        "ram_nodes": [],
        "partitions": {"rabbit@n1": ["rabbit@n3"]},
        "alarms": [{"node": "rabbit@n1", "resource": "memory", "type": "resource_limit"}],
        "versions": {"rabbit@n1": {"rabbitmq_version": "3.10.8"}},
        "listeners": {"rabbit@n1": [{"port": 5672, "protocol": "amqp", "interface": "[::]"}]},
    }
)
QUEUES: Final = json.dumps(
    [
        {
            "name": "amVwc2Vudm0ucQ==",
            "node": "rabbit@n1",
            "info": {
                "state": "running",
                "leader": "rabbit@n1",
                "members": ["rabbit@n1", "rabbit@n-2"],
                "online": ["rabbit@n1"],
                "messages_ready": 3,
                "messages_unacknowledged": 1,
                "messages": 4,
            },
        },
        {"name": "cQ==", "node": "rabbit@n2", "info": {"state": "down"}},
    ]
)
TOPOLOGY: Final = json.dumps(
    {"queues": ["cQ=="], "exchanges": ["", "ZQ=="], "bindings": [["ZQ==", "cQ==", "MQ=="]]}
)
SETTINGS: Final = json.dumps({"version": "3.10.8", "handling": "autoheal", "ticktime": 15})
FACTS: Final = json.dumps(
    {
        "addresses": [
            {"address": "192.0.2.11", "scope": "global"},
            {"address": "fe80::1", "scope": "link"},
        ],
        "missing": [],
        "clock": 1700000000.5,
    }
)
CAPABILITIES: Final = json.dumps(
    {"iptables": True, "tc": False, "boot-id": "a-b", "booted": 1700000000.1}
)
NOTES: Final = (
    json.dumps({"number": 1, "fault": {"name": "kill", "text": "n1"}, "since": 1.5, "before": {}})
    + "\n"
)
PROCESSES: Final = json.dumps(
    {"processes": [{"pid": 1, "state": "S", "begun": 12.5}], "clients": 3, "ahead": [0.1, 0.2]}
)
CLOCKS: Final = json.dumps({"clock": 1700000000.5, "ahead": [0.1, 0.2]})
SPOOLED: Final = json.dumps(
    FaultRecord(
        f="start", phase="inject", number=100_001, fault={"name": "kill", "text": "n1"},
        fired={"n1": 1.5},
    ).as_data()
)  # fmt: skip
ROUTE: Final = (
    "host n1\nuser root\nhostname 192.0.2.11\nport 22\nidentityfile ~/.ssh/id_ed25519\n"
    "stricthostkeychecking true\nuserknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n"
    "globalknownhostsfile /etc/ssh/ssh_known_hosts\nproxyjump none\nidentitiesonly no\n"
)
RESULTS: Final = 'n1 | SUCCESS => {\n    "changed": false,\n    "msg": {"ansible_port": "22"}\n}\n'


class AnsweringFleet(Fleet):
    """A fleet on which every command prints one answer."""

    def __init__(self, answer: str) -> None:
        self.patience = 1.0
        self.nodes = {name: node_named(name) for name in ("n1", "n2")}
        self._answer = answer
        self._pool = ThreadPoolExecutor(1)

    def run(self, node: str, script: str, **_: Any) -> Output:
        return Output(self._answer, "", 0)

    def plain(self, node: str, command: str, *, timeout: float = 30) -> Output:
        return Output("192.0.2.254 5000 192.0.2.11 22", "", 0)

    def close(self) -> None:
        self._pool.shutdown()


def _replicas(fleet: Fleet) -> Any:
    return queue_listing.replicas(fleet, "n1", "q")


def _alarms(fleet: Fleet) -> Any:
    view = cluster_view.view(fleet, "n1")
    return view.alarm_texts(), view.troubles(["n1", "n2"]), view.side("n1")


def _probe(name: str) -> Callable[[Fleet], Any]:
    return lambda fleet: probe(fleet, facts_of("n1", "n2"), [name], "q")


ASKED: Final[dict[str, tuple[str, Callable[[Fleet], Any]]]] = {
    "alarms": (STATUS, _alarms),
    "queues": (QUEUES, lambda fleet: queue_listing.queues(fleet, "n1")),
    "replicas": (QUEUES, _replicas),
    "topology": (TOPOLOGY, lambda fleet: topology_listing.listing(fleet, "n1")),
    "settings": (SETTINGS, lambda fleet: ctl.settings(fleet, "n1")),
    "vhosts": ('["Lw=="]', lambda fleet: ctl.make_vhost(fleet, "n1", "user")),
    "finished runs": ('["20261125T140310.000000Z"]', lambda fleet: finished_runs(fleet, "n1")),
    "view": (STATUS, lambda fleet: broker_view(fleet, None)),
    "probe alarms": (STATUS, _probe("alarms")),
    "probe members": (STATUS, _probe("members")),
    "probe queue": (QUEUES, _probe("queue")),
}
"""The usual JSON of each answer to a question, and what asks it."""

PRINTED: Final[dict[str, tuple[str, Callable[[Fleet], Any]]]] = {
    "names": ("'rabbit@n1'\n", node_names.learn_names),
    "facts": (FACTS, facts),
    "capabilities": (CAPABILITIES, capabilities),
    "notes": (NOTES, in_force),
    "logs": ("12 rabbit@n1.log\n13 rabbit@n1_upgrade.log\n", log_sizes),
    **{
        f"probe {name}": (CLOCKS if name == "clocks" else PROCESSES, _probe(name))
        for name in PROBES
        if name in {"processes", "writes", "clocks"}
    },
}
"""What other programs usually print, and what asks it."""


def run(random: Random, folder: Path) -> Outcome:
    """Change the answer to one question, and ask it; or change a file that a run reads."""
    name = random.choice((*ASKED, *ASKED, *PRINTED, "spool", "route", "results"))
    usual = {"spool": f"{SPOOLED}\n{SPOOLED}\n", "route": ROUTE, "results": RESULTS}
    text = usual[name] if name in usual else (ASKED | PRINTED)[name][0]
    data = changed_text(random, text)
    (folder / f"{name.replace(' ', '-')}.txt").write_bytes(data)
    # SSH and subprocesses give text with undecodable bytes replaced.
    answer = data.decode("utf-8", "replace") if name not in ASKED else printed(data)
    outcome = observe(lambda: _ask(name, answer, data, folder))
    return Outcome(outcome.name, f"{name}: {outcome.detail}") if outcome.failed else outcome


def _ask(name: str, answer: str, data: bytes, folder: Path) -> Any:
    if name == "spool":
        (folder / SPOOL).write_bytes(data)
        return [(entry.skew_ms, entry.as_data()) for entry in Spool(folder).new()]
    if name == "route":
        return parse_route(answer, node_named("n1"))
    if name == "results":
        return parse_results(answer)
    fleet = AnsweringFleet(answer)
    try:
        return (ASKED | PRINTED)[name][1](fleet)
    finally:
        fleet.close()
