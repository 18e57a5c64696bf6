"""Every workload on the real cluster: nothing is found where nothing is wrong, and RabbitMQ's known
failures are.
"""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.checkers.lock import lock as check_lock
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.machines.facts import facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.records import journaled
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import connect
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.workloads import lock
from jepsenvm.workloads.context import Context, OpCounts
from tests.lab.conftest import jepsenvm, made_whole, on, results

NODES = ["n1", "n2", "n3", "n4", "n5"]
QUIET = ["--net-ticktime", "8", "--nemesis", "none", "--seed", "1"]


@pytest.fixture(autouse=True)
def whole(cluster: Inventory) -> None:
    made_whole(cluster)


def run(store: Path, *words: str, expect: int) -> dict[str, Any]:
    jepsenvm("run", "--store", str(store), *QUIET, *words, expect=expect)
    return dict(results((store / "latest").resolve())["checkers"])


SIZES = ["--set", "message-size=[43, 9000]"]
WITHOUT_FAULTS = {
    "order": ["--consumers", "5", "--rate", "300"],
    "order:shared": [
        *("--queue-type", "classic"),
        *("--set", "single-active=false", "--set", "consume=mixed"),
    ],
    "dead-letter": ["--set", "message-ttl=0.2"],
    "stream": ["--window", "20", "--consumers", "0"],
    "stream:bodies": ["--window", "20", "--consumers", "0", *SIZES],
    "redelivery": ["--rate", "300"],
    "redelivery:bodies": ["--rate", "300", "--set", "message-size=5000"],
    "lock": ["--set", "hold=[0, 0.1]"],
    "lock:fenced": ["--set", "hold=[0, 0.1]", "--set", "fenced=true"],
    "queue:stream": ["--queue-type", "stream", "--window", "20", "--consumers", "0"],
    "queue:workers": ["--window", "20", "--set", "workers=2"],
    "queue:bodies": ["--queue-type", "classic", *SIZES],
    "queue:transactions": [
        *("--queue-type", "classic"),
        *("--set", "confirm=transactions", "--set", "consume=polling"),
    ],
}
"""The options of a run, by its workload and, after a colon, what is special about it."""


@pytest.mark.parametrize("name", WITHOUT_FAULTS)
def test_a_workload_is_valid_without_faults(name: str, cluster: Inventory, tmp_path: Path) -> None:
    workload = name.partition(":")[0]
    words = ["--workload", workload, "--time-limit", "6", "--consumers", "3"]
    found = run(tmp_path, *words, *WITHOUT_FAULTS[name], expect=0)
    judged = found["total-queue" if workload == "queue" else workload]
    assert judged["verdict"] == "valid"
    assert judged["acquire-count" if workload == "lock" else "acknowledged-count"] > 10


OF_A_TOPOLOGY = re.compile(r"jepsenvm\.[a-z]+\.[0-9T.]+Z\.[0-9]+")
"""The name of a queue or an exchange of a run: that of the run's queue, and a number."""


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_topology_is_valid_without_faults(
    queue_type: str, cluster: Inventory, tmp_path: Path
) -> None:
    words = ["--workload", "topology", "--queue-type", queue_type, "--time-limit", "15"]
    found = run(tmp_path, *words, expect=0)["topology"]
    assert found["verdict"] == "valid"
    assert found["read-count"] == len(NODES)
    assert min(found["confirmed-count"], found["deleted-count"], found["arrived-count"]) > 10
    # The next run deletes what this one has left.
    run(tmp_path, "--time-limit", "3", expect=0)
    for command in ("list_queues", "list_exchanges"):
        names = on("n2", f"rabbitmqctl --quiet {command} name").split()
        assert not [name for name in names if OF_A_TOPOLOGY.fullmatch(name)]


def test_a_topology_gets_a_verdict_under_a_partition(cluster: Inventory, tmp_path: Path) -> None:
    """Mnesia with autoheal drops what the losing side confirmed, so both verdicts are possible."""
    words = [
        *("--workload", "topology", "--nemesis", "partition-random-halves", "--time-limit", "45"),
        *("--quiet-before", "6", "--fault-duration", "32"),
    ]
    done = jepsenvm("run", "--store", str(tmp_path), *QUIET, *words)
    assert done.returncode in (0, 1), done.stdout
    found = dict(results((tmp_path / "latest").resolve())["checkers"])["topology"]
    assert found["read-count"] == len(NODES)
    assert min(found["confirmed-count"], found["deleted-count"], found["arrived-count"]) > 10
    kinds = ("missing", "undeleted", "divergent", "unexpected", "broken", "stray")
    assert any(found[f"{kind}-count"] for kind in kinds) is (done.returncode == 1)


