"""Fault intervals: the times of each fault, what is not proven, and records that lie."""

from __future__ import annotations

import json
import math
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.fault_intervals import CLOCK_ERROR, fault_intervals
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.nemesis_records import (
    BEFORE,
    DURING,
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    START,
    VIEW,
)
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from jepsenvm.history.units import SECOND
from tests.unit.builders import (
    PARTITION,
    enqueued,
    fault_records,
    nemesis_record,
    proven_fault,
    schedule,
)


def record(ops: list[Op], phase: str) -> Op:
    """Return the record of a phase among these ops."""
    return next(op for op in ops if op.data and op.data["phase"] == phase)


def test_the_brokers_views_begin_no_interval() -> None:
    data = {"phase": BEFORE, "window": 1, "fault": {}, "proof": {}}
    view = Op("info", VIEW, process=NEMESIS, time=3, data=data)
    (interval,) = fault_intervals(from_ops([view, *proven_fault()]))
    assert interval.injected == 10
    assert fault_intervals(from_ops([view])) == []


def test_an_interval_has_the_times_of_its_phases() -> None:
    (interval,) = fault_intervals(from_ops(proven_fault()))
    times = (interval.injected, interval.in_force, interval.heal_began, interval.healed)
    assert times == (10, 20, 40, 50)
    assert interval.proven


def test_a_fault_is_in_force_as_soon_as_the_last_node_has_acted() -> None:
    ops = proven_fault()
    record(ops, IN_FORCE).data.update({"fired": {"n1": 12, "n2": 15}, "skew-ms": 0.1})
    (interval,) = fault_intervals(from_ops(ops))
    assert (interval.in_force, interval.skew_ms) == (15, 0.1)


@pytest.mark.parametrize(
    ("kind", "data", "isolates_nodes"),
    [
        ("new-kind", {"isolates-nodes": True}, True),
        ("new-kind", {"isolates-nodes": False}, False),
        ("partition", {"isolates-nodes": False}, False),
        # Records of older versions do not have the key.
        ("partition", {}, True),
        ("flapping", {}, True),
        ("loss", {}, False),
        ("new-kind", {}, False),
    ],
)
def test_whether_a_fault_isolates_nodes(
    kind: str, data: dict[str, Any], *, isolates_nodes: bool
) -> None:
    records = fault_records({INJECT: 1, IN_FORCE: 2, HEALED: 3}, fault={"kind": kind}, **data)
    (interval,) = fault_intervals(from_ops(records))
    assert interval.isolates_nodes is isolates_nodes
    (interval,) = fault_intervals(from_ops(records[:1]))
    assert interval.isolates_nodes is isolates_nodes


S = SECOND
TIMES = {INJECT: 20 * S, IN_FORCE: 22 * S, HEAL: 60 * S, HEALED: 62 * S}


def with_data(phase: str, /, **data: Any) -> list[Op]:
    """Return a proven fault's records, with these keys replaced in the data of one phase."""
    ops = fault_records(TIMES, fault=PARTITION)
    record(ops, phase).data.update(data)
    return ops


def problems(ops: list[Op]) -> str:
    """Return the problems of the only fault in these records, which must not be proven."""
    (interval,) = fault_intervals(from_ops(ops))
    assert not interval.proven
    return "; ".join(interval.problems)


@pytest.mark.parametrize(
    ("phase", "fired"),
    [
        (IN_FORCE, 15 * S),  # before the injection
        (IN_FORCE, 0),
        (IN_FORCE, -(2**62)),
        (IN_FORCE, 30 * S),  # after the record that it is in force
        (HEALED, 50 * S),
        (HEALED, 99 * S),
    ],
)
def test_a_node_that_acted_outside_of_the_records_proves_nothing(phase: str, fired: int) -> None:
    ops = with_data(phase, fired={"n1": TIMES[phase], "n2": fired})
    assert "n2 reports to have acted at" in problems(ops)


