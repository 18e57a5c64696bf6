"""The verdict lines of the terminal, and the HTML report."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.delivery_queues import QUEUE as QUEUE_OF_DELIVERY
from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.many_queues import many_queues
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Checker, Result, Verdict, check
from jepsenvm.history.nemesis_records import HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History, from_ops
from jepsenvm.plan.routing import Routing
from jepsenvm.report.explain import has_several_queues
from jepsenvm.report.html import page
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.stored_run import StoredRun
from jepsenvm.report.terminal import verdict_lines
from tests.report_runs import bulk_history, synthetic_ops

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
CHECKERS: Mapping[str, Checker] = {
    "total-queue": total_queue,
    "stats": stats,
    "faults": faults,
    "latency": latency,
    "exceptions": exceptions,
    "availability": availability,
}
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


def stored(
    history: History,
    presentation: Presentation = QUEUE,
    checkers: Mapping[str, Checker] = CHECKERS,
    **parts: Any,
) -> StoredRun:
    return StoredRun(
        **{
            "title": "a run",
            "results": check(history, checkers),
            "presentation": presentation,
            "history": history,
            **parts,
        }
    )


def data_of(text: str) -> Any:
    """Return the data that the page embeds for its charts."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found)


class Tags(HTMLParser):
    """Collects the tags, the addresses and the ids of a page, and which text stands in scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._raw = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


def several_queues() -> StoredRun:
    """Return a run with several queues, and a copy that one of them lost."""
    of = Routing(queues=2)
    sent = [
        Op(type_, "enqueue", value, time=value * SECOND, node="n1")
        for value in range(8)
        for type_ in ("invoke", "ok")
    ]
    came = [
        op
        for value in range(7)
        for op in (
            Op(
                "invoke",
                "dequeue",
                process=10 + of.group_of(value),
                data={QUEUE_OF_DELIVERY: of.group_of(value)},
            ),
            Op("ok", "dequeue", value, 10 + of.group_of(value), 9 * SECOND, "n2"),
        )
    ]
    drain = [Op(type_, "drain", process=90, time=10 * SECOND) for type_ in ("invoke", "ok")]
    judge = partial(many_queues, routing=of)
    return stored(from_ops([*sent, *came, *drain]), checkers={"total-queue": judge})


def test_a_run_of_several_queues_has_a_report_but_no_lives() -> None:
    run = several_queues()
    assert run.results.checkers["total-queue"].figures["lost-count"] == 1
    assert "lost" in page(run)
    assert has_several_queues(run)
    assert not has_several_queues(stored(lossy()))


def test_verdict_lines() -> None:
    lines = list(verdict_lines(check(lossy(), CHECKERS), QUEUE))
    assert lines[0] == "INVALID: acknowledged 8, LOST 3"
    assert (
        "3 messages were lost: confirmed by n1 between 3.0 s and 5.0 s, 3 during fault 1"
        in lines[1]
    )
    assert lines[-1] == "  first lost: 3, 4, 5"


def test_the_page_begins_with_the_verdict_and_loads_nothing() -> None:
    text = page(stored(lossy(), title="a <run>", plan="seed: 1"))
    tags = Tags(text)
    assert tags.text.index("INVALID") < tags.text.index("The cluster lost 3 of the 8 messages")
    assert "a <run>" in tags.text
    assert "<n3>" in tags.text
    assert "n3" not in tags.tags
    assert not {"img", "link", "iframe", "object", "base"} & set(tags.tags)
    addresses = [value for name, value in tags.attributes if name in ("src", "href", "action")]
    assert addresses
    assert all(address.startswith("#") for address in addresses)


def test_every_address_within_the_page_exists() -> None:
    tags = Tags(page(stored(lossy())))
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for name, value in tags.attributes if name == "href" and "=" not in value}
    targets |= {value for name, value in tags.attributes if name in ("aria-labelledby", "for")}
    assert targets <= set(ids)


def test_only_the_scripts_of_this_package_may_run() -> None:
    text = page(stored(lossy()))
    tags = dict.fromkeys(re.findall(r"<script>(.*?)</script>", text, re.DOTALL))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    policy = policy.replace("&#39;", "'")
    assert "default-src 'none'" in policy
    script_policy = next(part for part in policy.split("; ") if part.startswith("script-src"))
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in tags
    }
    assert len(hashes) == 2
    assert set(script_policy.split()[1:]) == hashes


def test_the_timeline_has_faults_lanes_and_marks() -> None:
    data = data_of(page(stored(lossy())))
    (fault,) = data["timeline"]["faults"]
    assert (fault["begin"], fault["end"], fault["proven"]) == (2, 6, False)
    lanes = {lane["node"]: lane for lane in data["timeline"]["lanes"]}
    assert lanes.keys() == {"n1", "n2"}
    assert lanes["n1"]["rate"][:9] == [1] * 8 + [0]
    assert [mark[:4] for mark in lanes["n1"]["marks"]] == [
        [second, second, 1, "lost"] for second in (3, 4, 5)
    ]
    assert lanes["n1"]["marks"][0][4] == ["3"]
    assert lanes["n2"]["marks"] == []


def test_a_chart_that_would_say_nothing_is_left_out() -> None:
    """Deliveries have no latency, and an op that was not seen has no rate."""
    history = from_ops(
        [
            Op("invoke", "enqueue", 1, 1, 0, "n1"),
            Op("ok", "enqueue", 1, 1, SECOND, "n1"),
            Op("invoke", "dequeue", None, 2, 2 * SECOND, "n1"),
            Op("ok", "dequeue", 1, 2, 2 * SECOND, "n1"),
        ]
    )
    data = data_of(page(stored(history)))
    assert [chart["id"] for chart in data["charts"]] == [
        "rate-enqueue",
        "rate-dequeue",
        "latency-enqueue",
        "depth",
    ]
    units = {chart["id"]: chart["unit"] for chart in data["charts"]}
    assert units == {
        "rate-enqueue": "per second",
        "rate-dequeue": "per second",
        "latency-enqueue": "ms",
        "depth": "messages",
    }
    latencies = next(chart for chart in data["charts"] if chart["id"] == "latency-enqueue")
    p50 = next(series for series in latencies["series"] if series["name"] == "p50")
    assert p50["data"][0] == 1000
    assert all(lane["marks"] == [] for lane in data["timeline"]["lanes"])


def test_failed_ops_have_a_chart_of_outcomes() -> None:
    ops = [
        Op("invoke", "enqueue", 1, 1, 0, "n1"),
        Op("info", "enqueue", 1, 1, SECOND, "n1", "lost"),
    ]
    text = page(stored(from_ops([*lossy().ops(), *ops])))
    assert "outcomes" in [chart["id"] for chart in data_of(text)["charts"]]
    assert "Client errors" in text
    assert "<td>lost</td>" in text


SCRIPT = "</pre></script><img src=x onerror=alert(1)>"


def hostile(name: str) -> History:
    """Return a history with a hostile text in each place that the page shows."""
    fault = {"name": name, "text": name, "kind": name, "nodes": [name], "grudge": {name: [name]}}
    proof = {
        "before": {
            "matrix": {name: {name: True, f"{name}2": None}},
            "processes": {name: {"runtime": {"state": name}, "amqp": True}},
            "clocks": {name: [0.5]},
        }
    }
    nemesis = [
        Op(
            "info",
            "start",
            process=NEMESIS,
            time=at * SECOND,
            error=name,
            data={"phase": phase, "window": 1, "fault": fault, "proof": proof},
        )
        for phase, at in ((INJECT, 2), (IN_FORCE, 3), (HEALED, 6))
    ]
    view = {"nodes": {name: {"running": [name], "partitions": {name: [name]}}}, "leader": name}
    nemesis.append(
        Op(
            "info",
            "view",
            process=NEMESIS,
            time=4 * SECOND,
            data={"phase": "during", "window": 1, "proof": {"broker": view}},
        )
    )
    load = [
        Op("invoke", "enqueue", name, 1, 1, name),
        Op("ok", "enqueue", name, 1, 2, name),
        Op("invoke", name, 1, 2, 3, name),
        Op("info", name, 1, 2, 4, name, error=name),
        Op("invoke", "drain", process=9, time=9 * SECOND),
        Op("ok", "drain", [], process=9, time=9 * SECOND),
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
        "<!-- <script>",
        "\x1b[2J\u202e\x00",
        "]]>",
        "{{ 7 * 7 }}",
        "\udcff",
        "' onload='alert(1)",
    ],
)
def test_a_hostile_text_stays_a_text(name: str) -> None:
    history = hostile(name)
    violation = [{"from": 0, "to": 1, "process": 1, "node": name, "f": name, "type": "ok"}]

    def checker(_: History) -> Result:
        return Result(Verdict.VALID, (name,), {"violation": violation})

    line = f"1970-01-01 00:00:04.000+00:00 [error] {name}\n"
    run = stored(
        history,
        checkers={"x": checker, **CHECKERS},
        title=name,
        plan=name,
        settings={"RabbitMQ": name, "queue type": name},
        environment={name: name},
        nodes={name: {name: name}},
        logs={name: [line]},
        incomplete_logs={name: name},
        began=0.0,
        missing=[name],
    )
    text = page(run)
    harmless = Tags(page(stored(hostile("harmless"), checkers={"x": checker, **CHECKERS})))
    tags = Tags(text)
    assert not {"img", "b"} & set(tags.tags)
    assert tags.tags.count("script") == 3
    assert {attribute for attribute, _ in tags.attributes} <= {
        attribute for attribute, _ in harmless.attributes
    } | {"open"}
    data = data_of(text)
    assert data["timeline"]["lanes"][0]["marks"]
    assert "could not be made" not in tags.text
    assert name != "{{ 7 * 7 }}" or name in tags.text
    assert "\x1b" not in "".join(verdict_lines(run.results, QUEUE)) + text
    text.encode()


def test_the_page_shows_availability_and_the_latency_of_each_period() -> None:
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
    tags = Tags(page(stored(history)))
    assert "first ok in fault 1" in tags.text
    assert "6.0 s" in tags.text
    assert "within fault 1" in tags.text


def test_the_page_shows_what_was_measured_about_a_fault() -> None:
    text = Tags(page(stored(from_ops(synthetic_ops(lossy=True, rate=4))))).text
    for expected in (
        "Reachability before",
        "Reachability during",
        "Reachability just before its healing",
        "Reachability after",
        "sees n1 n2; partitioned from n3 n4 n5",
        "no answer",
        "n4: RabbitMQ is not running",
        "minority side",
    ):
        assert expected in text


def test_the_page_of_a_run_with_a_crashed_checker() -> None:
    def crash(_: History) -> Result:
        raise ZeroDivisionError

    run = stored(lossy(), checkers={"availability": crash})
    assert next(verdict_lines(run.results, QUEUE)) == "UNKNOWN"
    text = page(run)
    assert "the checker availability crashed" in text
    assert "This run does not show whether the cluster keeps its promises." in text


def test_the_page_shows_the_violation_of_a_lock() -> None:
    ops = [
        Op("invoke", "acquire", None, 1, 1 * SECOND, "n1"),
        Op("ok", "acquire", None, 1, 2 * SECOND, "n1"),
        Op("invoke", "acquire", None, 2, 3 * SECOND, "n2"),
        Op("ok", "acquire", None, 2, 4 * SECOND, "n2"),
        Op("invoke", "release", None, 1, 5 * SECOND, "n1"),
        Op("info", "release", None, 1, 9 * SECOND, "n1"),
    ]
    checkers = {"lock": lock, "stats": stats, "faults": faults}
    run = stored(from_ops(ops), LOCK, checkers)
    assert next(verdict_lines(run.results, LOCK)).startswith("INVALID: TWO HOLDERS 1")
    text = page(run)
    assert "The ops that contradict each other" in text
    assert "process 2 on n2: acquire ok" in text
    assert data_of(text)["violation"]


def test_a_part_that_cannot_be_built_is_named_and_hides_nothing_else() -> None:
    broken = stored(lossy())
    bad = Op("info", "start", process=NEMESIS, time=1, data={"window": 1, "fault": {"nodes": [1]}})
    crashing = from_ops([*lossy().ops(), bad])
    run = StoredRun("t", broken.results, broken.presentation, crashing)
    assert "INVALID" in page(run)

    class Broken(History):
        def __iter__(self) -> Any:
            raise OSError("the disk is gone")

    text = page(StoredRun("t", broken.results, QUEUE, Broken(lambda _: iter(()))))
    assert "could not be made: OSError: the disk is gone" in text
    assert "The cluster lost 3 of the 8 messages" in text


def test_a_history_without_times_has_no_chart() -> None:
    history = from_ops([Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1), Op("ok", "dequeue", 1)])
    text = page(stored(history))
    assert "The history has no times" in text
    assert data_of(text) == {}
    assert "echarts" not in text


def test_the_report_of_a_million_ops_is_small() -> None:
    history = bulk_history(500_000, lost_from=480_000)
    text = page(
        stored(history, checkers={"total-queue": total_queue, "availability": availability})
    )
    assert len(text.encode()) < 3_000_000
    data = data_of(text)
    assert sum(mark[2] for lane in data["timeline"]["lanes"] for mark in lane["marks"]) == 20_000


def test_a_run_of_very_many_faults_is_small_and_says_what_is_left_out() -> None:
    def records(number: int) -> list[Op]:
        fault = {"kind": "kill", "name": "kill", "text": "n1", "nodes": ["n1"], "grudge": {}}
        return [
            Op(
                "info",
                "start",
                process=NEMESIS,
                time=(number * 10 + after) * SECOND,
                data={"phase": phase, "window": number, "fault": fault},
            )
            for after, phase in enumerate((INJECT, IN_FORCE, "heal", HEALED))
        ]

    ops = [op for number in range(1, 501) for op in records(number)]
    run = stored(from_ops([*lossy().ops(), *ops]), checkers={"total-queue": total_queue})
    text = page(run)
    assert len(text.encode()) < 3_000_000
    assert "The run had 500 faults." in text
