"""The verdict algebra, and every way in which a run must not turn green."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.verdict import Result, Verdict, check, worst
from jepsenvm.history.nemesis_records import DURING, HEAL, HEALED, IN_FORCE, INJECT, SCHEDULE, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History, Ints, from_ops
from jepsenvm.nemesis.grudge import complete_grudge

V, I, U = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN  # noqa: E741 - a truth table


@pytest.mark.parametrize(("a", "b"), list(product(Verdict, Verdict)))
def test_the_worst_part_wins(a: Verdict, b: Verdict) -> None:
    assert worst(a, b) is (I if I in (a, b) else U if U in (a, b) else V)


def test_nothing_checked_is_unknown() -> None:
    assert worst() is U


def test_exit_statuses_are_a_contract() -> None:
    assert [verdict.exit_status for verdict in (V, I, U)] == [0, 1, 2]


def test_a_crashed_checker_is_unknown_and_named() -> None:
    def crash(_: History) -> Result:
        raise ZeroDivisionError("by zero")

    results = check(from_ops([]), {"crash": crash})
    assert results.verdict is U
    assert "the checker crash crashed" in results.reasons[0]


def test_a_history_cut_short_is_unknown() -> None:
    assert check(from_ops([], complete=False), {}).verdict is U


def test_an_interrupted_run_is_unknown() -> None:
    assert (
        check(from_ops([Op("info", "interrupt", process=NEMESIS, error="a signal")]), {}).verdict
        is U
    )


FAULT = {"name": "partition-random-halves", "text": "n1 | n2 n3"}


def nemesis(phase: str, time: int, window: int = 1, error: str | None = None) -> Op:
    data = {"phase": phase, "window": window, "fault": FAULT}
    return Op("info", "start", process=NEMESIS, time=time, error=error, data=data)


def acknowledged(value: int, time: int, node: str = "n1") -> Op:
    return Op("ok", "enqueue", value, time=time, node=node)


def scheduled(planned: int) -> Op:
    return Op("info", SCHEDULE, process=NEMESIS, data=[{"fault": FAULT}] * planned)


def good() -> list[Op]:
    return [
        acknowledged(0, 5),
        nemesis(INJECT, 10),
        nemesis(IN_FORCE, 20),
        acknowledged(1, 30, "n2"),
        nemesis(HEAL, 40),
        nemesis(HEALED, 50),
    ]


def judged(ops: list[Op], planned: int = 1) -> Result:
    return faults(from_ops([scheduled(planned), *ops]))


def test_a_proven_fault_that_met_load_is_valid() -> None:
    result = judged(good())
    assert result.verdict is V
    assert result.figures["windows"][0]["acknowledged-count"] == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda ops: [op if op.time != 20 else nemesis(IN_FORCE, 20, error="n1 still reaches n2") for op in ops],
         "n1 still reaches n2"),
        (lambda ops: [op if op.time != 40 else nemesis(HEAL, 40, error="it did not last") for op in ops],
         "it did not last"),
        (lambda ops: [op for op in ops if op.time != 20], "never seen in force"),
        (lambda ops: [op for op in ops if op.time != 50], "never seen healed"),
        (lambda ops: [op for op in ops if op.process != NEMESIS], "only 0 of 1 planned"),
        (lambda ops: [op for op in ops if op.f != "enqueue"], "no operation was ever acknowledged"),
    ],
)  # fmt: skip
def test_what_makes_a_fault_worthless(change: Any, says: str) -> None:
    result = judged(change(good()))
    assert result.verdict is U
    assert any(says in reason for reason in result.reasons)


def test_fewer_faults_than_planned_is_unknown() -> None:
    assert judged(good(), planned=2).verdict is U


def test_a_history_without_its_schedule_is_unknown() -> None:
    assert "which faults were planned" in faults(from_ops(good())).reasons[-1]


def test_a_fault_by_hand_does_not_stand_for_a_planned_one() -> None:
    by_hand = [
        op if not op.data else nemesis(op.data["phase"], op.time, window=100_001) for op in good()
    ]
    assert "only 0 of 1 planned" in judged(by_hand).reasons[0]


def test_locks_that_were_handed_out_are_acknowledged_too() -> None:
    ops = [replace(op, f="acquire") if op.f == "enqueue" else op for op in good()]
    result = judged(ops)
    assert (result.verdict, result.figures["windows"][0]["acknowledged-count"]) == (V, 1)


def test_no_fault_planned_and_none_seen_is_valid() -> None:
    assert judged([acknowledged(0, 5)], planned=0).verdict is V


def test_a_loss_is_attributed_to_nodes_times_and_faults() -> None:
    ops = [
        acknowledged(0, 5_000_000_000), nemesis(INJECT, 10_000_000_000), acknowledged(1, 12_000_000_000, "n3"),
        nemesis(HEALED, 20_000_000_000), acknowledged(2, 25_000_000_000, "n2"),
    ]  # fmt: skip
    history = from_ops(ops)
    codes: Ints = history.values("ok", "enqueue")
    assert attribute(history, codes[1:]) == (
        "confirmed by n2 and n3 between 12.0 s and 25.0 s, 1 during fault 1 (partition-random-halves {n1 | n2 n3}); "
        "1 after fault 1 was healed"
    )
    assert (
        attribute(history, codes[:1])
        == "confirmed by n1 between 5.0 s and 5.0 s, 1 before any fault"
    )
    assert attribute(history, codes[:0]) is None


def complete(groups: list[list[str]]) -> dict[str, list[str]]:
    return {node: sorted(dropped) for node, dropped in complete_grudge(groups).items()}


CUT = {
    "name": "partition-halves",
    "text": "n1 n3 | n2 n4 n5",
    "kind": "partition",
    "nodes": ["n1", "n2", "n3", "n4", "n5"],
    "grudge": complete([["n1", "n3"], ["n2", "n4", "n5"]]),
}


def circumstances(*nodes: str, cut: Any = CUT, leader: str | None = None, asked: int = 15) -> str:
    """Return how a loss is attributed of which one message was confirmed on each node during a cut."""
    phases = [(INJECT, 10), (IN_FORCE, 11), (HEAL, 18), (HEALED, 20)]
    ops = [
        Op("info", "x", process=NEMESIS, time=t, data={"phase": p, "window": 1, "fault": cut})
        for p, t in phases
    ]
    view = {"phase": DURING, "window": 1, "fault": cut, "proof": {"broker": {"leader": leader}}}
    history = from_ops(
        [*ops[:2], Op("info", VIEW, process=NEMESIS, time=asked, data=view)]
        + [acknowledged(value, 12 + value, node) for value, node in enumerate(nodes)]
        + ops[2:]
    )
    found = attribute(history, history.values("ok", "enqueue"))
    assert found is not None
    return found.partition("}")[2].removeprefix(")")


@pytest.mark.parametrize(
    ("nodes", "groups", "says"),
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
def test_a_loss_on_one_side_of_a_cut_names_the_side(
    nodes: list[str], groups: list[list[str]], says: str
) -> None:
    everyone = [node for group in groups for node in group]
    assert circumstances(*nodes, cut={**CUT, "nodes": everyone, "grudge": complete(groups)}) == says


def test_what_leaves_the_cluster_in_one_piece_has_no_sides() -> None:
    bridge = {**CUT, "nodes": ["n1", "n2", "n3"], "grudge": complete([["n1"], ["n2"]])}
    assert circumstances("n1", cut=bridge) == ""  # n3 hears both
    assert circumstances("n1", cut={**CUT, "kind": "loss"}) == ""
    assert circumstances("n1", cut={**CUT, "kind": "kill", "nodes": ["n1"], "grudge": {}}) == ""


def test_a_loss_names_the_leader_that_was_seen_in_time() -> None:
    assert circumstances("n1", leader="n3") == ", minority side, led by n3"
    assert circumstances("n1", leader="n2") == ", minority side, led by n2 on another side"
    assert circumstances("n1", "n2", leader="n2") == ", led by n2"
    assert circumstances("n1", leader="n2", asked=25) == ", minority side"


def test_what_the_brokers_see_makes_no_window() -> None:
    view = Op(
        "info",
        VIEW,
        process=NEMESIS,
        time=3,
        data={"phase": "before", "window": 1, "fault": FAULT, "proof": {}},
    )
    (window,) = fault_intervals(from_ops([view, *good()]))
    assert window.injected == 10
    assert fault_intervals(from_ops([view])) == []


def test_windows_are_numbered_and_timed() -> None:
    (window,) = fault_intervals(from_ops(good()))
    assert (window.injected, window.in_force, window.heal_began, window.healed) == (10, 20, 40, 50)
    assert window.proven


def test_a_fault_is_in_force_as_soon_as_the_last_node_has_acted() -> None:
    ops = good()
    ops[2].data.update({"fired": {"n1": 12, "n2": 15}, "skew-ms": 0.1})
    (window,) = fault_intervals(from_ops(ops))
    assert (window.in_force, window.skew_ms) == (15, 0.1)


def recovered(**data: Any) -> Verdict:
    base = {"seconds": 3.0, "deadline": 120, "restarted": [], "troubles": {}}
    return recovery(
        from_ops([Op("info", "recover", process=NEMESIS, data={**base, **data})])
    ).verdict


def test_recovery() -> None:
    assert recovered() is V
    assert recovered(restarted=["n2"]) is V
    assert recovered(troubles={"n2": "AMQP is not open"}) is U
    assert recovery(from_ops([])).verdict is U


def test_a_restarted_node_is_named_even_in_a_valid_run() -> None:
    data = {"seconds": 3.0, "deadline": 120.0, "restarted": ["n2"], "troubles": {}}
    results = check(
        from_ops([scheduled(1), *good(), Op("info", "recover", process=NEMESIS, data=data)]),
        {"recovery": recovery, "faults": faults},
    )
    assert results.verdict is V
    assert "n2 did not come back by itself within 120 s" in results.reasons[0]