MANY_QUEUES = {
    "fan-out": [
        *("--queue-type", "quorum", "--set", "queues=6", "--set", "exchange=topic"),
        *("--set", "fan-out=3", "--consumers", "3", "--time-limit", "6", "--rate", "200"),
    ],
    "500-classic": [
        *("--queue-type", "classic", "--set", "queues=500", "--consumers", "5"),
        *("--time-limit", "30", "--window", "20"),
    ],
    "headers-mirrored": [
        *("--queue-type", "mirrored", "--set", "queues=20", "--set", "exchange=headers"),
        *("--set", "fan-out=4", "--time-limit", "10", "--rate", "200"),
    ],
    "fanout-classic": [
        *("--queue-type", "classic", "--set", "queues=20", "--set", "exchange=fanout"),
        *("--set", "fan-out=5", "--time-limit", "10", "--rate", "200"),
    ],
}
"""The options of runs with several queues."""


@pytest.mark.parametrize("name", MANY_QUEUES)
def test_many_queues_are_valid_without_faults(
    name: str, cluster: Inventory, tmp_path: Path
) -> None:
    found = run(tmp_path, *MANY_QUEUES[name], expect=0)["total-queue"]
    assert found["verdict"] == "valid"
    assert found["acknowledged-count"] >= found["queue-count"]
    assert found["gone-queues"] == []
    assert found.get("missing-binding-count", 0) == 0
    if name == "fan-out":
        return
    # The next run deletes what this one has left.
    run(tmp_path, "--time-limit", "3", expect=0)
    for command in ("list_queues", "list_exchanges"):
        names = on("n2", f"rabbitmqctl --quiet {command} name").split()
        assert not [each for each in names if OF_A_TOPOLOGY.fullmatch(each)]


