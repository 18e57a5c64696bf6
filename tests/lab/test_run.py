"""The main job on a real cluster: partitions that are proven and healed, and verdicts that are
true.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jepsenvm.history.readers import open_history
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.amqp import Outcome, connect
from jepsenvm.rabbitmq.credentials import credentials
from tests.lab.conftest import (
    JEPSENVM,
    UNKNOWN,
    VALID,
    cut,
    jepsenvm,
    made_whole,
    on,
    on_each,
    results,
    until,
)
from tests.lab.whole import is_as_needed, is_whole
from tests.terminal import Terminal

NODES = ["n1", "n2", "n3", "n4", "n5"]
PAIRS = list(itertools.permutations(NODES, 2))
SMALL = [
    *("--net-ticktime", "8"),
    *("--time-limit", "45"),
    *("--quiet-before", "6"),
    *("--fault-duration", "32"),
    *("--seed", "1"),
    # Autoheal of 3.10.8 may leave nodes down. They are restarted afterwards.
    *("--set", "recovery-deadline=45"),
]
USERS_RULE = "INPUT -p tcp --dport 7 -j DROP"


@pytest.fixture(autouse=True, scope="module")
def users_rule(cluster: Inventory) -> Iterator[None]:
    """A rule of the user's own on every node, which must outlive everything that these tests do."""
    on_each(NODES, f"iptables -w -A {USERS_RULE}")
    yield
    for node, rules in on_each(NODES, "iptables -w -S INPUT").items():
        assert USERS_RULE in rules.replace(" -m tcp", ""), node
    on_each(NODES, f"iptables -w -D {USERS_RULE}")


@pytest.fixture(autouse=True)
def whole(cluster: Inventory, users_rule: None) -> None:
    """Every test begins with a whole cluster: the one before may have left a node that is stuck for
    good.
    """
    made_whole(cluster)


ONE_LONG_FAULT = [
    *("--quiet-before", "1", "--fault-duration", "50", "--time-limit", "60"),
    *("--net-ticktime", "8"),
]


def run(store: Path, *words: str, expect: int) -> tuple[Path, str]:
    done = jepsenvm("run", "--store", str(store), *words, expect=expect)
    return (store / "latest").resolve(), done.stdout


def faulty() -> list[str]:
    """Return the nodes that have a chain of jepsenvm."""
    rules = on_each(NODES, "iptables -w -S; ip6tables -w -S")
    return [node for node, answer in rules.items() if "JEPSENVM" in answer]


def test_hello_through_every_node(cluster: Inventory) -> None:
    told = jepsenvm("hello", "-i", str(cluster.path), expect=0).stdout
    assert told.count("confirmed, and back through") == 5


def test_doctor_finds_nothing_that_is_needed_missing(cluster: Inventory) -> None:
    told = jepsenvm("doctor", "-i", str(cluster.path), expect=0).stdout
    assert "FAIL" not in told
    assert "n5: RabbitMQ sees the whole cluster" in told


def test_mirrored_queue_with_autoheal_loses_confirmed_messages(
    cluster: Inventory, tmp_path: Path
) -> None:
    folder, told = run(tmp_path, "--queue-type", "mirrored", *SMALL, expect=1)
    found = results(folder)
    queue = found["checkers"]["total-queue"]
    assert found["verdict"] == "invalid"
    assert queue["lost-count"] > 0
    assert queue["unexpected-count"] == 0
    (window,) = found["checkers"]["faults"]["windows"]
    assert window["proven"]
    assert "INVALID: acknowledged" in told
    assert "during fault 1 (partition-random-halves" in told
    assert (folder / "nodes/n1/rabbit@n1.log").stat().st_size > 0
    assert "jepsenvm.mirrored" in (folder / "broker-state/cluster.txt").read_text()
    assert "rabbit@n5" in (folder / "broker-state/n1.txt").read_text()
    password = credentials(cluster).password.encode()
    assert not [
        path for path in folder.rglob("*") if path.is_file() and password in path.read_bytes()
    ]
    # The same again from disk.
    assert jepsenvm("check", str(folder), expect=1).stdout.splitlines()[0] in told


