"""set-full: planted anomalies, similar legal histories, and Jepsen's definition of the checker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.set_full import set_full
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from jepsenvm.history.units import MILLISECOND
from tests.unit.builders import history, operation, with_verdict

READER = 90


def figures(*parts: list[Op], linearizable: bool = False) -> dict[str, Any]:
    return with_verdict(set_full(history(*parts), linearizable=linearizable))


def read(*values: Any, process: int = READER) -> list[Op]:
    return [Op("invoke", "read", None, process), Op("ok", "read", list(values), process)]


ADDED = operation(1, "add", 1)
BEGUN, ENDED = ADDED[:1], ADDED[1:]
OTHER = operation(2, "add", 2)


def test_elements_that_every_later_read_has_are_stable() -> None:
    result = figures(ADDED, read(1), OTHER, read(2, 1), read(1, 2))
    assert (result["verdict"], result["stable-count"], result["reasons"]) == (Verdict.VALID, 2, ())
    assert result["stable-latencies"] == {"0": 0, "0.5": 0, "0.95": 0, "0.99": 0, "1": 0}
    assert "lost-latencies" not in result


def test_an_element_that_the_last_reads_do_not_have_is_lost() -> None:
    lost = figures(ADDED, OTHER, read(1, 2), read(2))
    assert (lost["verdict"], lost["lost"], lost["stable-count"]) == (Verdict.INVALID, [1], 1)
    assert lost["reasons"] == ("1 element is lost: known, and missing from every later read",)
    back = figures(ADDED, OTHER, read(1, 2), read(2), read(1, 2))
    assert (back["verdict"], back["stale"]) == (Verdict.VALID, [1])


def test_an_acknowledged_element_that_no_read_has_is_lost() -> None:
    assert figures(ADDED, OTHER, read(2))["lost"] == [1]


def test_a_read_that_began_before_the_element_was_known_proves_no_loss() -> None:
    during = figures(
        OTHER, BEGUN, [Op("invoke", "read", None, 9)], ENDED, [Op("ok", "read", [2], 9)]
    )
    assert (during["verdict"], during["never-read"], during["lost"]) == (Verdict.VALID, [1], [])
    after = figures(
        OTHER, BEGUN, ENDED, [Op("invoke", "read", None, 9)], [Op("ok", "read", [2], 9)]
    )
    assert after["lost"] == [1]


def test_an_element_in_doubt_is_lost_only_after_a_read_had_it() -> None:
    crashed = operation(1, "add", 1, "invoke", "info")
    assert figures(crashed, OTHER, read(2))["never-read"] == [1]
    seen = figures(crashed, OTHER, read(1, 2), read(2))
    assert (seen["verdict"], seen["lost"]) == (Verdict.INVALID, [1])


def test_the_invocations_of_reads_decide_which_is_the_later_one() -> None:
    early, late = read(2, process=8), read(1, 2, process=9)
    overlapping = [early[0], late[0], late[1], early[1]]
    assert figures(ADDED, OTHER, overlapping)["verdict"] is Verdict.VALID
    swapped = [late[0], early[0], early[1], late[1]]
    assert figures(ADDED, OTHER, swapped)["lost"] == [1]


def test_stale_elements_are_invalid_only_if_the_set_is_linearizable() -> None:
    parts = (ADDED, OTHER, read(2), read(1, 2))
    assert figures(*parts)["verdict"] is Verdict.VALID
    linear = figures(*parts, linearizable=True)
    assert (linear["verdict"], linear["stale"], linear["lost"]) == (Verdict.INVALID, [1], [])
    legal = figures(BEGUN, OTHER, read(2), ENDED, read(1, 2), linearizable=True)
    assert (legal["verdict"], legal["stale"]) == (Verdict.VALID, [])


def test_a_read_makes_an_element_known_before_its_add_ends() -> None:
    parts = (OTHER, BEGUN, read(1, 2), read(2), ENDED, read(1, 2))
    assert figures(*parts, linearizable=True)["stale"] == [1]


def test_an_element_that_one_read_has_twice_is_invalid() -> None:
    result = figures(ADDED, read(1), read(1, 1, 1), read(1, 1))
    assert (result["verdict"], result["duplicated"]) == (Verdict.INVALID, [[1, 3]])
    twins = operation(2, "add", "1")
    assert figures(ADDED, twins, read(1, "1"))["verdict"] is Verdict.VALID


def test_an_element_that_was_not_added_before_is_invalid() -> None:
    assert figures(ADDED, read(1, 7))["unexpected"] == [7]
    too_early = figures(ADDED, read(1, 2), OTHER, read(1, 2))
    assert (too_early["verdict"], too_early["unexpected"]) == (Verdict.INVALID, [2])
    during = figures(ADDED, OTHER[:1], read(1, 2), OTHER[1:])
    assert (during["verdict"], during["unexpected"]) == (Verdict.VALID, [])


def test_latencies_are_in_milliseconds_from_when_the_element_was_known() -> None:
    at = [
        Op("invoke", "add", 1, 1, 0),
        Op("ok", "add", 1, 1, 2 * MILLISECOND),
        Op("invoke", "add", 2, 1, 3 * MILLISECOND),
        Op("ok", "add", 2, 1, 4 * MILLISECOND),
    ]
    reads = [
        Op("invoke", "read", None, 9, 5 * MILLISECOND),
        Op("ok", "read", [2], 9, 6 * MILLISECOND),
        Op("invoke", "read", None, 9, 9 * MILLISECOND),
        Op("ok", "read", [1], 9, 10 * MILLISECOND),
    ]
    result = figures(at, reads)
    assert result["stable-latencies"]["1"] == 3
    assert result["lost-latencies"]["0.5"] == 1
    assert result["worst-stale"] == [
        {"element": 1, "stable-latency": 3.0, "known": 0.002, "last-absent": 0.005}
    ]


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [Op("invoke", "read", None, 9)],
        operation(9, "read", None, "invoke", "fail"),
        operation(9, "read", None, "invoke", "info"),
        operation(9, "read"),
        operation(9, "read", 5),
        operation(9, "read", {1: 2}),
        [*read(1), *operation(9, "read", 5)],
        [*read(1), Op("ok", "read", [], 9)],
        [Op("ok", "add", 3, 9), *read(1)],
    ],
)
def test_what_cannot_be_compared_is_unknown(reads: list[Op]) -> None:
    result = figures(ADDED, reads)
    assert (result["verdict"], result["lost"]) == (Verdict.UNKNOWN, [])


def test_a_history_without_stable_elements_is_unknown() -> None:
    crashed = operation(1, "add", 1, "invoke", "info")
    assert figures(crashed, read())["verdict"] is Verdict.UNKNOWN


def test_a_loss_in_a_history_that_is_cut_short_is_undecided() -> None:
    ops = [*ADDED, *OTHER, *read(1, 2), *read(2)]
    cut = with_verdict(set_full(from_ops(ops, complete=False)))
    assert (cut["verdict"], cut["lost"], cut["undecided"]) == (Verdict.UNKNOWN, [], [1])
    linear = set_full(from_ops(ops, complete=False), linearizable=True)
    assert linear.verdict is Verdict.INVALID


def test_with_jepsen_independent_each_key_is_a_set() -> None:
    def keyed(key: str, *values: int) -> list[Op]:
        return [
            Op("invoke", "read", [key, None], READER),
            Op("ok", "read", [key, list(values)], READER),
        ]

    adds = [*operation(1, "add", ["x", 1]), *operation(1, "add", ["y", 1])]
    assert figures(adds, keyed("x", 1), keyed("y", 1))["verdict"] is Verdict.VALID
    assert figures(adds, keyed("y", 1), keyed("x"))["lost"] == [["x", 1]]
    assert figures(adds, read(["x", 1], ["y", 1]))["verdict"] is Verdict.VALID


def jepsen_outcomes(ops: list[Op]) -> Mapping[int, str]:
    """Return the outcome of each element, by the words of Jepsen's documentation."""
    reads, open_reads = [], {}
    for row, op in enumerate(ops):
        if op.f == "read" and op.type == "invoke":
            open_reads[op.process] = row
        elif op.f == "read" and op.type == "ok":
            reads.append((open_reads[op.process], row, op.value))
    outcomes = {}
    for element in {op.value for op in ops if op.f == "add"}:
        added = [row for row, op in enumerate(ops) if (op.f, op.value) == ("add", element)]
        seen = [row for row in added[1:] if ops[row].type == "ok"]
        seen += [end for _, end, values in reads if element in values and end > added[0]]
        known = min(seen, default=len(ops))
        after = [(begin, element in values) for begin, end, values in reads if end > added[0]]
        has_last = max(after, default=(0, None))[1]
        if has_last:
            missed = any(begin > known and not has for begin, has in after)
            outcomes[element] = "stale" if missed else "stable"
        else:
            absent = [begin for begin, _ in after if begin > known]
            outcomes[element] = "lost" if absent else "never-read"
    return outcomes


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    """Draw adds and reads that overlap, with answers that need not fit together."""
    ops: list[Op] = []
    open_ops: dict[int, Op] = {}
    elements = iter(range(4))
    for _ in range(draw(st.integers(0, 24))):
        process = draw(st.integers(0, 3))
        begun = open_ops.pop(process, None)
        if begun is None:
            element = next(elements, None) if draw(st.booleans()) else None
            begun = Op("invoke", "read" if element is None else "add", element, process)
            open_ops[process] = begun
            ops.append(begun)
            continue
        type_ = draw(st.sampled_from(["ok", "ok", "ok", "fail"]))
        added = sorted({op.value for op in ops if op.f == "add"})
        answer = begun.value
        if begun.f == "read" and type_ == "ok":
            answer = [element for element in added if draw(st.booleans())]
        ops.append(Op(type_, begun.f, answer, process))  # type: ignore[arg-type]  # one of TYPES
    return ops


@given(histories())
def test_the_outcomes_are_those_of_jepsens_definition(ops: list[Op]) -> None:
    result = figures(ops)
    outcomes = jepsen_outcomes(ops)
    for kind in ("lost", "stale", "never-read"):
        assert sorted(result[kind]) == sorted(e for e, of in outcomes.items() if of == kind)
    stable = sum(of in ("stable", "stale") for of in outcomes.values())
    assert result["stable-count"] == stable
    if "lost" in outcomes.values():
        assert result["verdict"] is Verdict.INVALID
    else:
        assert result["verdict"] is (Verdict.VALID if stable else Verdict.UNKNOWN)