def test_many_classic_queues_get_a_verdict_under_a_partition(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = [
        *("--queue-type", "classic", "--set", "queues=200", "--consumers", "5", "--rate", "500"),
        *("--nemesis", "partition-random-halves", "--time-limit", "45"),
        *("--quiet-before", "6", "--fault-duration", "32"),
    ]
    done = jepsenvm("run", "--store", str(tmp_path), *QUIET, *words)
    assert done.returncode in (0, 1), done.stdout
    found = dict(results((tmp_path / "latest").resolve())["checkers"])["total-queue"]
    assert found["ok-count"] > 200
    assert sum(entry["count"] for entry in found["lost-by-queue"]) == found["lost-count"]
    assert bool(found["lost-count"]) is (done.returncode == 1)


def test_a_deleted_queue_of_many_is_named(cluster: Inventory, tmp_path: Path) -> None:
    """Somebody deletes one of the queues during a run without faults."""
    words = ["--queue-type", "classic", "--set", "queues=10", "--time-limit", "20", "--rate", "100"]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(jepsenvm, "run", "--store", str(tmp_path), *QUIET, *words)
        deadline = time.monotonic() + 120
        listing = "rabbitmqctl --quiet list_queues name messages"
        while not (found := re.findall(r"(\S+Z\.3)\t[1-9]", on("n1", listing, check=False))):
            assert time.monotonic() < deadline, "the run has no queue with messages"
            time.sleep(0.5)
        on("n1", f"rabbitmqctl delete_queue {found[0]}")
        done = running.result()
    assert done.returncode == 2, done.stdout
    judged = dict(results((tmp_path / "latest").resolve())["checkers"])["total-queue"]
    assert judged["gone-queues"] == [found[0]]
    assert judged["undecided-count"] > judged["lost-count"] == 0
    assert "queue 3 disappeared while no fault was in force" in done.stdout


MISBEHAVING = [
    *("--consumers", "5", "--rate", "300", "--time-limit", "8", "--set", "prefetch=20"),
    *("--set", "consumer-churn=[0.3, 1]", "--set", "consumer-crash=[1, 3]"),
    *("--set", "consumer-delay=[1ms, 5ms]"),
]


@pytest.mark.parametrize(
    ("workload", "queue_type"),
    [("queue", "quorum"), ("queue", "classic"), ("order", "quorum"), ("order", "classic")],
)
def test_consumers_may_churn_crash_and_be_slow(
    workload: str, queue_type: str, cluster: Inventory, tmp_path: Path
) -> None:
    words = ["--workload", workload, "--queue-type", queue_type, *MISBEHAVING]
    found = run(tmp_path, *words, expect=0)
    judged = found["total-queue" if workload == "queue" else workload]
    assert judged["verdict"] == "valid"
    assert judged["acknowledged-count"] > 10
    assert judged["duplicated-count"] > 0, "what a crashed consumer held came again"
    again = found["new-subscriptions"]
    assert again["churn-count"] > 5
    assert again["crash-count"] > 0
    assert again["silent-count"] == again["cancelled-count"] == 0


def test_what_is_given_back_too_often_is_dropped(cluster: Inventory, tmp_path: Path) -> None:
    words = [
        "--workload",
        "redelivery",
        "--set",
        "delivery-limit=3",
        "--rate",
        "300",
        "--time-limit",
        "8",
    ]
    found = run(tmp_path, *words, expect=1)["redelivery"]
    assert found["dropped-count"] > 0
    assert all(value % 100 == 0 for value in found["dropped"]), "only what was always given back"


REFUSED = [
    *("--workload", "dead-letter", "--set", "dead-letter-target=refusing"),
    *("--rate", "200", "--time-limit", "6"),
]


def test_dead_letters_at_most_once_are_lost_where_the_target_refuses_them(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = [*REFUSED, "--set", "dead-letter-strategy=at-most-once"]
    found = run(tmp_path, *words, expect=1)["dead-letter"]
    assert found["lost-count"] > 0


def test_dead_letters_at_least_once_are_kept_while_the_target_refuses_them(
    cluster: Inventory, tmp_path: Path
) -> None:
    """RabbitMQ tries again after three minutes, which this does not wait for: what it keeps must
    not pass for lost.
    """
    found = run(tmp_path, *REFUSED, "--set", "drain-deadline=15", expect=2)["dead-letter"]
    assert found["lost-count"] == 0
    assert found["undecided-count"] > 0


def test_a_lock_has_two_holders_when_one_is_cut_off(cluster: Inventory, tmp_path: Path) -> None:
    """The 2014 post's finding: who holds the lock on the wrong side of a partition is not told that
    it was given on.
    """
    journal = Journal(tmp_path / "history.arrow", time.monotonic_ns)
    plan = Plan(workload="lock", op_timeout=5)
    secret = credentials(cluster)
    addresses = [secret.at(node) for node in cluster.nodes]
    (stage,) = stages(
        "partition", FaultRequest(NODES, Random(1), groups=(("n1", "n2"), ("n3", "n4", "n5")))
    )

    async def hold_and_cut(nemesis: Nemesis) -> None:
        context = Context(plan, addresses, "jepsenvm.quorum.lock", journal, asyncio.Event())
        await lock.WORKLOAD.setup(context, [])
        cut_off, other = await connect(addresses[0]), await connect(addresses[2])
        held = await lock.acquire(context, cut_off, 1, OpCounts())
        assert held
        assert await lock.acquire(context, other, 2, OpCounts()) is None, "there is one lock"
        await asyncio.to_thread(nemesis.inject, 1, stage.fault)
        async with asyncio.timeout(60):
            while not await lock.acquire(context, other, 2, OpCounts()):
                if other.lost is not None:
                    other = await connect(addresses[2])
                await asyncio.sleep(0.5)
        await lock.release(context, cut_off, 1, held, OpCounts())
        await asyncio.to_thread(nemesis.heal, 1)
        other.abandon("done")

    with Fleet(cluster.nodes) as fleet:
        nemesis = Nemesis(fleet, facts(fleet), journaled(journal), 90)
        nemesis.prepare()
        try:
            asyncio.run(hold_and_cut(nemesis))
        finally:
            assert nemesis.end() == []
    journal.close()
    found = check_lock(open_history(tmp_path / "history.arrow"))
    assert found.verdict is Verdict.INVALID
    assert {op["node"] for op in found.figures["violation"]} == {"n1", "n3"}
