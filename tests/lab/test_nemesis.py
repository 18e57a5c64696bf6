"""Every nemesis on real hosts: its packets stop, exactly its own, and flow again after healing.

RabbitMQ is stopped meanwhile: this is about the network, and a cluster that was cut would need to recover each time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from jepsenvm.checkers.windows import windows
from jepsenvm.cluster.hosts import Facts, facts
from jepsenvm.cluster.inventory import Inventory
from jepsenvm.cluster.ssh import Fleet
from jepsenvm.history.foreign import open_history
from jepsenvm.history.journal import Journal
from jepsenvm.plan.grudge import cut_pairs
from jepsenvm.plan.nemesis import NEMESES, next_fault
from jepsenvm.run.nemesis import Nemesis
from tests.lab.conftest import cut, jepsenvm, on

PARTITIONS = sorted(set(NEMESES) - {"none"})


@pytest.fixture(scope="module")
def hosts(cluster: Inventory) -> Iterator[Fleet]:
    with Fleet(cluster.nodes) as fleet:
        fleet.each(lambda node: fleet.run(node, "systemctl stop rabbitmq-server", timeout=120))
        yield fleet
        fleet.each(lambda node: fleet.run(node, "systemctl start --no-block rabbitmq-server"))
    deadline = time.monotonic() + 180
    while jepsenvm("doctor", "-i", str(cluster.path)).returncode:
        assert time.monotonic() < deadline, "the cluster did not come back after these tests"
        time.sleep(1)


@pytest.fixture(scope="module")
def known(hosts: Fleet) -> dict[str, Facts]:
    return facts(hosts)


@pytest.mark.parametrize("name", PARTITIONS)
def test_a_partition_bites_is_proven_and_is_healed(
    name: str, cluster: Inventory, hosts: Fleet, known: dict[str, Facts], tmp_path: Path
) -> None:
    nodes = list(hosts.nodes)
    addresses = {node.name: node.cluster_address for node in cluster.nodes}
    pairs = list(itertools.permutations(nodes, 2))
    fault = next_fault(name, nodes, Random(7))
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(hosts, known, journal, print, longest_fault=60)
    nemesis.prepare()
    try:
        nemesis.inject(1, fault)
        assert cut(pairs, addresses) == [pair in cut_pairs(fault.grudge) for pair in pairs]
        nemesis.heal(1, fault)
        assert not any(cut(pairs, addresses))
    finally:
        assert nemesis.end() == []
        journal.close()
    (window,) = windows(open_history(tmp_path / "history.arrow"))
    assert window.proven, window.problems
    assert all("JEPSENVM" not in on(node, "iptables -w -S; ip6tables -w -S") for node in nodes)
    assert all(not on(node, "systemctl list-units --plain --no-legend jepsenvm-heal-*") for node in nodes)


def test_a_fault_whose_rules_vanish_is_not_proven(hosts: Fleet, known: dict[str, Facts], tmp_path: Path) -> None:
    """What somebody else does to the rules while a fault is in force is noticed at its end."""
    fault = next_fault("partition-halves", list(hosts.nodes), Random(1))
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(hosts, known, journal, print, longest_fault=60)
    nemesis.prepare()
    nemesis.inject(1, fault)
    hosts.each(lambda node: hosts.run(node, "iptables -w -F JEPSENVM; ip6tables -w -F JEPSENVM"))
    nemesis.heal(1, fault)
    nemesis.end()
    journal.close()
    (window,) = windows(open_history(tmp_path / "history.arrow"))
    assert "it did not last: n1 still reaches n3" in window.problems[0]


def test_a_fault_that_cannot_be_injected_is_not_proven(hosts: Fleet, known: dict[str, Facts], tmp_path: Path) -> None:
    fault = next_fault("partition-halves", list(hosts.nodes), Random(1))
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    nemesis = Nemesis(hosts, known, journal, print, longest_fault=60)
    restore = hosts.run("n3", "readlink -f $(command -v iptables-restore)").stdout.strip()
    hosts.run("n3", f"chmod -x {restore}")
    try:
        nemesis.inject(1, fault)
    finally:
        hosts.run("n3", f"chmod +x {restore}")
        nemesis.end()
        journal.close()
    (window,) = windows(open_history(tmp_path / "history.arrow"))
    assert "could not be injected: n3" in window.problems[0]