def test_a_node_whose_clock_is_somewhat_off_is_believed_but_never_before_the_injection() -> None:
    early, late = 20 * S - CLOCK_ERROR, 22 * S + CLOCK_ERROR
    (interval,) = fault_intervals(from_ops(with_data(IN_FORCE, fired={"n1": early})))
    assert interval.proven
    assert interval.in_force == 20 * S
    (interval,) = fault_intervals(from_ops(with_data(IN_FORCE, fired={"n1": late})))
    assert interval.proven
    assert interval.in_force == late


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("fired", ["n1"], "the times at which nodes acted are ['n1']"),
        ("fired", "n1", "the times at which nodes acted are 'n1'"),
        ("fired", {"n1": None}, "the time at which n1 acted is None"),
        ("fired", {"n1": "21"}, "the time at which n1 acted is '21'"),
        ("fired", {"n1": True}, "the time at which n1 acted is True"),
        ("fired", {"n1": math.nan}, "the time at which n1 acted is nan"),
        ("fired", {"n1": math.inf}, "the time at which n1 acted is inf"),
        ("fired", {"n1": 10**30}, "the time at which n1 acted is 1000"),
        ("fault", None, "the fault of a record is None"),
        ("fault", ["kill"], "the fault of a record is ['kill']"),
        ("fault", {"kind": 3}, "the key kind of its fault is 3"),
        ("fault", {"name": None}, "the key name of its fault is None"),
        ("fault", {"text": ["n1"]}, "the key text of its fault is ['n1']"),
        ("fault", {"nodes": "n1"}, "the key nodes of its fault is 'n1'"),
        ("fault", {"nodes": [1]}, "the key nodes of its fault is [1]"),
        ("fault", {"grudge": ["n1"]}, "the key grudge of its fault is ['n1']"),
        ("fault", {"grudge": {"n1": "n2"}}, "the key grudge of its fault is {'n1': 'n2'}"),
        ("fault", {"name": "another"}, "two faults have this number"),
        ("phase", 3, "the phase of a record is 3"),
        ("phase", None, "the phase of a record is None"),
        ("phase", ["heal"], "the phase of a record is ['heal']"),
        ("phase", INJECT, "it was recorded twice: inject"),
        ("phase", HEALED, "it was recorded twice: healed"),
    ],
)
def test_a_malformed_record_is_a_problem_of_its_fault(key: str, value: Any, problem: str) -> None:
    ops = with_data(IN_FORCE, **{key: value})
    assert problem in problems(ops)
    judge_without_a_crash(ops)


@pytest.mark.parametrize("number", [None, "1", 1.0, True, 0, -1, [1], {"a": 1}, math.nan])
def test_a_record_without_a_usable_number_is_a_fault_that_is_not_proven(number: Any) -> None:
    ops = with_data(IN_FORCE, window=number)
    judge_without_a_crash(ops)
    nameless, numbered = fault_intervals(from_ops(ops))
    assert (nameless.number, nameless.proven, numbered.proven) == (0, False, False)


@pytest.mark.parametrize("data", [[], "text", 7, {"phase": "in-force"}])
def test_data_that_is_no_record_is_a_fault_that_is_not_proven(data: Any) -> None:
    ops = [Op("info", START, process=NEMESIS, data=data), *fault_records(TIMES)]
    judge_without_a_crash(ops)
    assert [interval.proven for interval in fault_intervals(from_ops(ops))] == [False, True]


def test_the_nemesis_of_another_program_has_no_faults() -> None:
    assert fault_intervals(from_ops([Op("info", START, process=NEMESIS)])) == []


@pytest.mark.parametrize(
    "phases", [p for p in permutations((INJECT, IN_FORCE, HEAL, HEALED)) if p != tuple(TIMES)]
)
def test_phases_in_a_wrong_order_prove_nothing(phases: tuple[str, ...]) -> None:
    in_rows = [nemesis_record(phase, number) for number, phase in enumerate(phases)]
    assert "wrong order" in problems(in_rows)
    in_time = fault_records({phase: phases.index(phase) for phase in TIMES})
    assert "go backwards" in problems(in_time)


@pytest.mark.parametrize("missing", [INJECT, HEAL])
def test_a_phase_that_is_missing_between_others_proves_nothing(missing: str) -> None:
    ops = [op for op in fault_records(TIMES) if op.data["phase"] != missing]
    assert f"it has no record: {missing}" in problems(ops)


@pytest.mark.parametrize("value", ["false", "true", 1, [0], None])
def test_only_true_is_true(value: Any) -> None:
    ops = with_data(IN_FORCE, **{"stops-load": value, "fired": {"n1": 21 * S}})
    (interval,) = fault_intervals(from_ops(ops))
    assert (interval.proven, interval.stops_load) == (True, False)


@pytest.mark.parametrize("proof", [None, [], {"broker": None}, {"broker": {"leader": 3}}])
def test_a_view_that_names_no_leader_is_ignored(proof: Any) -> None:
    view = Op(
        "info", VIEW, None, NEMESIS, 25 * S, data={"phase": DURING, "window": 1, "proof": proof}
    )
    (interval,) = fault_intervals(from_ops([*fault_records(TIMES), view]))
    assert (interval.proven, interval.leader) == (True, None)


def judge_without_a_crash(ops: list[Op]) -> None:
    """Judge these records with every checker that reads faults."""
    for checker in (faults, vacuity, availability, latency):
        result = checker(from_ops([schedule(1), *ops, *enqueued(1, 30 * S, 31 * S)]))
        json.dumps(result.as_data())
    assert faults(from_ops([schedule(1), *ops])).verdict is Verdict.UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(list(TIMES)),
    st.dictionaries(
        st.sampled_from(["phase", "window", "fault", "fired", "skew-ms", "stops-load"]), JSON
    ),
)
def test_no_record_makes_a_checker_crash(phase: str, data: dict[str, Any]) -> None:
    ops = [schedule(1), *with_data(phase, **data), *enqueued(1, 30 * S, 31 * S)]
    for checker in (faults, vacuity, availability, latency):
        checker(from_ops(ops))