def test_a_policy_of_a_run_is_no_deviation(cluster: Inventory, tmp_path: Path) -> None:
    """The policy that a run sets for its own mirrored queue stays, and a deployment accepts it."""
    words = ["--nemesis", "none", "--time-limit", "5", "--queue-type", "mirrored"]
    run(tmp_path, "--net-ticktime", "8", *words, expect=0)
    jepsenvm("deploy", "-i", str(cluster.path), "--net-ticktime", "8", expect=0)


def test_the_live_view_moves_while_a_fault_is_in_force(cluster: Inventory, tmp_path: Path) -> None:
    fault = ["--nemesis", "pause", "--quiet-before", "5", "--fault-duration", "10"]
    words = [*fault, "--net-ticktime", "8", "--time-limit", "25", "--store", str(tmp_path)]
    shown = Terminal([JEPSENVM, "run", "-i", str(cluster.path), *words], folder=tmp_path)
    assert shown.read_until(lambda text: "in force" in text, 300), shown.text
    status = shown.ended(600)
    assert status == {"valid": VALID, "unknown": UNKNOWN}[results(tmp_path / "latest")["verdict"]]
    assert shown.is_restored
    rates = set(re.findall(r"n1 +[0-9]+ of [0-9]+ +([0-9,]+) ", shown.text))
    assert len(rates) >= 3, shown.text
    for text in ("load ", " s left", "fault 1: pause {n", "serving", "pause", "recover", "drain"):
        assert text in shown.text


def test_quorum_queue_loses_nothing(cluster: Inventory, tmp_path: Path) -> None:
    folder, _ = run(tmp_path, "--queue-type", "quorum", *SMALL, expect=0)
    found = results(folder)
    queue = found["checkers"]["total-queue"]
    assert (queue["lost-count"], queue["unexpected-count"]) == (0, 0)
    assert queue["acknowledged-count"] > 100
    assert found["checkers"]["faults"]["windows"][0]["acknowledged-count"] > 0
    assert faulty() == []


def test_every_fault_of_several_is_proven(cluster: Inventory, tmp_path: Path) -> None:
    """Short faults that spare the queue's leader: a new one would not be elected in time, and
    nothing acknowledged.
    """
    words = [
        "--quiet-before",
        "4",
        "--fault-duration",
        "6",
        "--time-limit",
        "30",
        "--nemesis",
        "partition-followers",
    ]
    folder, _ = run(tmp_path, "--net-ticktime", "8", *words, expect=0)
    found = results(folder)["checkers"]["faults"]["windows"]
    assert [window["window"] for window in found] == [1, 2, 3]
    assert all(window["proven"] for window in found)


