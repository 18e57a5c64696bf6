"""Every fault on the real cluster: it bites, is proven, is healed, and is seen healed; none
outlives its controller.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.machines.facts import Facts, facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_at, power_of
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.records import journaled
from jepsenvm.nemesis.registry import NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest
from tests.lab.conftest import cut, made_whole, on_each, until
from tests.lab.whole import is_whole

NODES = ["n1", "n2", "n3", "n4", "n5"]
USERS_RULE = "INPUT -p tcp --dport 7 -j DROP"
QUEUE = "jepsenvm.quorum.faults"

PARTITIONS = [
    "partition-halves",
    "partition-random-groups",
    "partition-majorities-ring",
    "partition-bridge",
    "partition-pair",
    "partition-one-way",
]
OF_PACKETS = ["partition-flapping", "loss", "rate"]
OF_THE_BROKER = [
    "partition-leader",
    "partition-followers",
    "clients-drop",
    "clients-reject",
    "clients-kill",
    "link-reset",
    "kill",
    "pause",
    "stop-app",
    "drain",
    "restart",
    "power-cut",
    "power-loss",
    "disk-full",
    "memory-alarm",
    "leader-transfer",
    "replica-shrink",
    "leave",
]
OF_THE_POWER = {"power-cut", "power-loss"}
OF_FILES = [("file-corrupt", "quorum"), ("file-truncate", "quorum"), ("file-corrupt", "classic")]
OF_LOAD = {"stress-cpu": {"workers": 1.0}, "stress-memory": {"memory-mbyte": 64.0}}
OF_A_KILLED_CONTROLLER = {
    # What asks a broker comes before what keeps brokers from answering.
    "broker": [
        "clients-drop n4",
        "memory-alarm n4",
        "disk-full n5",
        "drain n5",
        "stop-app n3",
        "kill n1",
        "pause n2",
    ],
    "members": ["replica-shrink n2", "leave n3", "power-cut n5"],
    "disk": ["power-loss n5"],
}
NOT_HERE = {
    "delay": "netem",
    "duplicate": "netem",
    "reorder": "netem",
    "corrupt": "netem",
    "clock-bump": "own-clock",
    "clock-strobe": "own-clock",
    "disk-slow": "io-limits",
}


@pytest.fixture(scope="module", autouse=True)
def users_rule(cluster: Inventory) -> Iterator[None]:
    """A rule of the user's own on every node, which must outlive everything that these tests do."""
    on_each(NODES, f"iptables -w -A {USERS_RULE}")
    yield
    # A power cut takes rules with it, as it takes every rule that nobody has made permanent.
    kept = [node for node in NODES if node not in _powered_off]
    for node, rules in on_each(kept, "iptables -w -S INPUT").items():
        assert USERS_RULE in rules.replace(" -m tcp", ""), node
    on_each(kept, f"iptables -w -D {USERS_RULE}")


_powered_off: set[str] = set()


@pytest.fixture(scope="module")
def fleet(cluster: Inventory) -> Iterator[Fleet]:
    with Fleet(cluster.nodes) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def known(fleet: Fleet) -> dict[str, Facts]:
    return facts(fleet)


