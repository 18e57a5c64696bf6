"""Latencies of recent ops, against a reading of the same ops one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.recent_latencies import RecentLatencies, quantile
from jepsenvm.history.units import MILLISECOND

NODES = ["n1", "n2", None]


def nearly(seconds: float) -> object:
    """A latency as its bin gives it: at most 13% more."""
    return pytest.approx(seconds * 1.06, rel=0.07)


class Ops:
    """A journal whose clock the test sets, and its recent latencies."""

    def __init__(self, folder: Path) -> None:
        self.now = 0
        self.recent = RecentLatencies(["enqueue"])
        self.journal = Journal(folder / "h", lambda: self.now, observe=self.recent.add)

    def op(
        self,
        type_: str,
        at_ms: float,
        process: int = 0,
        node: str | None = "n1",
        f: str = "enqueue",
    ) -> None:
        self.now = round(at_ms * MILLISECOND)
        self.journal.append(type_, f, 1, process=process, node=node)  # type: ignore[arg-type]  # a type of ops


def test_latencies_by_node(tmp_path: Path) -> None:
    ops = Ops(tmp_path)
    for number in range(100):
        ops.op("invoke", number, number, "n1")
        ops.op("invoke", number, 1000 + number, "n2")
    for number in range(100):
        ops.op("ok", number + (900 if number == 99 else 5), number, "n1")
        ops.op("ok", number + 50, 1000 + number, "n2")
    ops.journal.flush()
    taken = ops.recent.take()
    assert sum(taken["n1"].values()) == sum(taken["n2"].values()) == 100
    assert quantile(taken["n1"], 0.5) == nearly(0.005)
    assert quantile(taken["n1"], 1) == nearly(0.9)
    assert quantile(taken["n2"], 0.99) == nearly(0.05)
    assert ops.recent.take() == {}


def test_an_op_that_is_ok_in_a_later_batch(tmp_path: Path) -> None:
    ops = Ops(tmp_path)
    ops.op("invoke", 0)
    ops.journal.flush()
    assert ops.recent.take() == {}
    ops.op("invoke", 1, process=1)
    ops.journal.flush()
    ops.op("ok", 200)
    ops.journal.flush()
    assert quantile(ops.recent.take()["n1"], 0.99) == nearly(0.2)


def test_what_does_not_count(tmp_path: Path) -> None:
    ops = Ops(tmp_path)
    ops.op("invoke", 0, f="dequeue")
    ops.op("ok", 1, f="dequeue")
    ops.op("invoke", 0, process=1)
    ops.op("fail", 1, process=1)
    ops.op("invoke", 0, process=2)
    ops.op("info", 1, process=2)
    ops.op("ok", 1, process=3)
    ops.op("info", 1, process=NEMESIS, node=None, f="start")
    ops.journal.flush()
    assert ops.recent.take() == {}


def test_extreme_latencies_and_no_ops() -> None:
    assert quantile({}, 0.99) is None
    assert quantile({0: 1}, 0.99) == pytest.approx(1e-5)
    assert quantile({1000: 1}, 0.99) == pytest.approx(1000)


steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["ok", "fail", "info"]),
        st.sampled_from(NODES),
        st.integers(0, 2_000),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@given(steps)
def test_batches_give_the_same_counts_as_the_ops(
    drawn: list[tuple[int, str, str | None, int, bool, bool]],
) -> None:
    """Each step invokes an op of a process, or completes it. Flushes and takes fall anywhere."""
    with TemporaryDirectory() as folder:
        ops, now = Ops(Path(folder)), 0.0
        is_open: dict[int, str | None] = {}
        expected: Counter[str] = Counter()
        counted: Counter[str] = Counter()
        for process, completion, drawn_node, later, flushes, takes in drawn:
            now += later
            if process in is_open:
                node = is_open.pop(process)
                ops.op(completion, now, process, node)
                if completion == "ok" and node:
                    expected[node] += 1
            else:
                is_open[process] = drawn_node
                ops.op("invoke", now, process, drawn_node)
            if flushes:
                ops.journal.flush()
            if takes:
                counted.update(
                    {name: sum(each.values()) for name, each in ops.recent.take().items()}
                )
        ops.journal.flush()
        counted.update({name: sum(each.values()) for name, each in ops.recent.take().items()})
        assert counted == expected
