"""The files of Jepsen's store: results, plots and the timeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import edn_format
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jepsenvm.checkers.verdict import Result, Results, Verdict
from jepsenvm.history.nemesis_records import HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from jepsenvm.history.units import MILLISECOND, SECOND
from jepsenvm.report import jepsen_timeline
from jepsenvm.report.clock_offsets import clock_offsets
from jepsenvm.report.figure import image
from jepsenvm.report.jepsen_plots import clock_skew, jepsen_plots
from jepsenvm.report.jepsen_timeline import GUTTER, HEIGHT, timeline
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.results_edn import results_edn
from jepsenvm.report.stored_run import StoredRun
from tests.unit.builders import PARTITION, fault_records, nemesis_record, op_at
from tests.unit.report.test_report import SCRIPT

KEY = edn_format.Keyword
HOSTILE = [SCRIPT, "$x^$ {", "_hidden", "a$b", "\x1b[2J\x00", "\udcff", "]]>&'\""]


def results(verdict: Verdict = Verdict.VALID, **checkers: Result) -> Results:
    return Results(verdict, ("why",), checkers)


def a_run(*ops: Op, clock_offsets: Mapping[str, float] | None = None) -> StoredRun:
    return StoredRun(
        title="demo",
        results=results(),
        presentation=Presentation("queue", headline=str),
        history=from_ops(ops),
        clock_offsets=clock_offsets or {},
    )


@pytest.mark.parametrize(
    ("verdict", "valid"),
    [
        (Verdict.VALID, True),
        (Verdict.INVALID, False),
        (Verdict.UNKNOWN, KEY("unknown")),
    ],
)
def test_results_have_jepsens_shape(verdict: Verdict, valid: Any) -> None:
    figures = {
        "lost-count": 2,
        "lost": [1, "a\n"],
        "by-node": {"n1": {"seconds": 0.5}, "10.0.0.2": {}},
    }
    text = results_edn(results(verdict, **{"total-queue": Result(verdict, ("why",), figures)}))
    read = edn_format.loads(text)
    assert (read[KEY("valid?")], list(read[KEY("reasons")])) == (valid, ["why"])
    queue = read[KEY("total-queue")]
    assert (queue[KEY("valid?")], queue[KEY("lost-count")]) == (valid, 2)
    assert list(queue[KEY("lost")]) == [1, "a\n"]
    assert queue[KEY("by-node")]["n1"][KEY("seconds")] == 0.5
    assert next(iter(read)) == KEY("valid?")


def drawn(run: StoredRun) -> dict[str, str]:
    """Return the SVG of each plot, or why there is none."""
    return {
        name: image(plot, "svg").decode() if isinstance(plot, Figure) else plot
        for name, plot in jepsen_plots(run)
    }


def xy(line: Line2D) -> Any:
    """Return the points of a line."""
    return np.asarray(line.get_xydata()).tolist()


LOAD = [
    op_at(1, 0, "invoke", "enqueue", 1),
    op_at(2, 0, "ok", "enqueue", 1),
    op_at(3, 0, "invoke", "enqueue", 2),
    op_at(4, 0, "fail", "enqueue", 2),
    op_at(5, 0, "invoke", "enqueue", 3),
    op_at(9, 0, "info", "enqueue", 3),
    op_at(9, 1, "invoke", "drain"),
    op_at(10, 1, "ok", "drain"),
]


def test_legends_name_ops_quantiles_and_faults() -> None:
    faults = [
        *fault_records({INJECT: 2 * SECOND, IN_FORCE: 3 * SECOND}, fault=PARTITION),
        *fault_records({INJECT: 6 * SECOND, HEALED: 7 * SECOND}, number=2, fault=PARTITION),
    ]
    plots = {
        name: plot.axes[0].get_legend_handles_labels()[1]
        for name, plot in jepsen_plots(a_run(*LOAD, *faults))
        if isinstance(plot, Figure)
    }
    shaded = "partition-random-halves"
    types = ["enqueue ok", "enqueue info", "enqueue fail"]
    assert plots == {
        "latency-raw": [*types, shaded],
        "latency-quantiles": [f"enqueue {at}" for at in ("0.5", "0.95", "0.99", "1")] + [shaded],
        "rate": ["drain ok", *types, shaded],
    }


def test_latencies_are_drawn_in_milliseconds_at_the_time_of_the_invocation() -> None:
    raw = dict(jepsen_plots(a_run(*LOAD)))["latency-raw"]
    assert isinstance(raw, Figure)
    axes = raw.axes[0]
    assert axes.get_yscale() == "log"
    assert list(map(xy, axes.get_lines())) == [[[1, 1000]], [[5, 4000]], [[3, 1000]]]


def test_the_quantiles_are_of_ok_ops() -> None:
    quantiles = dict(jepsen_plots(a_run(*LOAD)))["latency-quantiles"]
    assert isinstance(quantiles, Figure)
    assert list(map(xy, quantiles.axes[0].get_lines())) == [[[1.5, 1000]]] * 4


def test_plots_without_content_say_why() -> None:
    empty = drawn(a_run())
    assert empty["rate"] == "no op of a client completed"
    assert "times" in empty["latency-raw"]
    assert "clocks" in empty["clock-skew"]
    only_drain = drawn(a_run(*LOAD[-2:]))
    assert only_drain["latency-raw"] == "no client waited for an op"
    assert only_drain["rate"].startswith("<?xml")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_text(name: str) -> None:
    fault = {"name": name, "text": name}
    run = a_run(
        op_at(1, 0, "invoke", name, name, name),
        Op("ok", name, name, 0, 2 * SECOND, name, error=name),
        nemesis_record(INJECT, SECOND, fault=fault),
        nemesis_record(IN_FORCE, SECOND, fault=fault, proof={"during": {"clocks": {name: [1]}}}),
        clock_offsets={name: 0.5},
    )
    for text in (*drawn(run).values(), timeline(run)):
        assert "<script" not in text
        assert "<img" not in text
        assert "\x1b" not in text
        text.encode()
    assert "_again" not in drawn(run)["rate"]


def test_clock_offsets_come_from_the_environment_and_the_proofs_of_faults() -> None:
    run = a_run(
        nemesis_record(INJECT, 10),
        nemesis_record(
            IN_FORCE,
            30,
            proof={
                "before": {"clocks": {"n1": [0.1], "n2": None, "n3": ["x", True and 2]}},
                "during": {"clocks": {"n1": [5.0, -5.0]}, "matrix": {}},
            },
        ),
        nemesis_record(HEALED, 50, proof={"after": {"clocks": {"n1": [0.2]}}}),
        clock_offsets={"n1": 0.0, "n2": -0.1},
    )
    assert clock_offsets(run) == {
        "n1": [(0, 0.0), (10, 0.1), (30, 5.0), (30, -5.0), (50, 0.2)],
        "n2": [(0, -0.1)],
        "n3": [(10, 2.0)],
    }
    assert clock_skew(run) is not None
    assert clock_skew(a_run(clock_offsets={"n1": 0.0, "n2": -0.1})) is None


BOX = re.compile(
    r'<div class="op (\w+)" style="left:(\d+)px;top:(\d+)px;height:(\d+)px"[^>]*>([^<]*)<'
)


def boxes(*ops: Op) -> list[tuple[str, str, int, int, int]]:
    """Return the text, type, lane, row and rows of each box, by row."""
    found = [
        (text, type_, int(left) // GUTTER, int(top) // HEIGHT, int(height) // HEIGHT)
        for type_, left, top, height, text in BOX.findall(timeline(a_run(*ops)))
    ]
    return sorted(found, key=lambda box: box[3])


def test_each_op_is_a_box_from_its_invocation_to_its_completion() -> None:
    assert boxes(
        Op("invoke", "enqueue", 1, 7),
        Op("info", "start", None, NEMESIS),
        Op("invoke", "dequeue", None, 8),
        Op("ok", "enqueue", 1, 7),
        Op("ok", "dequeue", 1, 8),
        Op("invoke", "enqueue", 2, 7),
        Op("info", "enqueue", 2, 7),
        Op("invoke", "enqueue", 3, 9),
        Op("ok", "dequeue", 5, 10),
    ) == [
        ("7 enqueue 1", "ok", 0, 0, 3),
        ("nemesis start", "info", 3, 1, 1),
        ("8 dequeue 1", "ok", 1, 2, 2),
        ("7 enqueue 2", "info", 0, 5, 4),
        ("9 enqueue 3", "invoke", 1, 7, 2),
        ("10 dequeue 5", "ok", 2, 8, 1),
    ]


def test_the_lane_of_a_finished_process_is_used_again_and_boxes_never_overlap() -> None:
    ops = []
    for process in range(0, 40, 2):
        pair = (process, process + 1)
        ops += [Op("invoke", "enqueue", one, one) for one in pair]
        ops += [Op("ok", "enqueue", one, one) for one in pair]
    found = boxes(*ops)
    assert {lane for _, _, lane, _, _ in found} == {0, 1}
    taken = [(lane, row) for _, _, lane, top, rows in found for row in range(top, top + rows)]
    assert len(taken) == len(set(taken))


def test_a_completion_of_another_op_does_not_end_a_box() -> None:
    assert [box[:2] for box in boxes(Op("invoke", "add", 1, 0), Op("ok", "read", [1], 0))] == [
        ("0 add 1", "invoke"),
        ("0 read [1]", "ok"),
    ]


def test_the_timeline_has_the_first_ops_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = [Op("invoke", "enqueue", value, value, value * MILLISECOND) for value in range(30)]
    assert "All 30 ops are shown." in timeline(a_run(*ops))
    monkeypatch.setattr(jepsen_timeline, "MOST_OPS", 20)
    page = timeline(a_run(*ops))
    assert "Only the first 20 of 30 ops are shown." in page
    assert page.count('class="op ') == 20
    assert "default-src &#39;none&#39;" not in page
    assert "default-src 'none'" in page


def test_the_details_of_a_box_have_latency_node_error_and_fault() -> None:
    page = timeline(
        a_run(
            op_at(1, 0, "invoke", "enqueue", 1, "n1"),
            Op("info", "enqueue", 1, 0, 3 * SECOND, "n1", error='no "confirm"'),
            nemesis_record(INJECT, SECOND, fault=PARTITION),
        )
    )
    title = "index 0, 1.000 s, n1\ninfo after 2000.000 ms\nno &#34;confirm&#34;"
    assert f'title="{title}"' in page
    assert "inject partition-random-halves {n1 | n2 n3}" in page