def test_consumers_and_a_window_and_a_rate_without_faults(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = [
        "--nemesis",
        "none",
        "--time-limit",
        "8",
        "--consumers",
        "3",
        "--window",
        "20",
        "--rate",
        "300",
    ]
    folder, _ = run(tmp_path, "--net-ticktime", "8", *words, expect=0)
    queue = results(folder)["checkers"]["total-queue"]
    assert 500 < queue["acknowledged-count"] <= 2500
    assert queue["ok-count"] == queue["attempt-count"]


def test_a_number_of_messages_ends_the_load(cluster: Inventory, tmp_path: Path) -> None:
    words = [
        "--nemesis",
        "none",
        "--time-limit",
        "60",
        "--messages",
        "101",
        "--queue-type",
        "classic",
    ]
    folder, _ = run(tmp_path, "--net-ticktime", "8", *words, expect=0)
    history = open_history(folder / "history.arrow")
    assert sorted(history.values("ok", "enqueue")) == list(range(101))


def test_a_queue_that_somebody_deletes_is_not_lost_by_the_broker(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = ["--nemesis", "none", "--time-limit", "15", "--net-ticktime", "8"]
    controller = subprocess.Popen(
        [JEPSENVM, "run", "--store", str(tmp_path), "--queue-type", "classic", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    vhost = shlex.quote(cluster.nodes[0].vhost)

    def loaded() -> list[str]:
        rows = on("n1", f"rabbitmqctl -q list_queues --no-table-headers -p {vhost} name messages")
        return [name for name, count in map(str.split, rows.splitlines()) if int(count) > 50]

    try:
        assert until(lambda: bool(loaded()), 120)
        [queue] = loaded()
        on("n1", f"rabbitmqctl -q delete_queue -p {vhost} {shlex.quote(queue)}")
    finally:
        told, _ = controller.communicate()
    assert controller.returncode == 2, told
    found = results((tmp_path / "latest").resolve())
    figures = found["checkers"]["total-queue"]
    assert figures["lost-count"] == 0
    assert figures["undecided-count"] > 50
    assert any(f"{queue} disappeared" in reason for reason in found["reasons"])


def test_an_unroutable_message_failed_for_certain(cluster: Inventory) -> None:
    secret, node = credentials(cluster), cluster.nodes[0]

    async def publish() -> Outcome:
        session = await connect(secret.at(node))
        outcome = await session.publish("jepsenvm.no-such-queue", b"1")
        await session.close()
        return outcome

    assert asyncio.run(publish()) is Outcome.RETURNED


def test_a_killed_controller_leaves_a_readable_history_and_healed_nodes(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = [
        "--quiet-before",
        "1",
        "--fault-duration",
        "15",
        "--time-limit",
        "60",
        "--net-ticktime",
        "8",
    ]
    controller = subprocess.Popen(
        [JEPSENVM, "run", "--store", str(tmp_path), *words],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert controller.stdout
    groups = next(line for line in controller.stdout if "in force" in line)
    try:
        addresses = {node.name: node.cluster_address for node in cluster.nodes}
        inside = groups[groups.index("{") + 1 : groups.index("}")].split(" | ")
        sides = {node: number for number, side in enumerate(inside) for node in side.split()}
        assert cut(PAIRS, addresses) == [sides[a] != sides[b] for a, b in PAIRS]
    finally:
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait()
        controller.stdout.close()
    assert sorted(faulty()) == NODES
    judged = jepsenvm("check", str(tmp_path / "latest"), expect=2).stdout
    assert "the history is cut short" in judged
    history = open_history((tmp_path / "latest").resolve() / "history.arrow")
    assert history.count("ok", "enqueue") > 0
    # The nodes heal themselves: 15 seconds of the longest fault, thirty of grace, and some for a busy machine.
    assert until(lambda: not faulty(), 120)
    assert not any(cut(PAIRS, addresses))


def test_a_killed_load_process_makes_the_run_unknown(cluster: Inventory, tmp_path: Path) -> None:
    words = [
        *("--nemesis", "none", "--net-ticktime", "8", "--time-limit", "20", "--window", "20"),
        *("--set", "workers=2"),
    ]
    controller = subprocess.Popen(
        [JEPSENVM, "run", "--store", str(tmp_path), *words], stdout=subprocess.PIPE, text=True
    )
    assert controller.stdout
    ready = next(line for line in controller.stdout if "load processes are ready" in line)
    assert any(" sent " in line for line in controller.stdout)
    os.kill(int(ready.split()[-1]), signal.SIGKILL)
    told = controller.stdout.read()
    assert controller.wait(timeout=300) == 2, told
    assert "load process 2 of 2 died: killed by SIGKILL; the run goes on without it" in told
    folder = (tmp_path / "latest").resolve()
    found = results(folder)
    (reason,) = found["reasons"]
    assert reason.startswith("load process 2 of 2 died at ")
    assert found["checkers"]["total-queue"]["verdict"] == "valid"
    jepsenvm("check", str(folder), expect=2)
    (folder / "history-load-1.arrow").rename(tmp_path / "history-load-1.arrow")
    judged = jepsenvm("check", str(folder), expect=2).stdout
    assert "history-load-1.arrow, which a load process wrote, is missing" in judged


def test_sigterm_heals_and_still_gives_a_verdict(cluster: Inventory, tmp_path: Path) -> None:
    controller = subprocess.Popen(
        [JEPSENVM, "run", "--store", str(tmp_path), *ONE_LONG_FAULT],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert controller.stdout
    assert any("in force" in line for line in controller.stdout)
    controller.send_signal(signal.SIGTERM)
    told = controller.stdout.read()
    assert controller.wait(timeout=300) == 2, told
    found = results((tmp_path / "latest").resolve())
    assert any("the run was ended early" in reason for reason in found["reasons"])
    assert found["checkers"]["total-queue"]["verdict"] == "valid"
    assert faulty() == []


def test_heal_by_hand_says_what_it_removed(cluster: Inventory) -> None:
    on(
        "n2",
        "iptables -w -N JEPSENVM; iptables -w -A JEPSENVM -s 192.0.2.1 -j DROP; iptables -w -A INPUT -j JEPSENVM",
    )
    told = jepsenvm("heal", "-i", str(cluster.path), expect=0).stdout
    assert "n2: removed from iptables: -s 192.0.2.1/32 -j DROP" in told
    assert "n1: nothing to heal" in told
    assert faulty() == []


def test_a_broker_that_is_down_is_named(cluster: Inventory, tmp_path: Path) -> None:
    with Fleet(cluster.nodes) as fleet:
        assert is_as_needed(fleet)
        on("n3", "systemctl stop rabbitmq-server")
        try:
            assert not is_whole(fleet), "the fixtures of the tests notice it too"
            done = jepsenvm(
                "run", "--no-deploy", "--net-ticktime", "8", "--store", str(tmp_path), expect=254
            )
            assert "n3: RabbitMQ is not up" in done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert not list(tmp_path.rglob("plan.yml")), "a refused run leaves nothing"
        finally:
            on("n3", "systemctl start rabbitmq-server")
    assert until(lambda: jepsenvm("hello", "-i", str(cluster.path)).returncode == 0, 120)


def test_a_cluster_that_is_not_as_the_plan_needs_it_is_deployed_only_if_allowed(
    cluster: Inventory, tmp_path: Path
) -> None:
    done = jepsenvm(
        "run", "--no-deploy", "--net-ticktime", "9", "--store", str(tmp_path), expect=254
    )
    assert "net_ticktime is 8, the plan says 9" in done.stderr


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "jepsenvm-test", str(folder)],
        check=True,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_refused(cluster: Inventory, tmp_path: Path) -> None:
    with disk(tmp_path / "full", 1) as full:
        done = jepsenvm(
            "run", "--no-deploy", "--net-ticktime", "8", "--store", str(full), expect=254
        )
    assert "MB free" in done.stderr


def test_a_disk_that_fills_up_midway_ends_the_run_healed(
    cluster: Inventory, tmp_path: Path
) -> None:
    with disk(tmp_path / "small", 230) as small:
        controller = subprocess.Popen(
            [JEPSENVM, "run", "--store", str(small), *ONE_LONG_FAULT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert controller.stdout
            assert any("in force" in line for line in controller.stdout)
            fill = ["dd", "if=/dev/zero", f"of={small}/ballast", "bs=64k"]
            subprocess.run(fill, capture_output=True, check=False)
            _, complaint = controller.communicate(timeout=180)
            assert controller.returncode == 255, complaint
        finally:
            controller.kill()
            controller.wait()
    (line,) = complaint.splitlines()
    assert "cannot write the history" in line
    assert "free some disk space" in line
    assert faulty() == []
