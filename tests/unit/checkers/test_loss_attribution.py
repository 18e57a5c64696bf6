"""Loss attribution: nodes, times, faults, sides and leaders of lost messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.nemesis_records import DURING, HEAL, HEALED, IN_FORCE, INJECT, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import Ints
from jepsenvm.history.units import SECOND
from jepsenvm.nemesis.grudge import complete_grudge
from tests.unit.builders import (
    DRAIN,
    PARTITION,
    acknowledged,
    delivered,
    fault_records,
    history,
    nemesis_record,
    published,
    recovery_record,
)


def test_a_loss_is_attributed_to_nodes_times_and_faults() -> None:
    lossy = history(
        [
            acknowledged(0, 5 * SECOND),
            nemesis_record(INJECT, 10 * SECOND, fault=PARTITION),
            acknowledged(1, 12 * SECOND, "n3"),
            nemesis_record(HEALED, 20 * SECOND, fault=PARTITION),
            acknowledged(2, 25 * SECOND, "n2"),
        ]
    )
    codes: Ints = lossy.values("ok", "enqueue")
    assert attribute(lossy, codes[1:]) == (
        "confirmed by n2 and n3 between 12.0 s and 25.0 s, "
        "1 during fault 1 (partition-random-halves {n1 | n2 n3}); 1 after fault 1 was healed"
    )
    assert (
        attribute(lossy, codes[:1]) == "confirmed by n1 between 5.0 s and 5.0 s, 1 before any fault"
    )
    assert attribute(lossy, codes[:0]) is None


def grudge(groups: list[list[str]]) -> dict[str, list[str]]:
    return {node: sorted(dropped) for node, dropped in complete_grudge(groups).items()}


HALVES = {
    "name": "partition-halves",
    "text": "n1 n3 | n2 n4 n5",
    "kind": "partition",
    "nodes": ["n1", "n2", "n3", "n4", "n5"],
    "grudge": grudge([["n1", "n3"], ["n2", "n4", "n5"]]),
}


def details(
    *nodes: str,
    fault: Mapping[str, Any] = HALVES,
    leader: str | None = None,
    viewed: int = 15,
    isolates_nodes: bool | None = None,
) -> str:
    """Return what the attribution says about the fault, after its title.

    One message was confirmed on each of the nodes while the fault was in force, and is lost.
    ``viewed`` is the time at which a broker reported the leader. Without ``isolates_nodes`` the
    records lack that key, as those of older versions do.
    """
    times = {INJECT: 10, IN_FORCE: 11, HEAL: 18, HEALED: 20}
    data = {} if isolates_nodes is None else {"isolates-nodes": isolates_nodes}
    records = fault_records(times, fault=fault, **data)
    proof = {"broker": {"leader": leader}}
    view = {"phase": DURING, "window": 1, "fault": fault, "proof": proof}
    lossy = history(
        records[:2],
        [Op("info", VIEW, process=NEMESIS, time=viewed, data=view)],
        [acknowledged(value, 12 + value, node) for value, node in enumerate(nodes)],
        records[2:],
    )
    attribution = attribute(lossy, lossy.values("ok", "enqueue"))
    assert attribution is not None
    return attribution.partition("}")[2].removeprefix(")")


@pytest.mark.parametrize(
    ("nodes", "groups", "expected"),
    [
        (["n1", "n3"], [["n1", "n3"], ["n2", "n4", "n5"]], ", minority side"),
        (["n3"], [["n1", "n3"], ["n2", "n4", "n5"]], ", minority side"),
        (["n2", "n5"], [["n1", "n3"], ["n2", "n4", "n5"]], ", majority side"),
        (["n1", "n2"], [["n1", "n3"], ["n2", "n4", "n5"]], ""),
        (["n1"], [["n1", "n3"], ["n2", "n4"]], ", side of n1 n3"),
        (["n5"], [["n1", "n3"], ["n2", "n4"], ["n5"]], ", side of n5"),
        (["n1"], [["n1", "n2", "n3"], ["n4"], ["n5"]], ", majority side"),
    ],
)
def test_a_loss_on_one_side_of_a_partition_names_the_side(
    nodes: list[str], groups: list[list[str]], expected: str
) -> None:
    everyone = [node for group in groups for node in group]
    fault = {**HALVES, "nodes": everyone, "grudge": grudge(groups)}
    assert details(*nodes, fault=fault) == expected


def test_a_fault_that_leaves_the_cluster_connected_has_no_sides() -> None:
    bridge = {**HALVES, "nodes": ["n1", "n2", "n3"], "grudge": grudge([["n1"], ["n2"]])}
    assert details("n1", fault=bridge) == ""  # n3 reaches both
    assert details("n1", fault={**HALVES, "kind": "loss"}) == ""
    killed = {**HALVES, "kind": "kill", "nodes": ["n1"], "grudge": {}}
    assert details("n1", fault=killed) == ""


def test_a_fault_of_any_kind_has_sides_if_its_records_say_that_it_isolates_nodes() -> None:
    fault = {**HALVES, "kind": "new-kind"}
    assert details("n1", fault=fault, isolates_nodes=True) == ", minority side"
    assert details("n1", fault=fault, isolates_nodes=False) == ""


def test_a_loss_names_the_leader_that_was_reported_in_time() -> None:
    assert details("n1", leader="n3") == ", minority side, led by n3"
    assert details("n1", leader="n2") == ", minority side, led by n2 on another side"
    assert details("n1", "n2", leader="n2") == ", led by n2"
    assert details("n1", leader="n2", viewed=25) == ", minority side"


@pytest.mark.parametrize(
    ("data", "verdict", "lost", "undecided"),
    [
        ({}, Verdict.INVALID, 1, 0),
        # Stored by an earlier version: who had a replica is not recorded.
        ({"restarted": ["n1"]}, Verdict.INVALID, 1, 0),
        ({"restarted": ["n1"], "replicas": ["n1", "n2"]}, Verdict.INVALID, 1, 0),
        ({"restarted": ["n1", "n2", "n3"], "replicas": ["n1", "n2"]}, Verdict.UNKNOWN, 0, 1),
        ({"restarted": ["n1"], "replicas": ["n1"]}, Verdict.UNKNOWN, 0, 1),
        ({"restarted": ["n1"], "replicas": None}, Verdict.UNKNOWN, 0, 1),
        ({"restarted": [], "replicas": None}, Verdict.INVALID, 1, 0),
    ],
)
def test_a_loss_after_our_own_restart_is_not_the_brokers(
    data: dict[str, Any], verdict: Verdict, lost: int, undecided: int
) -> None:
    result = total_queue(history(published(1, 2), [recovery_record(**data)], delivered(1), DRAIN))
    assert result.verdict is verdict
    assert result.figures["lost-count"] == lost
    assert result.figures["undecided-count"] == undecided
    assert ("jepsenvm restarted" in " ".join(result.reasons)) is bool(data.get("restarted"))


@pytest.mark.parametrize(
    ("replicas", "verdict"), [(["n1", "n2"], Verdict.INVALID), (["n1"], Verdict.UNKNOWN)]
)
def test_the_recovery_of_a_resumed_run_does_not_hide_who_held_the_queue(
    replicas: list[str], verdict: Verdict
) -> None:
    records = [
        recovery_record(restarted=["n1"], replicas=replicas),
        recovery_record(restarted=[], replicas=None),
    ]
    result = total_queue(history(published(1, 2), records, delivered(1), DRAIN))
    assert result.verdict is verdict


def test_our_own_restart_leaves_no_doubt_if_nothing_is_missing() -> None:
    record = recovery_record(restarted=["n1"], replicas=["n1"])
    result = total_queue(history(published(1), [record], delivered(1), DRAIN))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
