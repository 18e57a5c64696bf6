"""Fault intervals: the times of each fault, and whether it isolates nodes."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.history.nemesis_records import BEFORE, HEALED, IN_FORCE, INJECT, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit.builders import fault_records, proven_fault


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
    ops[2].data.update({"fired": {"n1": 12, "n2": 15}, "skew-ms": 0.1})
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
