"""`jepsenvm fault start`, `fault status` and `heal`, with and without a run in progress."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsenvm.machines.inventory import Inventory
from tests.lab.conftest import JEPSENVM, jepsenvm, made_whole, on_each, results


@pytest.fixture(autouse=True)
def healed(cluster: Inventory) -> Iterator[None]:
    """Nothing is left in force for the tests that follow, whatever happened; and each begins with a
    whole cluster.
    """
    made_whole(cluster)
    yield
    jepsenvm("heal", "-i", str(cluster.path), expect=0)


def test_a_fault_by_hand_is_seen_and_healed_by_hand(cluster: Inventory, tmp_path: Path) -> None:
    where = ["-i", str(cluster.path)]
    output = jepsenvm(
        "fault", "start", "rate", "n2", "--set", "rate-kbit=800", *where, expect=0
    ).stdout
    assert "proven" in output
    status = jepsenvm("fault", "status", *where, expect=0).stdout
    refused = jepsenvm(
        "run", "--net-ticktime", "8", "--no-deploy", "--store", str(tmp_path), *where, expect=254
    )
    assert "a fault is in force before the run: rate; run `jepsenvm heal`" in refused.stderr
    assert status.count(" rate ") == 5, "both ends of each of its links are held"
    assert "CUT" not in status
    healed = jepsenvm("heal", *where, expect=0).stdout
    assert "n2: removed from tc: eth0: tbf rate 800Kbit" in healed
    assert " rate " not in jepsenvm("fault", "status", *where, expect=0).stdout


def test_a_fault_for_a_time_heals_itself_and_leaves_nothing(cluster: Inventory) -> None:
    where = ["-i", str(cluster.path)]
    # Shorter than net_ticktime, so no node considers another down and nothing has to recover.
    output = jepsenvm(
        "fault", "start", "partition", "n1,n2", "n3,n4,n5", "--for", "1s", *where, expect=0
    ).stdout
    assert "12 of 20 links cut, 8 open" in output
    assert "seen healed" in output
    left = "iptables -w -S | grep JEPSENVM; systemctl list-units --plain --no-legend jepsenvm-*"
    names = [node.name for node in cluster.nodes]
    assert set(on_each(names, left).values()) == {""}


def test_nonsense_is_refused_in_a_line(cluster: Inventory) -> None:
    where = ["-i", str(cluster.path)]
    for words, message in (
        (["loss", "n9"], "unknown nodes n9"),
        (["loss", "n1", "--percent", "150"], "percent must be more than 0 and at most 100"),
        (["earthquake"], "unknown nemesis 'earthquake'"),
        (["delay", "n1"], "delay is not possible here: no netem"),
        (["kill", "n1", "--for", "soon"], "--for soon: must be seconds"),
    ):
        done = jepsenvm("fault", "start", *words, *where, expect=254)
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_run_has_what_is_done_by_hand_in_its_history(cluster: Inventory, tmp_path: Path) -> None:
    words = [
        "--nemesis",
        "none",
        "--time-limit",
        "45",
        "--net-ticktime",
        "8",
        "--store",
        str(tmp_path),
    ]
    run = subprocess.Popen(
        [JEPSENVM, "run", "-i", str(cluster.path), *words], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout
    assert any("declared" in line for line in run.stdout)
    jepsenvm("fault", "start", "pause", "n3", "--for", "4s", "-i", str(cluster.path), expect=0)
    output = run.stdout.read()
    assert run.wait(timeout=300) == 0, output
    (window,) = results((tmp_path / "latest").resolve())["checkers"]["faults"]["windows"]
    assert window["fault"]["name"] == "pause"
    assert window["proven"]
    assert window["acknowledged-count"] > 0
