"""total-queue: Jepsen's own cases, planted violations, similar legal histories, the definition."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers import multisets
from jepsenvm.checkers.multisets import Multisets
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history import table
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op, Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import from_ops
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.queue import WORKLOAD
from tests.unit.builders import DRAIN, delivered, history, published, with_verdict


def enqueue(value: Any, *types: Type, node: str | None = None) -> list[Op]:
    return [Op(type_, "enqueue", value, node=node) for type_ in types]


def dequeue(value: Any) -> list[Op]:
    return [Op("invoke", "dequeue"), Op("ok", "dequeue", value)]


def figures(*parts: list[Op], drain_required: bool = False) -> dict[str, Any]:
    return with_verdict(total_queue(history(*parts), drain_required=drain_required))


def test_an_empty_history_is_valid() -> None:
    assert figures()["verdict"] is Verdict.VALID


def test_jepsens_sane_case() -> None:
    result = figures(enqueue(1, "invoke"), enqueue(2, "invoke", "ok"), dequeue(1), dequeue(2))
    assert result["verdict"] is Verdict.VALID
    assert (result["recovered"], result["lost"], result["ok-count"]) == ([1], [], 2)


def test_jepsens_pathological_case() -> None:
    result = figures(
        enqueue("hung", "invoke"),
        enqueue("enqueued", "invoke", "ok"),
        enqueue("dup", "invoke", "ok"),
        [Op("invoke", "dequeue")],
        dequeue("wtf"),
        dequeue("dup"),
        dequeue("dup"),
    )
    assert result["verdict"] is Verdict.INVALID
    assert result["lost"] == ["enqueued"]
    assert result["unexpected"] == ["wtf"]
    assert result["duplicated"] == ["dup"]
    assert result["recovered"] == []
    counts = [
        result[f"{name}-count"]
        for name in ("attempt", "acknowledged", "ok", "lost", "duplicated", "unexpected")
    ]
    assert counts == [3, 2, 1, 1, 1, 1]


def test_a_duplicate_alone_is_valid() -> None:
    result = figures(enqueue(1, "invoke", "ok"), dequeue(1), dequeue(1))
    assert (result["verdict"], result["duplicated"]) == (Verdict.VALID, [1])


def test_an_unacknowledged_message_may_be_missing() -> None:
    assert (
        figures(enqueue(1, "invoke", "info"), enqueue(2, "invoke", "fail"))["verdict"]
        is Verdict.VALID
    )


def test_the_values_of_a_drain_are_dequeues() -> None:
    drain = [Op("invoke", "drain"), Op("ok", "drain", [1, 2])]
    result = figures(
        enqueue(1, "invoke", "ok"), enqueue(2, "invoke", "ok"), enqueue(3, "invoke", "ok"), drain
    )
    assert (result["verdict"], result["lost"]) == (Verdict.INVALID, [3])


@pytest.mark.parametrize(
    "drain",
    [
        [Op("invoke", "drain"), Op("info", "drain")],
        [Op("invoke", "drain")],
        [Op("invoke", "drain"), Op("fail", "drain")],
        [
            Op("invoke", "drain", process=1),
            Op("ok", "drain", [], 1),
            Op("invoke", "drain", process=2),
        ],
    ],
    ids=["crashed", "unfinished", "failed", "one of two unfinished"],
)
def test_a_missing_message_is_undecided_without_a_finished_drain(drain: list[Op]) -> None:
    result = figures(enqueue(1, "invoke", "ok"), drain)
    assert (result["verdict"], result["lost-count"], result["undecided-count"]) == (
        Verdict.UNKNOWN,
        0,
        1,
    )


def test_an_incomplete_drain_does_not_hide_an_unexpected_message() -> None:
    assert figures([Op("invoke", "drain")], dequeue(7))["verdict"] is Verdict.INVALID


def test_a_drain_that_failed_and_was_repeated_proves_the_loss() -> None:
    drains = [
        Op("invoke", "drain"),
        Op("fail", "drain"),
        Op("invoke", "drain"),
        Op("ok", "drain", []),
    ]
    assert figures(enqueue(1, "invoke", "ok"), drains)["lost"] == [1]


def test_a_missing_message_is_undecided_without_a_required_drain() -> None:
    result = figures(enqueue(1, "invoke", "ok"), drain_required=True)
    assert (result["verdict"], result["lost-count"]) == (Verdict.UNKNOWN, 0)


@pytest.mark.parametrize(
    ("sent", "came"), [(1, "1"), (1, 1.0), (1, True), (0, False), ("a", None), (0, None)]
)
def test_values_of_different_types_are_different_values(sent: Any, came: Any) -> None:
    result = figures(enqueue(sent, "invoke", "ok"), dequeue(came))
    assert (result["lost"], result["unexpected"]) == ([sent], [came])


def unacknowledged(*values: Any) -> list[Op]:
    """Return the record of each delivery that its consumer never acknowledged."""
    data = {UNACKNOWLEDGED: True}
    return [Op("fail", "dequeue", value, data=data) for value in values]


def test_a_delivery_that_nobody_acknowledged_consumed_nothing() -> None:
    held = [*published(1, 2), *delivered(1, 2), *unacknowledged(2)]
    result = figures(held, DRAIN)
    assert (result["verdict"], result["lost"]) == (Verdict.INVALID, [2])
    assert (result["lost-after-delivery-count"], result["dequeued-count"]) == (1, 2)
    assert (
        "1 lost message was delivered, but only to consumers that never acknowledged them"
        in (result["reasons"])
    )
    # The legal twin: it was delivered again.
    result = figures(held, delivered(2), DRAIN)
    assert (result["verdict"], result["lost"], result["duplicated"]) == (Verdict.VALID, [], [2])
    assert result["lost-after-delivery-count"] == 0


@pytest.mark.parametrize("deliveries", [1, 2, 3])
def test_of_several_deliveries_one_must_be_acknowledged(deliveries: int) -> None:
    parts = published(5), delivered(*[5] * deliveries), unacknowledged(*[5] * (deliveries - 1))
    assert figures(*parts, DRAIN)["verdict"] is Verdict.VALID
    assert figures(*parts, unacknowledged(5), DRAIN)["lost"] == [5]
    result = figures(*parts, unacknowledged(5), drain_required=True)
    assert (result["verdict"], result["undecided"]) == (Verdict.UNKNOWN, [5])


def test_a_value_acknowledged_twice_is_lost_once_at_most_for_each_acknowledgement() -> None:
    result = figures(published(1, 1), delivered(1), unacknowledged(1, 1, 1), DRAIN)
    assert (result["lost"], result["lost-after-delivery-count"]) == ([1, 1], 1)
    result = figures(published(1, 1), delivered(1), DRAIN)
    assert (result["lost"], result["lost-after-delivery-count"]) == ([1], 0)


@pytest.mark.parametrize(
    "data", [None, {UNACKNOWLEDGED: 1}, {UNACKNOWLEDGED: False}, {"other": True}, [UNACKNOWLEDGED]]
)
def test_failed_dequeues_of_other_programs_take_nothing_back(data: Any) -> None:
    other = [
        Op("fail", "dequeue", 1, data=data),
        Op("fail", "dequeue", data={UNACKNOWLEDGED: True}),
    ]
    marked = [Op("info", "dequeue", 1, data={UNACKNOWLEDGED: True})]
    assert figures(published(1), delivered(1), other, marked, DRAIN)["verdict"] is Verdict.VALID


def test_a_message_that_nobody_sent_stays_unexpected_if_nobody_acknowledged_it() -> None:
    result = figures(published(1), delivered(1, 9), unacknowledged(9), DRAIN)
    assert (result["unexpected"], result["lost"]) == ([9], [])


def test_counts_are_exact_although_the_lists_are_cut() -> None:
    result = figures(*(enqueue(value, "invoke", "ok") for value in range(1500)))
    assert (result["lost-count"], len(result["lost"])) == (1500, 1000)


def ops_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Op]]:
    types = st.sampled_from(["invoke", "ok", "ok", "fail", "info"])
    return st.lists(
        st.builds(Op, types, st.sampled_from(["enqueue", "dequeue", "other"]), values), max_size=60
    )


def agrees_with_the_definition(ops: Sequence[Op], result: Result) -> None:
    attempts = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("invoke", "enqueue"))
    acknowledged = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("ok", "enqueue"))
    dequeued = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("ok", "dequeue"))
    ok = dequeued & attempts
    unexpected = Counter(
        {value: count for value, count in dequeued.items() if value not in attempts}
    )
    expected = {
        "lost": acknowledged - dequeued,
        "unexpected": unexpected,
        "duplicated": dequeued - attempts - unexpected,
        "recovered": ok - acknowledged,
    }
    figures = result.figures
    assert {name: Counter(map(repr, figures[name])) for name in expected} == expected
    assert (figures["attempt-count"], figures["acknowledged-count"]) == (
        attempts.total(),
        acknowledged.total(),
    )
    assert (figures["ok-count"], figures["dequeued-count"]) == (ok.total(), dequeued.total())
    bad = expected["lost"] or expected["unexpected"]
    assert result.verdict is (Verdict.INVALID if bad else Verdict.VALID)


@settings(deadline=None)
@given(
    ops_of(st.integers(min_value=-3, max_value=4) | st.just(10**15) | st.sampled_from(["a", None]))
)
def test_it_agrees_with_the_definition(ops: list[Op]) -> None:
    agrees_with_the_definition(ops, total_queue(from_ops(ops)))


def recorded(ops: Sequence[Op], batch: int) -> Result:
    """Return the result for a journal with these ops, in batches and in chunks of two batches."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.arrow"
        journal = Journal(path, count().__next__)
        for number, op in enumerate(ops):
            journal.append(op.type, op.f, op.value, process=op.process, node="n1")
            if number % batch == batch - 1:
                journal.flush()
        journal.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(table, "CHUNK_ROWS", 2 * batch)
            return total_queue(open_history(path))


