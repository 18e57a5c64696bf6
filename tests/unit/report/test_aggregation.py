"""What a report counts, compared with counting every op by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

import numpy as np
import pytest

from jepsenvm.checkers.availability import DEFAULT_IGNORED, availability
from jepsenvm.checkers.fault_intervals import NEVER
from jepsenvm.checkers.total_queue import END, total_queue
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import History, from_ops
from jepsenvm.history.units import SECOND
from jepsenvm.report.latencies import PERCENTS, latencies
from jepsenvm.report.message_marks import marks, missing_messages
from jepsenvm.report.message_times import message_times
from jepsenvm.report.op_counts import op_counts
from jepsenvm.report.silences import silences
from jepsenvm.report.time_bins import MOST_BINS, TimeBins, last_time
from tests.report_runs import bulk_history


def some_ops(seed: int) -> list[Op]:
    """Return a load with deliveries, in the order of their times."""
    random = Random(seed)
    ops: list[Op] = []
    for value in range(300):
        node = random.choice(["n1", "n2", None])
        began = round(random.random() * 40 * SECOND)
        ended = began + round(random.lognormvariate(17, 2))
        end: Type = random.choice(["ok", "ok", "ok", "fail", "info"])
        ops.append(Op("invoke", "enqueue", value, value, began, node))
        ops.append(Op(end, "enqueue", value, value, ended, node))
        for _ in range(random.choice([0, 1, 1, 2])):
            at = began + round(random.random() * 10 * SECOND)
            ops.append(Op("ok", "dequeue", value, 1000 + value, at, "n2"))
    return sorted(ops, key=lambda op: op.time)


@pytest.fixture(params=range(4))
def ops(request: pytest.FixtureRequest) -> list[Op]:
    return some_ops(request.param)


def bins_of(history: History) -> TimeBins:
    return TimeBins.over(last_time(history))


def test_bins_reach_to_the_last_op_and_are_never_too_many() -> None:
    for end in (0, 1, SECOND - 1, SECOND, 60 * SECOND, 10**6 * SECOND + 1):
        bins = TimeBins.over(end)
        assert bins.count <= MOST_BINS
        assert (bins.count - 1) * bins.width <= end < bins.count * bins.width
        assert (
            bins.of(np.array([0, end, 10 * end])).tolist()[1:] == [bins.count - 1] * 2 or end == 0
        )
    assert TimeBins(2 * SECOND, 3).per_second(np.array([4, 5, 0])) == [2.0, 2.5, 0.0]


def test_ops_are_counted_by_name_node_type_and_bin(ops: list[Op]) -> None:
    history = from_ops(ops)
    bins = bins_of(history)
    expected = Counter(
        (op.f, op.node or "-", op.type, op.time // bins.width) for op in ops if op.type != "invoke"
    )
    counts = op_counts(history, bins)
    found = {
        (*key, int(bin_)): int(of_key[bin_])
        for key, of_key in counts.counts.items()
        for bin_ in np.flatnonzero(of_key)
    }
    assert found == dict(expected)
    confirmed = [op for op in ops if (op.f, op.type) == ("enqueue", "ok")]
    assert counts.total(["enqueue"], "ok").sum() == len(confirmed)
    assert counts.total(["enqueue"], "ok", "n1").sum() == sum(op.node == "n1" for op in confirmed)


def test_quantiles_are_the_nearest_rank_of_each_bin(ops: list[Op]) -> None:
    history = from_ops(ops)
    bins = bins_of(history)
    begins = {op.process: op.time for op in ops if op.type == "invoke"}
    by_bin = defaultdict(list)
    for op in ops:
        if (op.f, op.type) == ("enqueue", "ok"):
            by_bin[begins[op.process] // bins.width].append(op.time - begins[op.process])
    found = latencies(history, ["enqueue"], bins)["enqueue"]
    for percent in PERCENTS:
        for bin_, quantile in enumerate(found.quantiles[percent]):
            values = sorted(by_bin[bin_])
            rank = -(-len(values) * percent // 100) - 1
            assert quantile == (values[rank] if values else None)


def test_points_stand_for_all_ops_and_are_some_of_them(ops: list[Op]) -> None:
    history = from_ops(ops)
    begins = {op.process: op.time for op in ops if op.type == "invoke"}
    found = latencies(history, ["enqueue"], bins_of(history))["enqueue"].points
    for type_, points in found.items():
        real = {
            (begins[op.process], op.time - begins[op.process])
            for op in ops
            if (op.f, op.type) == ("enqueue", type_)
        }
        assert set(zip(points.invoked.tolist(), points.latency.tolist(), strict=True)) <= real
        assert points.count.sum() == len(real)
        assert (np.diff(points.invoked) >= 0).all()


def test_ops_that_end_as_they_begin_have_no_latency() -> None:
    delivery = [Op("invoke", "dequeue", 1, 5, 7), Op("ok", "dequeue", 1, 5, 7)]
    history = from_ops([*delivery, *delivery])
    assert latencies(history, ["dequeue"], bins_of(history)) == {}


def test_depth_is_what_was_confirmed_and_had_not_come_back(ops: list[Op]) -> None:
    history = from_ops(ops)
    bins = bins_of(history)
    confirmed = {op.value: op.time for op in ops if (op.f, op.type) == ("enqueue", "ok")}
    back: dict[int, int] = {}
    for op in ops:
        if op.f == "dequeue":
            back.setdefault(op.value, op.time)
    expected = [
        sum(
            at < (bin_ + 1) * bins.width and back.get(value, NEVER) >= (bin_ + 1) * bins.width
            for value, at in confirmed.items()
        )
        for bin_ in range(bins.count)
    ]
    assert message_times(history).depth(bins).tolist() == expected


def test_the_mark_that_ends_a_stream_and_corrupted_bodies_are_no_messages() -> None:
    times = message_times(
        from_journal(
            [
                Op("ok", "enqueue", END, 1, 1),
                Op("ok", "enqueue", 4, 1, 2),
                Op("ok", "dequeue", -7, 1, 3),
            ]
        )
    )
    assert times.missing().tolist() == [4]
    assert not times.outside


def from_journal(ops: list[Op]) -> History:
    """Return ops as a history whose values are integers, not codes."""
    history = from_ops(ops)
    labels = history.labels
    assert labels is not None
    values = np.array([labels[code] for chunk in history for code in chunk.value])
    chunk = next(iter(history)).with_columns(value=values)
    return History(lambda _: iter((chunk,)), history.names, history.nodes)


def test_silences_agree_with_the_checker(ops: list[Op]) -> None:
    history = from_ops([op for op in ops if op.node is not None])
    figures = availability(history).figures["nodes"]
    found = silences(history, DEFAULT_IGNORED)
    assert found.keys() == figures.keys()
    for node, gaps in found.items():
        total = sum(end - begin for begin, end in gaps) / SECOND
        assert total == pytest.approx(figures[node]["without-ok-seconds"], abs=0.002)
        assert all(end - begin > SECOND for begin, end in gaps)


def test_marks_cover_every_lost_message_where_it_was_confirmed(ops: list[Op]) -> None:
    drain = [
        Op("invoke", "drain", process=5000, time=10**12),
        Op("ok", "drain", process=5000, time=10**12, data={"received": 0}),
    ]
    history = from_ops([*ops, *drain])
    figures = total_queue(history).figures
    assert figures["lost-count"] > 10
    times, bins = message_times(history), bins_of(history)
    (missing,) = missing_messages(history, figures, times)
    found = list(marks(history, missing, times, bins))
    assert missing.kind == "lost"
    assert sum(mark.count for mark in found) == figures["lost-count"]
    delivered = {op.value for op in ops if op.f == "dequeue"}
    lost = [op for op in ops if (op.f, op.type) == ("enqueue", "ok") and op.value not in delivered]
    expected = Counter((op.node or "-", op.time // bins.width) for op in lost)
    assert {(mark.node, mark.first // bins.width): mark.count for mark in found} == expected
    for mark in found:
        inside = [op for op in lost if (op.node or "-") == mark.node]
        assert set(mark.examples) <= {op.value for op in inside}
        assert {mark.first, mark.last} <= {op.time for op in inside}


def test_a_checker_that_lists_fewer_messages_than_it_counts_has_fewer_marks() -> None:
    history = from_journal([Op("ok", "enqueue", value, 1, value) for value in range(5)])
    figures = {"lost-count": 3, "lost": [1, 2]}
    (missing,) = missing_messages(history, figures, message_times(history))
    assert (missing.count, missing.values.tolist()) == (3, [1, 2])


def test_a_history_of_several_chunks_is_counted_as_a_whole() -> None:
    history = bulk_history(300_000, lost_from=299_000)
    bins = bins_of(history)
    assert op_counts(history, bins).total(["enqueue"], "ok").sum() == 300_000
    assert len(message_times(history).missing()) == 1000
    points = latencies(history, ["enqueue"], bins)["enqueue"].points["ok"]
    assert points.count.sum() == 300_000
    assert len(points.invoked) < 10_000