@pytest.fixture(scope="module")
def queue(cluster: Inventory, fleet: Fleet) -> str:
    """A quorum queue on all nodes of a cluster that is whole."""
    fleet.each(lambda node: fleet.run(node, "systemctl start rabbitmq-server", timeout=180))
    come_back(cluster, fleet)
    script = f"""
import asyncio, sys
from pathlib import Path
from jepsenvm.machines.inventory import load
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.amqp import connect
async def main():
    inventory = load(Path({str(cluster.path)!r}), "rabbitmq")
    session = await connect(credentials(inventory).at(inventory.nodes[0]))
    await session.declare({QUEUE!r}, {{"x-queue-type": "quorum", "x-quorum-initial-group-size": 5}})
    await session.close()
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    return QUEUE


@pytest.fixture(scope="module")
def stopped(cluster: Inventory, fleet: Fleet) -> None:
    """RabbitMQ stopped: these are about the network, and a cluster that was cut would need to
    recover each time.
    """
    fleet.each(lambda node: fleet.run(node, "systemctl stop rabbitmq-server", timeout=120))


@pytest.fixture
def returned(cluster: Inventory, fleet: Fleet, queue: str) -> None:
    """A cluster that is whole. It stands before `nemesis`, whose healing timers would end while the
    cluster comes back.
    """
    come_back(cluster, fleet)


@pytest.fixture
def nemesis(
    cluster: Inventory, fleet: Fleet, known: dict[str, Facts], tmp_path: Path
) -> Iterator[Nemesis]:
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    one = Nemesis(fleet, known, journaled(journal), 60, QUEUE, power_of(cluster))
    one.prepare()
    yield one
    assert one.end() == []
    journal.close()
    (window,) = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert window.proven, window.problems
    assert leftovers() == []


def leftovers() -> list[str]:
    """Return what is left of us on the nodes: chains, timers, state."""
    script = (
        "iptables -w -S | grep JEPSENVM; ip6tables -w -S | grep JEPSENVM; ls -A /run/jepsenvm/faults 2>/dev/null;"
        " ls /run/jepsenvm | grep -v faults; tc qdisc show | grep 7e57;"
        " ls -d /var/lib/rabbitmq/jepsenvm-* 2>/dev/null;"
        " systemctl list-units --plain --no-legend jepsenvm-* | grep -v probe; true"
    )
    answers = on_each(NODES, script)
    return [f"{node}: {line}" for node, answer in answers.items() for line in answer.splitlines()]


def come_back(cluster: Inventory, fleet: Fleet) -> None:
    """Give the cluster time to come back by itself, then help."""
    if not until(lambda: is_whole(fleet), 20):
        made_whole(cluster)


@pytest.mark.parametrize("name", PARTITIONS)
def test_a_partition_cuts_exactly_its_pairs(
    name: str, cluster: Inventory, stopped: None, nemesis: Nemesis
) -> None:
    (stage,) = stages(name, FaultRequest(NODES, Random(7)))
    addresses = {node.name: node.cluster_address for node in cluster.nodes}
    pairs = list(itertools.permutations(NODES, 2))
    nemesis.inject(1, stage.fault)
    assert cut(pairs, addresses) == [pair in cut_pairs(stage.fault.grudge) for pair in pairs]
    nemesis.heal(1)
    assert not any(cut(pairs, addresses))


@pytest.mark.parametrize("name", OF_PACKETS)
def test_a_fault_of_packets_bites_and_heals(name: str, stopped: None, nemesis: Nemesis) -> None:
    (stage,) = stages(name, FaultRequest(NODES, Random(3)))
    nemesis.inject(1, stage.fault)
    nemesis.heal(1)


@pytest.mark.parametrize("name", OF_LOAD)
def test_a_stress_bites_and_heals(name: str, stopped: None, nemesis: Nemesis) -> None:
    (stage,) = stages(name, FaultRequest(NODES, Random(3), settings=OF_LOAD[name]))
    nemesis.inject(1, stage.fault)
    nemesis.heal(1)


def test_the_network_outlives_a_killed_controller(cluster: Inventory, stopped: None) -> None:
    kill_a_controller(
        cluster, ["loss n5", "rate n4", "stress-cpu n3", "partition-pair", "partition-flapping"]
    )
    assert until(lambda: leftovers() == [], 150), leftovers()


def unproven(
    fleet: Fleet, known: dict[str, Facts], folder: Path, between: Callable[[Nemesis, Fault], None]
) -> str:
    """Return what the history says of a partition to which something else is done."""
    journal = Journal(folder / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(fleet, known, journaled(journal), 60)
    nemesis.prepare()
    (stage,) = stages("partition-halves", FaultRequest(NODES, Random(1)))
    try:
        between(nemesis, stage.fault)
    finally:
        assert nemesis.end() == []
        journal.close()
    (window,) = fault_intervals(open_history(folder / "history.arrow"))
    assert not window.proven
    return window.problems[0]


def test_a_fault_whose_rules_vanish_is_not_proven(
    stopped: None, fleet: Fleet, known: dict[str, Facts], tmp_path: Path
) -> None:
    """What somebody else does to the rules while a fault is in force is noticed at its end."""

    def between(nemesis: Nemesis, fault: Fault) -> None:
        nemesis.inject(1, fault)
        fleet.each(
            lambda node: fleet.run(node, "iptables -w -F JEPSENVM; ip6tables -w -F JEPSENVM")
        )
        nemesis.heal(1)

    assert "it did not last: n1 still reaches n3" in unproven(fleet, known, tmp_path, between)


def test_a_fault_that_cannot_be_injected_is_not_proven(
    stopped: None, fleet: Fleet, known: dict[str, Facts], tmp_path: Path
) -> None:
    restore = fleet.run("n3", "readlink -f $(command -v iptables-restore)").stdout.strip()

    def between(nemesis: Nemesis, fault: Fault) -> None:
        fleet.run("n3", f"chmod -x {restore}")
        try:
            nemesis.inject(1, fault)
        finally:
            fleet.run("n3", f"chmod +x {restore}")

    assert "could not be injected: n3" in unproven(fleet, known, tmp_path, between)


def test_stages_that_hide_each_other_are_each_proven_in_their_turn(
    stopped: None, fleet: Fleet, known: dict[str, Facts], tmp_path: Path
) -> None:
    """While the second stage is in force, every link of the first and of the third is cut by it
    too.
    """
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(fleet, known, journaled(journal), 60)
    nemesis.prepare()
    first, second, third = stages("partition-rolling-stale", FaultRequest(NODES, Random(7)))
    nemesis.inject(1, first.fault)
    nemesis.inject(2, second.fault)
    nemesis.heal(1)
    nemesis.inject(3, third.fault)
    nemesis.heal(2)
    nemesis.heal(3)
    assert nemesis.end() == []
    journal.close()
    found = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert [window.problems for window in found] == [(), (), ()]


@pytest.mark.parametrize("name", OF_THE_BROKER)
def test_a_fault_of_the_broker_bites_and_heals(
    name: str, cluster: Inventory, queue: str, returned: None, nemesis: Nemesis
) -> None:
    (stage,) = stages(name, FaultRequest(NODES, Random(3)))
    armed = "systemctl is-active jepsenvm-heal-*.timer"
    if name in OF_THE_POWER:
        _powered_off.update(stage.fault.nodes)
    client = _client(cluster, stage.fault.nodes[0])
    try:
        nemesis.inject(1, stage.fault)
        if name not in OF_THE_POWER:
            timers = {answer.strip() for answer in on_each(NODES, armed).values()}
            assert timers == {"active"}, "no fault takes its timer with it"
        nemesis.heal(1)
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_what_these_hosts_cannot_do_is_refused(name: str, cluster: Inventory, fleet: Fleet) -> None:
    (stage,) = stages(name, FaultRequest(NODES, Random(3)))
    with pytest.raises(UsageError, match=f"{name} is not possible here: no {NOT_HERE[name]}; "):
        preflight.require_capabilities(fleet, cluster, [stage.fault])


def test_no_fault_is_left_out() -> None:
    of_files = {name for name, _ in OF_FILES}
    tried = {*PARTITIONS, *OF_PACKETS, *OF_LOAD, *OF_THE_BROKER, *of_files, *NOT_HERE}
    same = {
        name for name in NEMESES if name.startswith("partition")
    }  # other ways to draw the same kind of grudge
    staged = {
        "rolling-restart",
        "kill-all",
        "mixed",
        "partitions",
        "processes",
        "none",
    }  # made of the others
    permanent = {"upgrade", "feature-flag"}  # tried in test_versions_*, on clusters of their own
    assert set(NEMESES) - tried - same - staged - permanent == set()


def test_faults_on_the_same_nodes_compose(
    cluster: Inventory, fleet: Fleet, known: dict[str, Facts], tmp_path: Path
) -> None:
    """Each is proven while the others are in force, and healing one leaves the others."""
    come_back(cluster, fleet)
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(fleet, known, journaled(journal), 60)
    nemesis.prepare()
    for number, name in enumerate(["partition-pair", "clients-reject", "rate"], 1):
        (stage,) = stages(
            name,
            FaultRequest(NODES, Random(1), victims=() if name == "partition-pair" else ("n1",)),
        )
        nemesis.inject(number, stage.fault)
    for number in (1, 2, 3):
        nemesis.heal(number)
    assert nemesis.end() == []
    journal.close()
    found = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert [window.problems for window in found] == [(), (), ()]
    assert leftovers() == []


@pytest.mark.parametrize("batch", OF_A_KILLED_CONTROLLER)
def test_brokers_outlive_a_killed_controller(
    batch: str, cluster: Inventory, fleet: Fleet, queue: str
) -> None:
    come_back(cluster, fleet)
    kill_a_controller(cluster, OF_A_KILLED_CONTROLLER[batch], queue)
    if batch in ("members", "disk"):
        _powered_off.add("n5")
        assert until(lambda: not power_at("lab", "").is_off("n5"), 150)
        fleet.forget("n5")
    assert until(lambda: leftovers() == [], 150), leftovers()


@pytest.fixture
def filled_queue(cluster: Inventory, fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[str]:
    """A queue of the type of the test, with messages that reach the message store."""
    come_back(cluster, fleet)
    name = f"jepsenvm.{request.param}.corrupted"
    script = f"""
