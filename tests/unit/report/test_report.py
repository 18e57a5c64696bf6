"""The verdict lines of the terminal, and the HTML report."""

from __future__ import annotations

import pytest

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Results, Verdict, check
from jepsenvm.history.nemesis_records import HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History, from_ops
from jepsenvm.report.html import page
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.terminal import verdict_lines

SECOND = 1_000_000_000
QUEUE = Presentation(
    main_checker="total-queue",
    headline=lambda figures: (
        f"acknowledged {figures['acknowledged-count']}, LOST {figures['lost-count']}"
    ),
    plots={"enqueue": "confirmed", "dequeue": "delivered"},
)
LOCK = Presentation(
    main_checker="lock",
    headline=lambda figures: f"TWO HOLDERS {figures['doubled-count']}",
    plots={"acquire": "acquired"},
)
FAULT = {"name": "partition-random-halves", "text": "n1 | n2 <n3>"}


def lossy() -> History:
    phases = [(INJECT, 2), (IN_FORCE, 3), (HEALED, 6)]
    nemesis = [
        Op(
            "info",
            "start",
            process=NEMESIS,
            time=at * SECOND,
            data={"phase": phase, "window": 1, "fault": FAULT},
        )
        for phase, at in phases
    ]
    sent = [
        Op(type_, "enqueue", value, time=value * SECOND, node="n1")
        for value in range(8)
        for type_ in ("invoke", "ok")
    ]
    delivered = [
        Op("ok", "dequeue", value, time=9 * SECOND, node="n2") for value in (0, 1, 2, 6, 7)
    ]
    return from_ops([*nemesis, *sent, *delivered])


def judged(history: History) -> Results:
    return check(history, {"total-queue": total_queue, "stats": stats, "faults": faults})


def test_verdict_lines() -> None:
    lines = list(verdict_lines(judged(lossy()), QUEUE))
    assert lines[0] == "INVALID: acknowledged 8, LOST 3"
    assert (
        "3 messages were lost: confirmed by n1 between 3.0 s and 5.0 s, 3 during fault 1"
        in lines[1]
    )
    assert lines[-1] == "  first lost: 3, 4, 5"


def test_the_page_has_the_verdict_the_plots_and_nothing_unescaped() -> None:
    text = page("a <run>", "seed: 1", judged(lossy()), lossy(), QUEUE)
    assert '<h1 class="invalid">INVALID' in text
    assert text.count("<svg") == 3
    assert "a &lt;run&gt;" in text
    assert "&lt;n3&gt;" in text
    assert "<n3>" not in text
    assert "src=" not in text
    assert "<script" not in text


SCRIPT = "</pre></script><img src=x onerror=alert(1)>"


def hostile(name: str) -> History:
    """Return a history with a hostile text in each place that the page shows."""
    fault = {"name": name, "text": name}
    nemesis = [
        Op(
            "info",
            "start",
            process=NEMESIS,
            time=at,
            data={"phase": phase, "window": 1, "fault": fault},
        )
        for phase, at in ((INJECT, 2), (IN_FORCE, 3), (HEALED, 6))
    ]
    load = [
        Op("invoke", "enqueue", 1, 1, 1, name),
        Op("ok", "enqueue", 1, 1, 2, name),
        Op("invoke", name, 1, 2, 3, name),
        Op("info", name, 1, 2, 4, name, error=name),
    ]
    return from_ops([*load, *nemesis])


@pytest.mark.parametrize(
    "name",
    [
        SCRIPT,
        "$x^$ {",
        "_hidden",
        "a$b",
        "--><b>",
        "\x1b[2J\u202e\x00",
        "]]>",
        "{{ 7 * 7 }}",
        "\udcff",
    ],
)
def test_a_hostile_text_stays_a_text(name: str) -> None:
    history = hostile(name)
    violation = [{"from": 0, "to": 1, "process": 1, "node": name, "f": name, "type": "ok"}]

    def checker(_: History) -> Result:
        return Result(Verdict.VALID, (name,), {"violation": violation})

    results = check(history, {"x": checker, "stats": stats, "faults": faults})
    text = page(name, name, results, history, QUEUE)
    for tag in ("<img", "<script", "<b>", "<!-- -->"):
        assert tag not in text
    assert name != "{{ 7 * 7 }}" or "<h1 class" in text.partition(name)[2]
    assert "\x1b" not in "".join(verdict_lines(results, QUEUE))
    text.encode()


def test_a_run_that_lost_nothing_has_no_plot_of_losses() -> None:
    history = from_ops([Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1), Op("ok", "dequeue", 1)])
    assert page("t", "p", judged(history), history, QUEUE).count("<svg") == 2


def test_the_page_shows_latencies_and_availability() -> None:
    times = ((0, 1), (1, 2), (4, 9))
    load = [
        Op("invoke", "enqueue", value, value, began * SECOND, "n1")
        for value, (began, _) in enumerate(times)
    ]
    load += [
        Op("ok", "enqueue", value, value, ended * SECOND, "n1")
        for value, (_, ended) in enumerate(times)
    ]
    history = from_ops(sorted([*lossy().nemesis_ops(), *load], key=lambda op: op.time))
    text = page("t", "p", check(history, {"availability": availability}), history, QUEUE)
    assert text.count("<svg") == 3, (
        "rate, latency and losses; nothing was delivered, so deliveries have no plot"
    )
    assert "7.0 s<td>7.0 s" in text
    assert "<th>first ok in fault 1<th>after its healing" in text
    assert "<td>6.0 s" in text
    assert "<h2>Availability" not in page("t", "p", judged(history), history, QUEUE)


def test_the_page_of_a_run_with_a_crashed_checker() -> None:
    def crash(_: History) -> Result:
        raise ZeroDivisionError

    crashed = check(lossy(), {"availability": crash})
    assert next(verdict_lines(crashed, QUEUE)) == "UNKNOWN"
    assert "the checker availability crashed" in page("t", "p", crashed, lossy(), QUEUE)


def test_the_page_shows_the_violation_of_a_lock() -> None:
    ops = [
        Op("invoke", "acquire", None, 1, 1 * SECOND, "n1"),
        Op("ok", "acquire", None, 1, 2 * SECOND, "n1"),
        Op("invoke", "acquire", None, 2, 3 * SECOND, "n2"),
        Op("ok", "acquire", None, 2, 4 * SECOND, "n2"),
        Op("invoke", "release", None, 1, 5 * SECOND, "n1"),
        Op("info", "release", None, 1, 9 * SECOND, "n1"),
    ]
    history = from_ops(ops)
    results = check(history, {"lock": lock, "stats": stats, "faults": faults})
    assert next(verdict_lines(results, LOCK)).startswith("INVALID: TWO HOLDERS 1")
    text = page("lock", "plan", results, history, LOCK)
    assert "the ops that contradict each other" in text
    assert "process 2 on n2: acquire ok" in text
