"""Power losses: the host of a queue loses what it had not synced, and the history proves it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.machines.facts import facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.records import journaled
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from tests.lab.conftest import jepsenvm, made_whole, on, results


@pytest.fixture(autouse=True)
def whole(cluster: Inventory) -> None:
    """Every test begins with a whole cluster."""
    made_whole(cluster)


def run(folder: Path, queue_type: str, nodes: list[str]) -> dict[str, Any]:
    """Return the results of a run with one power loss; n1 is where a classic queue is."""
    loss = {"at": "8s", "for": "20s", "fault": "power-loss", "nodes": nodes}
    plan = {
        "queue-type": queue_type,
        "net-ticktime": 8,
        "time-limit": "50s",
        "schedule": [loss],
    }
    (folder / "plan.yml").write_text(yaml.safe_dump(plan))
    jepsenvm("run", "--store", str(folder / "store"), str(folder / "plan.yml"))
    found = results((folder / "store/latest").resolve())
    (window,) = found["checkers"]["faults"]["windows"]
    assert window["proven"], found["reasons"]
    return found


def test_a_quorum_queue_loses_nothing_with_the_unsynced_writes_of_a_node(
    cluster: Inventory, tmp_path: Path
) -> None:
    found = run(tmp_path, "quorum", ["n1"])
    queue = found["checkers"]["total-queue"]
    assert found["verdict"] == "valid", found["reasons"]
    assert (queue["lost-count"], queue["unexpected-count"]) == (0, 0)
    assert queue["acknowledged-count"] > 100


def test_a_power_loss_of_a_classic_queues_node_is_proven(
    cluster: Inventory, tmp_path: Path
) -> None:
    """RabbitMQ 3.10 syncs before it confirms. Since 4.0 it does not, so messages may be lost."""
    found = run(tmp_path, "classic", ["n1"])
    assert found["checkers"]["total-queue"]["unexpected-count"] == 0
    # Nothing can be confirmed under the fault. What was confirmed before it had to survive.
    assert found["checkers"]["vacuity"]["verdict"] == "valid", found["reasons"]


def test_a_host_that_keeps_its_unsynced_writes_proves_nothing(
    cluster: Inventory, tmp_path: Path
) -> None:
    """A power loss that is only a power cut."""
    power = power_of(cluster)
    assert power is not None
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    (stage,) = stages("power-loss", FaultRequest(["n1", "n2"], Random(1), victims=("n2",)))
    with Fleet(cluster.nodes) as fleet:
        nemesis = Nemesis(
            fleet,
            facts(fleet),
            journaled(journal),
            60,
            power=replace(power, lose=power.cut),
        )
        nemesis.prepare()
        nemesis.hurry()  # what is kept stays kept, so one look is enough
        nemesis.inject(1, stage.fault)
        nemesis.heal(1)
        assert nemesis.end() == []
    journal.close()
    (window,) = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert "n2 kept a file that was not synced: it lost nothing" in window.problems
    assert on("n2", "ls -d /var/lib/rabbitmq/jepsenvm-* 2>/dev/null", check=False) == ""


def test_a_disk_with_other_data_is_refused(cluster: Inventory) -> None:
    words = ("fault", "start", "power-loss", "n3", "--for", "5s", "-i", str(cluster.path))
    on("n3", "mkdir /var/lib/rabbitmq/photos")
    try:
        refused = jepsenvm(*words, expect=254).stderr
    finally:
        on("n3", "rmdir /var/lib/rabbitmq/photos")
    assert refused.startswith(
        "jepsenvm: n3: power-loss is not possible here: no data-file-system; mount an ext4 or xfs"
    )
    assert refused.count("\n") == 1


def test_a_disk_that_could_not_be_mounted_again_is_refused(
    cluster: Inventory, tmp_path: Path
) -> None:
    """The same hosts without a power switch: the disk of a lab host is not in its /etc/fstab."""
    plain = yaml.safe_load(cluster.path.read_text())
    plain["all"]["children"]["rabbitmq"]["vars"]["jepsenvm_machines"] = "cloud"
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump(plain))
    words = ("fault", "start", "power-loss", "n3", "--for", "5s", "-i", str(inventory))
    assert "power-loss is not possible here: no data-mount; " in jepsenvm(*words, expect=254).stderr