import asyncio, sys
from pathlib import Path
from jepsenvm.machines.inventory import load
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.amqp import connect
async def main():
    inventory = load(Path({str(cluster.path)!r}), "rabbitmq")
    session = await connect(credentials(inventory).at(inventory.nodes[0]))
    if sys.argv[1] == "delete":
        await session.delete({name!r})
    else:
        await session.declare({name!r}, {{"x-queue-type": {request.param!r}}})
        await asyncio.gather(*(session.publish({name!r}, b"x" * 8192) for _ in range(200)))
    await session.close()
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", script, "fill"], check=True, timeout=60)
    yield name
    come_back(cluster, fleet)
    subprocess.run([sys.executable, "-c", script, "delete"], check=True, timeout=60)


@pytest.mark.parametrize(("name", "filled_queue"), OF_FILES, indirect=["filled_queue"])
def test_a_corrupted_file_bites_and_heals(
    name: str, fleet: Fleet, known: dict[str, Facts], filled_queue: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(fleet, known, journaled(journal), 60, filled_queue)
    nemesis.prepare()
    (stage,) = stages(name, FaultRequest(NODES, Random(3)))
    nemesis.inject(1, stage.fault)
    nemesis.heal(1)
    assert nemesis.end() == []
    journal.close()
    (window,) = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert window.proven, window.problems
    assert leftovers() == []


@pytest.mark.parametrize("filled_queue", ["quorum"], indirect=True)
def test_a_corrupted_file_outlives_no_controller(cluster: Inventory, filled_queue: str) -> None:
    kill_a_controller(cluster, ["file-truncate"], filled_queue)
    assert until(lambda: leftovers() == [], 150), leftovers()


CONTROLLER = """
import json, sys, time
from pathlib import Path
from random import Random
from jepsenvm.machines.facts import facts
from jepsenvm.machines.inventory import load
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.machines.power import power_at
order = json.load(sys.stdin)
inventory = load(Path(order["inventory"]), "rabbitmq")
fleet = Fleet(inventory.nodes)
nodes = list(fleet.nodes)
def record(note):
    print(json.dumps({"phase": note.phase, "name": note.fault["name"], "error": note.error}), flush=True)
nemesis = Nemesis(fleet, facts(fleet), record, 60, order["queue"], power_at("lab", ""))
nemesis.prepare()
for number, words in enumerate(order["faults"], 1):
    name, *victims = words.split()
    (stage,) = stages(name, FaultRequest(nodes, Random(3), victims=tuple(victims)))
    nemesis.inject(number, stage.fault)
nemesis.longest_fault = 5  # a test need not wait long until the nodes believe that their controller is gone
nemesis.renew()
print(json.dumps({"phase": "all"}), flush=True)
time.sleep(600)
"""


def kill_a_controller(cluster: Inventory, faults: list[str], queue: str | None = None) -> None:
    """SIGKILL a controller in the middle of several faults: every node must heal itself by its own
    timer.
    """
    order = {"inventory": str(cluster.path), "queue": queue, "faults": faults}
    controller = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert controller.stdin
    assert controller.stdout
    try:
        controller.stdin.write(json.dumps(order))
        controller.stdin.close()
        said = [
            json.loads(line)
            for line in iter(controller.stdout.readline, '{"phase": "all"}\n')
            if line
        ]
        forced = [note for note in said if note["phase"] == "in-force"]
        assert [note["error"] for note in forced] == [None] * len(faults), forced
    finally:
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait()
        controller.stdout.close()


def _client(cluster: Inventory, node: str) -> subprocess.Popen[bytes]:
    """Hold an AMQP connection to a node."""
    script = f"""
import asyncio
from pathlib import Path
from jepsenvm.machines.inventory import load
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.amqp import connect
async def main():
    inventory = load(Path({str(cluster.path)!r}), "rabbitmq")
    where = next(one for one in inventory.nodes if one.name == {node!r})
    session = await connect(credentials(inventory).at(where))
    print("connected", flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
"""
    client = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert client.stdout
    client.stdout.readline()
    return client
