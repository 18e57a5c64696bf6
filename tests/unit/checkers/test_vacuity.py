"""vacuity: a fault without load tested nothing; the load of each side is only counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.fault_intervals import FaultInterval, sides
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.experiment.run_analysis import judge_run
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT, RECOVER, SCHEDULE, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis.grudge import complete_grudge
from jepsenvm.plan.plan import Plan
from tests.unit.builders import enqueued, fault_records, history, nemesis_record, recovery_record

NODES = ["n1", "n2", "n3", "n4", "n5"]
CUT = {
    "kind": "partition",
    "name": "partition-halves",
    "text": "n1 n2 | n3 n4 n5",
    "nodes": NODES,
    "grudge": {
        node: sorted(others) for node, others in complete_grudge([NODES[:2], NODES[2:]]).items()
    },
}
KILL = {"kind": "kill", "name": "kill", "text": "n2", "nodes": ["n2"], "grudge": {}}


def judged(
    *acknowledged: tuple[int, str], fault: Any = CUT, f: str = "enqueue", stops: bool = False
) -> Result:
    """Judge a fault in force from 20 to 40, and ops that began at these times on these nodes."""
    times = {INJECT: 10, IN_FORCE: 20, HEAL: 40, HEALED: 50}
    ops = [
        Op(type_, f, number, number, time, node)
        for number, (time, node) in enumerate(acknowledged)
        for type_ in ("invoke", "ok")
    ]
    return vacuity(
        history(fault_records(times, fault=fault, fired={"n1": 20}, **{"stops-load": stops}), ops)
    )


def counts(result: Result) -> dict[str, int]:
    (window,) = result.figures["windows"]
    assert window["window"] == 1
    return {" ".join(side["nodes"]): side["acknowledged-count"] for side in window["sides"]}


def test_a_fault_that_met_load_on_both_sides_is_valid() -> None:
    result = judged((20, "n1"), (30, "n3"), (39, "n5"), (40, "n1"), (19, "n1"))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert counts(result) == {"n1 n2": 1, "n3 n4 n5": 2}


def test_a_fault_that_met_load_on_one_side_is_valid() -> None:
    result = judged((30, "n3"))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert counts(result) == {"n1 n2": 0, "n3 n4 n5": 1}


@pytest.mark.parametrize("acknowledged", [[], [(19, "n1"), (40, "n1")]])
def test_a_fault_that_met_no_load_is_unknown(acknowledged: list[tuple[int, str]]) -> None:
    result = judged(*acknowledged)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "fault 1 (partition-halves {n1 n2 | n3 n4 n5}) tested nothing: no operation that began "
        "while it was in force was acknowledged",
    )


@pytest.mark.parametrize(
    ("began", "ended", "verdict"),
    [
        (19, 20, Verdict.UNKNOWN),
        (19, 45, Verdict.UNKNOWN),
        (20, 20, Verdict.VALID),
        (39, 60, Verdict.VALID),  # its ok came after the healing
        (40, 41, Verdict.UNKNOWN),
    ],
)
def test_an_operation_is_load_if_it_began_under_the_fault(
    began: int, ended: int, verdict: Verdict
) -> None:
    faults = fault_records({INJECT: 10, IN_FORCE: 20, HEAL: 40, HEALED: 50}, fault=CUT)
    assert vacuity(history(faults, enqueued(0, began, ended))).verdict is verdict


def test_an_ok_without_an_invocation_is_no_load() -> None:
    faults = fault_records({INJECT: 10, IN_FORCE: 20, HEAL: 40, HEALED: 50}, fault=CUT)
    ok = [Op("ok", "enqueue", 0, time=30, node="n1")]
    assert vacuity(history(faults, ok)).verdict is Verdict.UNKNOWN


def test_a_fault_that_stops_the_load_need_not_meet_any() -> None:
    assert judged((9, "n1"), stops=True).verdict is Verdict.VALID
    assert judged((20, "n1"), stops=True).verdict is Verdict.VALID


@pytest.mark.parametrize("acknowledged", [[], [(10, "n1")], [(45, "n1")]])
def test_a_fault_that_stops_the_load_tests_what_was_acknowledged_before_it(
    acknowledged: list[tuple[int, str]],
) -> None:
    result = judged(*acknowledged, stops=True)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "fault 1 (partition-halves {n1 n2 | n3 n4 n5}) tested nothing: it stopped all load, and no"
        " operation was acknowledged before it",
    )


def test_a_fault_that_was_never_in_force_is_not_judged() -> None:
    result = vacuity(from_ops([nemesis_record(INJECT, fault=CUT)]))
    assert (result.verdict, counts(result)) == (Verdict.VALID, {"n1 n2": 0, "n3 n4 n5": 0})


@pytest.mark.parametrize(
    ("f", "verdict"), [("acquire", Verdict.VALID), ("dequeue", Verdict.UNKNOWN)]
)
def test_the_operations_that_count_as_acknowledged(f: str, verdict: Verdict) -> None:
    assert judged((30, "n1"), f=f).verdict is verdict


def test_the_sides_of_other_faults_are_the_victims_and_the_rest() -> None:
    result = judged((30, "n2"), (31, "n1"), (32, "n3"), fault=KILL)
    assert counts(result) == {"n2": 1, "n1 n3": 2}


def test_an_empty_history_is_valid() -> None:
    assert vacuity(from_ops([])) == Result(Verdict.VALID, (), {"windows": []})


@given(
    st.lists(
        st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)).filter(
            lambda pair: pair[0] != pair[1]
        )
    )
)
def test_sides_are_the_nodes_that_still_reach_each_other(drops: Sequence[tuple[str, str]]) -> None:
    grudge = {node: frozenset(source for to, source in drops if to == node) for node in NODES}
    cut = cut_pairs(grudge)
    reach = {(a, b): a == b or (a, b) not in cut for a, b in product(NODES, NODES)}
    for between, a, b in product(NODES, NODES, NODES):  # Warshall's transitive closure
        reach[a, b] |= reach[a, between] and reach[between, b]
    expected = sorted({tuple(b for b in NODES if reach[a, b]) for a in NODES})
    fault = {
        "kind": "partition",
        "grudge": {node: sorted(dropped) for node, dropped in grudge.items()},
    }
    interval = FaultInterval(1, fault, 0, isolates_nodes=True)
    assert sorted(sides(interval, NODES)) == expected


def test_every_run_is_checked_for_vacuity(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text(Plan().to_yaml())
    journal = Journal(tmp_path / HISTORY, iter(range(0, 1000, 10)).__next__)
    journal.append("info", SCHEDULE, process=NEMESIS, data=[{"fault": CUT}])
    journal.append("invoke", "enqueue", 0, process=0, node="n1")
    journal.append("ok", "enqueue", 0, process=0, node="n1")
    for phase in (INJECT, IN_FORCE, HEAL, HEALED):
        journal.append(
            "info", "x", process=NEMESIS, data={"phase": phase, "window": 1, "fault": CUT}
        )
    journal.append("info", RECOVER, process=NEMESIS, data=recovery_record().data)
    journal.append("invoke", "drain", process=9)
    journal.append("ok", "dequeue", 0, process=9, node="n1")
    journal.append("ok", "drain", process=9)
    journal.close()
    results = judge_run(tmp_path)
    assert results.verdict is Verdict.UNKNOWN
    assert [
        name for name, result in results.checkers.items() if result.verdict is not Verdict.VALID
    ] == ["vacuity"]
    assert {"availability", "latency", "exceptions", "broker-logs"} <= results.checkers.keys()
    json.dumps(results.as_data())


def view(phase: str, *members: str, leader: str | None = "n2") -> Op:
    """Return what a broker reported about the queue around fault 1."""
    proof: dict[str, Any] = {"broker": {"nodes": {}, "leader": leader, "members": list(members)}}
    return Op("info", VIEW, process=NEMESIS, data={"phase": phase, "window": 1, "proof": proof})


def under_stopped_replicas(
    *ops: Op, views: Sequence[Op], stops: bool = True, leader_alone: bool = True, **data: Any
) -> Result:
    """Judge a kill of n2 in force from 20 to 40, injected at 10."""
    times = {INJECT: 10, IN_FORCE: 20, HEAL: 40, HEALED: 50}
    records = fault_records(
        times, fault=KILL, fired={"n2": 20}, **{"stops-replicas": stops, **data}
    )
    return vacuity(history(views, records, ops), leader_alone=leader_alone)


def delivered_at(value: int, time: int) -> Op:
    return Op("ok", "dequeue", value, 90, time)


LEFT = enqueued(1, 2, 9)


@pytest.mark.parametrize(
    ("ops", "keys"),
    [
        (LEFT, {"views": [view("before")]}),
        ([*LEFT, delivered_at(1, 10)], {"views": [view("before")]}),  # it came back after the kill
        (LEFT, {"views": [view("during")]}),
        (LEFT, {"views": [view("before", leader=None), view("during")]}),
        (LEFT, {"views": [view("before", "n2")], "leader_alone": False}),
        ([*enqueued(2, 3, 4), *LEFT, delivered_at(2, 5)], {"views": [view("before")]}),
        # A message that was never confirmed may be delivered too.
        ([*LEFT, delivered_at(7, 5)], {"views": [view("before")]}),
    ],
)
def test_the_only_replica_was_tested_with_what_was_left_in_it(
    ops: Sequence[Op], keys: dict[str, Any]
) -> None:
    result = under_stopped_replicas(*ops, **keys)
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())


@pytest.mark.parametrize(
    ("ops", "keys"),
    [
        (LEFT, {"views": []}),
        (LEFT, {"views": [view("before", leader=None)]}),
        (LEFT, {"views": [view("before", leader="n1")]}),
        (LEFT, {"views": [view("before", "n1", "n2")], "leader_alone": False}),
        # A mirrored queue has no members in list_queues either.
        (LEFT, {"views": [view("before")], "leader_alone": False}),
        (LEFT, {"views": [view("before")], "stops": False}),
        (
            LEFT,
            {"views": [Op("info", VIEW, process=NEMESIS, data={"window": 1, "phase": "before"})]},
        ),
    ],
)
def test_a_fault_beside_the_queue_needs_load(ops: Sequence[Op], keys: dict[str, Any]) -> None:
    result = under_stopped_replicas(*ops, **keys)
    assert result.verdict is Verdict.UNKNOWN
    assert "no operation that began while it was in force was acknowledged" in result.reasons[0]


@pytest.mark.parametrize(
    "ops",
    [
        [],
        enqueued(1, 2, 10),  # confirmed at the moment of the injection
        [*LEFT, delivered_at(1, 9)],
        enqueued(1, 2, 9)[:1],
    ],
)
def test_the_only_replica_was_not_tested_while_it_was_empty(ops: Sequence[Op]) -> None:
    result = under_stopped_replicas(*ops, views=[view("before")])
    assert result.verdict is Verdict.UNKNOWN
    assert "nothing that was acknowledged before was left in it" in result.reasons[0]


def test_locks_and_declarations_stay() -> None:
    held = [Op(type_, "acquire", 1, 3, 5, "n1") for type_ in ("invoke", "ok")]
    assert under_stopped_replicas(*held, views=[view("before")]).verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [(4, Verdict.UNKNOWN), (5, Verdict.VALID), (19, Verdict.VALID), (20, Verdict.UNKNOWN)],
)
def test_a_loss_of_unsynced_writes_needs_writes_just_before_it(
    ended: int, verdict: Verdict
) -> None:
    """Also with load under the fault: that load was synced, or is on another node."""
    data: dict[str, Any] = {"views": [view("before", leader="n1")], "endangers-s": 5e-9}
    result = under_stopped_replicas(*enqueued(1, 2, ended), *enqueued(2, 30, 31), **data)
    assert result.verdict is verdict
    if verdict is Verdict.UNKNOWN:
        assert result.reasons[0].endswith(
            "tested nothing: no operation was acknowledged in the 5e-09 s before it, so there was"
            " nothing unsynced to lose"
        )
