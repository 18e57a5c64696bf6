"""latency: pairs of invocation and completion in chunks of any size; quantiles by fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.op_pairs import pairs
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.nemesis_records import HEALED, INJECT
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.table import Chunk, History, from_ops
from jepsenvm.history.units import MILLISECOND
from tests.unit.builders import fault_records, history_by_time


def in_chunks(history: History, rows: int) -> History:
    """Return a history in chunks of this many rows. Data and errors of its rows are wrong then."""
    (whole,) = history

    def cut(first: int) -> Chunk:
        return Chunk(
            read=lambda name: whole.read(name)[first : first + rows],
            data=whole.data,
            error=whole.error,
        )

    return replace(
        history, _chunks=lambda _: iter([cut(first) for first in range(0, len(whole.time), rows)])
    )


def by_hand(ops: Sequence[Op]) -> list[tuple[Any, ...]]:
    """Return (f, node, type, invoked, completed) of the pairs that a plain loop finds."""
    last: dict[int, Op] = {}
    found: list[tuple[Any, ...]] = []
    for op in ops:
        if op.process == NEMESIS:
            continue
        before = last.get(op.process)
        if before and before.type == "invoke" and op.type != "invoke" and before.f == op.f:
            found.append((op.f, before.node, op.type, before.time, op.time))
        last[op.process] = op
    return found


OPS = st.lists(
    st.builds(
        lambda type_, f, process, node: Op(type_, f, process=process, node=node),
        st.sampled_from(TYPES),
        st.sampled_from(["enqueue", "dequeue"]),
        st.sampled_from([NEMESIS, 0, 1, 7, 1 << 40]),
        st.sampled_from(["n1", "n2", None]),
    ),
    max_size=40,
).map(lambda ops: [replace(op, time=3 * number) for number, op in enumerate(ops)])


@given(OPS, st.integers(1, 50))
def test_pairs_agree_with_a_plain_loop(ops: list[Op], rows: int) -> None:
    history = in_chunks(from_ops(ops), rows)
    found = [
        (
            history.names[completed.f[row]],
            history.nodes[completed.node[row]] if completed.node[row] >= 0 else None,
            TYPES[completed.type[row]],
            int(completed.invoked[row]),
            int(completed.completed[row]),
        )
        for completed in pairs(history)
        for row in range(len(completed.f))
    ]
    assert sorted(found, key=str) == sorted(by_hand(ops), key=str)


def op(process: int, began: int, took: int, type_: Any = "ok", f: str = "enqueue") -> list[Op]:
    return [
        Op("invoke", f, process=process, time=began * MILLISECOND),
        Op(type_, f, process=process, time=(began + took) * MILLISECOND),
    ]


def fault(number: int, injected: int, healed: int) -> list[Op]:
    times = {INJECT: injected * MILLISECOND, HEALED: healed * MILLISECOND}
    return fault_records(times, number=number)


def figures(*parts: list[Op]) -> Any:
    result = latency(history_by_time(*parts))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    return result.figures["by-f"]


def test_quantiles_are_latencies_that_occurred() -> None:
    found = figures(*(op(took, 0, took) for took in range(1, 101)))
    assert found["enqueue"]["all"] == {
        "count": 100,
        "p50-ms": 50,
        "p95-ms": 95,
        "p99-ms": 99,
        "max-ms": 100,
    }


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_quantiles_agree_with_their_definition(took: list[int]) -> None:
    found = figures(*(op(process, 0, duration) for process, duration in enumerate(took)))[
        "enqueue"
    ]["all"]
    for name, percent in (("p50-ms", 50), ("p95-ms", 95), ("p99-ms", 99), ("max-ms", 100)):
        enough = [
            duration
            for duration in sorted(took)
            if 100 * sum(other <= duration for other in took) >= percent * len(took)
        ]
        assert found[name] == enough[0]


def test_only_ok_ops_count() -> None:
    found = figures(
        op(0, 0, 5), op(1, 0, 5000, "info"), op(2, 0, 7000, "fail"), op(3, 0, 1, f="dequeue")
    )
    assert {f: part["all"]["max-ms"] for f, part in found.items()} == {"enqueue": 5, "dequeue": 1}


def counts(found: Any) -> list[tuple[int, int, int]]:
    return [
        tuple(row[part].get("count") for part in ("before", "within", "after"))
        for row in found["windows"]
    ]


def test_an_op_that_a_fault_touches_is_within_it() -> None:
    ops = [
        op(0, 0, 9),
        op(1, 9, 2),
        op(2, 15, 1),
        op(3, 19, 9),
        op(4, 5, 50),
        op(5, 21, 1),
        op(6, 29, 1),
    ]
    found = figures(*ops, fault(1, 10, 20), fault(2, 40, 45))["enqueue"]
    assert counts(found) == [(1, 4, 2), (2, 1, 0)]
    assert [row["window"] for row in found["windows"]] == [1, 2]
    assert found["windows"][0]["within"]["max-ms"] == 50


def test_there_is_no_quiet_time_between_overlapping_faults() -> None:
    found = figures(op(0, 0, 1), op(1, 25, 1), op(2, 60, 1), fault(1, 10, 30), fault(2, 20, 50))[
        "enqueue"
    ]
    assert counts(found) == [(1, 1, 0), (0, 1, 1)]


def test_a_fault_that_was_never_healed_has_no_after() -> None:
    found = figures(op(0, 0, 1), op(1, 25, 1), fault(1, 10, 30)[:1])["enqueue"]
    assert counts(found) == [(1, 1, 0)]


@pytest.mark.parametrize(
    "ops", [[], [Op("ok", "read")], [Op("invoke", "read")], [Op("info", "start", process=NEMESIS)]]
)
def test_a_history_without_any_latency(ops: list[Op]) -> None:
    assert figures(ops) == {}


def test_chunks_of_any_size_give_the_same_result() -> None:
    ops = [record for process in range(50) for record in op(process, process, 30 + process % 7)]
    history = from_ops(sorted(ops, key=lambda op: op.time))
    assert latency(in_chunks(history, 7)) == latency(history)
    assert np.concatenate([completed.f for completed in pairs(in_chunks(history, 7))]).size == 50