DENSE = st.integers(min_value=0, max_value=20)
FAR = st.integers(min_value=-(2**63), max_value=2**63 - 1) | st.sampled_from(
    [-(2**63), 2**63 - 1, 10**15, -1, 3, 4]
)
FAR_APART = st.integers(min_value=-20, max_value=20).map(lambda value: value << 40)


@settings(deadline=None)
@given(
    ops_of(DENSE | FAR | FAR_APART),
    st.integers(min_value=1, max_value=20),
    st.sampled_from([(2, 1), (3, 0), (16, 64)]),
)
def test_it_agrees_with_the_definition_over_chunks_pages_and_strays(
    ops: list[Op], batch: int, limits: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        bits, few = limits
        patch.setattr(multisets, "PAGE_BITS", bits)
        patch.setattr(multisets, "PAGE", 1 << bits)
        patch.setattr(multisets, "FEW_PAGES", few)
        patch.setattr(multisets, "LEAST_PER_PAGE", 1 << bits)
        agrees_with_the_definition(ops, recorded(ops, batch))


@pytest.mark.parametrize("times", [255, 256, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("value", [7, 10**12])
def test_a_very_frequent_value_is_counted_exactly(times: int, value: int) -> None:
    sets = Multisets(2)
    sets.add(0, np.arange(100))
    for part in np.array_split(np.full(times, value), 3):
        sets.add(1, part)
    counted = {
        int(code): tuple(of)
        for values, counts in sets.blocks()
        for code, of in zip(values, counts.T, strict=True)
    }
    expected = dict.fromkeys(range(100), (1, 0)) | {value: (int(value == 7), times)}
    assert counted == expected


def test_values_far_apart_do_not_each_take_a_page() -> None:
    sets = Multisets(1)
    values = np.arange(20_000) << 20
    sets.add(0, values)
    sets.add(0, values[::-1])
    blocks = list(sets.blocks())
    assert len(blocks) < 100
    assert sum(int(counts.sum()) for _, counts in blocks) == 40_000
    assert np.array_equal(np.sort(np.concatenate([block for block, _ in blocks])), values)


def test_the_workload_queue_uses_this_checker() -> None:
    checker = WORKLOAD.checkers(Plan())["total-queue"]
    assert isinstance(checker, partial)
    assert checker.func is total_queue
    assert checker.keywords == {"drain_required": True}


def test_the_figures_decide_and_not_the_reasons() -> None:
    silent = total_queue(history(published(1), DRAIN), describe_lost=lambda *_: [])
    assert (silent.verdict, silent.reasons) == (Verdict.INVALID, ())


@pytest.mark.parametrize(
    "value",
    [
        {"partition": 0, "messages": [1]},
        "1",
        1,
        1.5,
        True,
        None,
        [[1]],
        [[1], []],
        [{"value": 1}],
        [None],
        frozenset({(1, 2)}),
    ],
)
def test_a_drain_whose_value_is_not_understood_is_unknown(value: Any) -> None:
    drain = [Op("invoke", "drain", process=9), Op("ok", "drain", value, 9)]
    result = total_queue(history(published(1), drain))
    assert (result.verdict, result.figures["undecided-count"]) == (Verdict.UNKNOWN, 1)


@pytest.mark.parametrize("value", [[1], (1,), {1}, frozenset({1})])
def test_a_drain_with_a_collection_of_messages_is_understood(value: Any) -> None:
    drain = [Op("invoke", "drain", process=9), Op("ok", "drain", value, 9)]
    assert total_queue(history(published(1), drain)).verdict is Verdict.VALID
    assert total_queue(history(published(1, 2), drain)).verdict is Verdict.INVALID
    assert total_queue(history(published(2), delivered(2), drain)).verdict is Verdict.INVALID


def test_messages_may_be_collections() -> None:
    drain = [Op("invoke", "drain", process=9), Op("ok", "drain", [[1, 2], [3, 4]], 9)]
    assert total_queue(history(published([1, 2], [3, 4]), drain)).verdict is Verdict.VALID
    assert total_queue(history(published([1, 2]), drain)).verdict is Verdict.INVALID


def test_a_drain_without_a_value_may_record_its_dequeues() -> None:
    drain = [Op("invoke", "drain", process=9), *delivered(1), Op("ok", "drain", None, 9)]
    assert total_queue(history(published(1), drain)).verdict is Verdict.VALID
    assert total_queue(history(published(1, 2), drain)).verdict is Verdict.INVALID
