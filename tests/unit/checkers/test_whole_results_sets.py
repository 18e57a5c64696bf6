"""Sets, exercises, statistics, errors and broker logs: everything that their checkers say."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from jepsenvm.checkers.broker_logs import LINE_CHARACTERS, broker_logs
from jepsenvm.checkers.exceptions import SHOWN, exceptions
from jepsenvm.checkers.exercise import Exercise, exercised
from jepsenvm.checkers.grow_set import grow_set
from jepsenvm.checkers.log_lines import forms
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.total_queue import SHOWN as ELEMENTS
from jepsenvm.checkers.verdict import Result, Verdict, check, worst
from jepsenvm.history.op import NEMESIS, NO_PROCESS, Op
from jepsenvm.history.table import History, from_ops
from jepsenvm.history.units import SECOND
from tests.unit.builders import operation, recovery_record
from tests.unit.checkers.whole_results import whole

UNFINISHED: Any = ("invoke", "info")


def read(answer: Any, asked: Any = None, process: int = 5) -> list[Op]:
    return [Op("invoke", "read", asked, process), Op("ok", "read", answer, process)]


def test_a_set_with_every_kind_of_element() -> None:
    assert whole(
        grow_set,
        operation(1, "add", 1),
        operation(1, "add", 2),
        operation(1, "add", 3),
        operation(2, "add", 4, *UNFINISHED),
        operation(2, "add", 5, "invoke", "fail"),
        read([]),
        [Op("invoke", "add", 6, 1), Op("invoke", "read", None, 5), Op("ok", "add", 6, 1)],
        [Op("ok", "read", [1, 4, 9, 1], 5)],
    ) == (
        "invalid",
        [
            "2 elements are lost: acknowledged, but not in the last read",
            "1 element is unexpected: in the last read, but never added",
            "1 element is undecided: acknowledged after the last read began, and not in it",
        ],
        {
            "read-count": 2,
            "attempt-count": 6,
            "acknowledged-count": 4,
            "ok-count": 2,
            "lost-count": 2,
            "unexpected-count": 1,
            "recovered-count": 1,
            "undecided-count": 1,
            "lost": [2, 3],
            "unexpected": [9],
            "recovered": [4],
            "undecided": [6],
        },
    )


def test_a_set_with_one_of_each() -> None:
    assert whole(grow_set, operation(1, "add", 1), read({2})) == (
        "invalid",
        [
            "1 element is lost: acknowledged, but not in the last read",
            "1 element is unexpected: in the last read, but never added",
        ],
        {
            "read-count": 1,
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "lost-count": 1,
            "unexpected-count": 1,
            "recovered-count": 0,
            "undecided-count": 0,
            "lost": [1],
            "unexpected": [2],
            "recovered": [],
            "undecided": [],
        },
    )


def test_a_set_with_an_unexpected_element_only() -> None:
    assert whole(grow_set, operation(1, "add", 1), read([1, 2]))[:2] == (
        "invalid",
        ["1 element is unexpected: in the last read, but never added"],
    )


def test_a_set_with_an_undecided_element_only() -> None:
    late = [Op("invoke", "read", None, 5), *operation(1, "add", 1), Op("ok", "read", [], 5)]
    assert whole(grow_set, late)[:2] == (
        "unknown",
        ["1 element is undecided: acknowledged after the last read began, and not in it"],
    )


def test_a_valid_set() -> None:
    assert whole(grow_set, operation(1, "add", 1), read((1,)), read(frozenset({1}))) == (
        "valid",
        [],
        {
            "read-count": 2,
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 1,
            "lost-count": 0,
            "unexpected-count": 0,
            "recovered-count": 0,
            "undecided-count": 0,
            "lost": [],
            "unexpected": [],
            "recovered": [],
            "undecided": [],
        },
    )


def test_a_set_that_nobody_read() -> None:
    failed = [Op("invoke", "read", None, 5), Op("fail", "read", None, 5)]
    assert whole(grow_set, operation(1, "add", 1), failed) == (
        "unknown",
        ["the set cannot be judged: no read of the set was ok"],
        {},
    )
    assert whole(grow_set, operation(1, "add", 1), read([1]), complete=False) == (
        "unknown",
        ["the set cannot be judged: the history is cut short, so a later read may be missing"],
        {},
    )


def test_a_read_that_is_no_collection() -> None:
    assert whole(grow_set, operation(1, "add", 1), read([1]), read(7)) == (
        "unknown",
        ["the set cannot be judged: the last read is not a collection: 7"],
        {
            "read-count": 2,
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "lost-count": 0,
            "unexpected-count": 0,
            "recovered-count": 0,
            "undecided-count": 0,
            "lost": [],
            "unexpected": [],
            "recovered": [],
            "undecided": [],
        },
    )


def test_the_read_that_completed_last_is_the_last_read() -> None:
    assert whole(
        grow_set,
        operation(1, "add", 1),
        [Op("invoke", "read", None, 5), *read([1], process=6), Op("ok", "read", [], 5)],
    )[:2] == ("invalid", ["1 element is lost: acknowledged, but not in the last read"])
    assert whole(grow_set, operation(1, "add", 1), [Op("ok", "read", [1], 5)])[:2] == ("valid", [])


def test_sets_with_keys() -> None:
    assert whole(
        grow_set,
        operation(1, "add", ["x", 1]),
        operation(1, "add", ["y", 1]),
        operation(1, "add", ["z", 1]),
        operation(1, "add", ["y", 2]),
        read(["x", [1, 5]], ["x", None]),
        read(["y", [2]], ["y", None]),
    ) == (
        "invalid",
        [
            "1 element is lost: acknowledged, but not in the last read",
            "1 element is unexpected: in the last read, but never added",
            'the set cannot be judged: no read of the set "z" was ok',
        ],
        {
            "read-count": 2,
            "attempt-count": 4,
            "acknowledged-count": 4,
            "ok-count": 2,
            "lost-count": 1,
            "unexpected-count": 1,
            "recovered-count": 0,
            "undecided-count": 0,
            "lost": [1],
            "unexpected": [5],
            "recovered": [],
            "undecided": [],
        },
    )
    assert whole(grow_set, operation(1, "add", ["x", 1]), read([["x", 1]], None))[:2] == (
        "valid",
        [],
    )
    assert whole(grow_set, operation(1, "add", 1), read(["x", [1]], ["x", None]))[:2] == (
        "invalid",
        [
            "1 element is lost: acknowledged, but not in the last read",
            "2 elements are unexpected: in the last read, but never added",
        ],
    )


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_thousand_lost_elements_are_shown(surplus: int) -> None:
    adds = [op for number in range(ELEMENTS + surplus) for op in operation(1, "add", number)]
    figures = whole(grow_set, adds, read([]))[2]
    assert figures["lost-count"] == ELEMENTS + surplus
    assert figures["lost"] == list(range(ELEMENTS))


EXERCISE = Exercise(
    ("enqueue", "dequeue"),
    {"sent": "nothing was sent", "got": "nothing was got"},
    {"returned": "nothing was returned", "absent": "absent"},
)


def exercise_of(verdict: Verdict, figures: Any, *parts: list[Op]) -> Any:
    def judge(history: History) -> Result:
        assert isinstance(history, History)
        return Result(verdict, ("a reason",), figures)

    return whole(exercised(judge, EXERCISE), *parts)


def test_an_exercised_history() -> None:
    figures = {"sent": 1, "got": 1, "returned": 0}
    start = [Op("info", "start", process=NEMESIS), Op("info", "kill", process=NO_PROCESS)]
    assert [
        exercise_of(Verdict.VALID, figures, operation(1, "enqueue", 1), start),
        exercise_of(Verdict.VALID, {"sent": 0}, operation(1, "dequeue")),
        exercise_of(Verdict.INVALID, {"sent": 0, "got": 1}),
        exercise_of(Verdict.INVALID, figures),
    ] == [
        ("valid", ["a reason", "nothing was returned"], {"sent": 1, "got": 1, "returned": 0}),
        ("unknown", ["a reason", "nothing was sent", "nothing was got"], {"sent": 0}),
        ("invalid", ["a reason", "nothing was sent"], {"sent": 0, "got": 1}),
        ("invalid", ["a reason", "nothing was returned"], {"sent": 1, "got": 1, "returned": 0}),
    ]


def test_ops_that_a_checker_ignored() -> None:
    figures = {"sent": 1, "got": 1, "returned": 1}
    many = [op for number in range(11) for op in operation(1, f"f{number:02}")]
    assert [
        exercise_of(Verdict.VALID, figures, operation(0, "ad", None, "invoke")),
        exercise_of(
            Verdict.VALID,
            figures,
            operation(1, "b"),
            operation(1, "a"),
            many,
            operation(1, "b" * 100),
            operation(2, "b"),
        ),
        exercise_of(Verdict.VALID, figures, operation(NEMESIS, "enqueue", 1, "info")),
        exercise_of(
            Verdict.VALID,
            figures,
            operation(NO_PROCESS, "dequeue", 1),
            operation(NEMESIS, "start", 1),
        ),
    ] == [
        (
            "unknown",
            [
                "a reason",
                "1 op is not understood, because the workload has no such operation: 'ad'",
            ],
            {"sent": 1, "got": 1, "returned": 1},
        ),
        (
            "unknown",
            [
                "a reason",
                "30 ops are not understood, because the workload has no such operation: "
                "'a', 'b', 'f00', 'f01', 'f02', 'f03', 'f04', 'f05', 'f06' and 'f07' "
                "and 4 more names",
            ],
            {"sent": 1, "got": 1, "returned": 1},
        ),
        (
            "unknown",
            ["a reason", "1 op is recorded without a process: 'enqueue'"],
            {"sent": 1, "got": 1, "returned": 1},
        ),
        (
            "unknown",
            ["a reason", "4 ops are recorded without a process: 'dequeue' and 'start'"],
            {"sent": 1, "got": 1, "returned": 1},
        ),
    ]


def test_statistics() -> None:
    assert whole(
        stats,
        operation(1, "enqueue", 1, node="n1"),
        operation(2, "enqueue", 1, "invoke", "info"),
        operation(1, "dequeue", 1, "invoke", "fail", node="n2"),
        operation(NEMESIS, "start", 1),
        operation(1, "enqueue", 2, node="n1"),
        operation(3, "enqueue", 2, node="n2"),
    ) == (
        "valid",
        [],
        {
            "by-f": {
                "dequeue": {"n2": {"invoke": 1, "ok": 0, "fail": 1, "info": 0}},
                "enqueue": {
                    "-": {"invoke": 1, "ok": 0, "fail": 0, "info": 1},
                    "n1": {"invoke": 2, "ok": 2, "fail": 0, "info": 0},
                    "n2": {"invoke": 1, "ok": 1, "fail": 0, "info": 0},
                },
            }
        },
    )
    assert whole(stats) == ("valid", [], {"by-f": {}})


def failed(
    second: float,
    error: str | None,
    f: str = "enqueue",
    node: str | None = "n1",
    type_: Any = "fail",
    process: int = 1,
) -> list[Op]:
    return [Op(type_, f, process=process, time=int(second * SECOND), node=node, error=error)]


def test_errors() -> None:
    assert whole(
        exceptions,
        failed(9.0004, "port 12 of 5: reset"),
        failed(2.50049, "port 12 of 7: reset", node="n2"),
        failed(3, "port 12 of 9: reset", node="n2"),
        failed(6, None),
        failed(4, "port 12 of 7: reset", node=None),
        failed(5, "port 12 of 7: reset", f="dequeue", type_="info"),
        failed(1, "refused"),
        failed(0.5, "timeout 3"),
        failed(0.7, "timeout 3"),
        failed(6, None),
        failed(7, "not an error", type_="ok"),
        failed(8, "of the nemesis", process=NEMESIS),
    ) == (
        "valid",
        [],
        {
            "error-count": 8,
            "different-count": 4,
            "errors": [
                {
                    "f": "enqueue",
                    "error": "port 12 of N: reset",
                    "count": 4,
                    "first": 2.5,
                    "nodes": {"-": 1, "n1": 1, "n2": 2},
                },
                {
                    "f": "enqueue",
                    "error": "timeout 3",
                    "count": 2,
                    "first": 0.5,
                    "nodes": {"n1": 2},
                },
                {"f": "enqueue", "error": "refused", "count": 1, "first": 1.0, "nodes": {"n1": 1}},
                {
                    "f": "dequeue",
                    "error": "port 12 of 7: reset",
                    "count": 1,
                    "first": 5.0,
                    "nodes": {"n1": 1},
                },
            ],
        },
    )
    assert whole(exceptions)[2] == {"error-count": 0, "different-count": 0, "errors": []}


def test_a_hundred_different_errors_are_shown() -> None:
    texts = [chr(0x4E00 + number) for number in range(SHOWN + 1)]
    errors = [op for text in texts for op in failed(1, text)]
    figures = whole(exceptions, errors)[2]
    assert (figures["error-count"], figures["different-count"]) == (SHOWN + 1, SHOWN + 1)
    assert [error["error"] for error in figures["errors"]] == texts[:SHOWN]


def test_recoveries() -> None:
    assert [
        whole(recovery),
        whole(recovery, [recovery_record(5)]),
        whole(
            recovery,
            [
                recovery_record(5, restarted=["n9"]),
                recovery_record(6, deadline=90.5, restarted=["n2", "n1"]),
            ],
        ),
        whole(recovery, [recovery_record(5, troubles={"n2": "is down", "n1": "has an alarm"})]),
    ] == [
        ("unknown", ["the run ended before the cluster was observed to recover"], {}),
        ("valid", [], {"seconds": 3.0, "restarted": [], "troubles": {}}),
        (
            "valid",
            [
                "n2 did not come back by itself within 90.5 s of the healing, and was restarted",
                "n1 did not come back by itself within 90.5 s of the healing, and was restarted",
            ],
            {"seconds": 3.0, "restarted": ["n2", "n1"], "troubles": {}},
        ),
        (
            "unknown",
            ["the cluster did not recover: n1 has an alarm; n2 is down"],
            {"seconds": 3.0, "restarted": [], "troubles": {"n2": "is down", "n1": "has an alarm"}},
        ),
    ]


HISTORY = [*operation(1, "enqueue", 1, node="n1"), *operation(1, "enqueue", 1, node="n2")]


def logs_of(logs: dict[str, list[str]], **options: Any) -> Any:
    def judge(history: History) -> Result:
        return broker_logs(history, logs=logs, **options)

    return whole(judge, HISTORY)


def test_logs_with_lines_of_each_pattern() -> None:
    long_line = "x" * 5 + "[error] " + "y" * LINE_CHARACTERS
    assert logs_of(
        {
            "n2": ["  [error] first  ", "** Reason for termination", "crasher: x", long_line],
            "n1": [
                "Autoheal request",
                "nothing",
                "pause_minority",
                "resource limit alarm set",
                "inconsistent_database",
                "running_partitioned_network",
                "CRASH REPORT",
            ],
            "n3": [],
        }
    ) == (
        "valid",
        [],
        {
            "line-counts": {"n1": 7, "n2": 4, "n3": 0},
            "counts": {
                "crash-reports": 3,
                "errors": 2,
                "partitions": 2,
                "autoheal": 1,
                "pauses": 1,
                "alarms": 1,
            },
            "given-up": [],
            "by-node": {
                "n1": {
                    "autoheal": {"count": 1, "first": "Autoheal request"},
                    "pauses": {"count": 1, "first": "pause_minority"},
                    "alarms": {"count": 1, "first": "resource limit alarm set"},
                    "partitions": {"count": 2, "first": "inconsistent_database"},
                    "crash-reports": {"count": 1, "first": "CRASH REPORT"},
                },
                "n2": {
                    "errors": {"count": 2, "first": "[error] first"},
                    "crash-reports": {"count": 2, "first": "** Reason for termination"},
                },
                "n3": {},
            },
        },
    )


def test_a_line_is_shown_up_to_its_limit() -> None:
    line = "[error]" + "z" * LINE_CHARACTERS
    by_node = logs_of({"n1": [line]})[2]["by-node"]
    assert by_node == {"n1": {"errors": {"count": 1, "first": line[:LINE_CHARACTERS]}}}


def test_forbidden_patterns() -> None:
    assert [
        logs_of(
            {"n1": ["bad a", "bad b", "odd"], "n2": ["bad c"]},
            patterns={"mine": "bad", "other": "odd"},
            forbidden=["mine"],
        ),
        logs_of({"n1": ["good"]}, patterns={"mine": "bad"}, forbidden=["mine"]),
        logs_of(
            {"n1": ["good"], "n2": ["good"], "n3": []},
            forbidden=["errors"],
            incomplete={"n2": "it was rotated", "n1": "it was cut"},
        ),
        logs_of({"n1": ["good"], "n2": ["good"]}, forbidden=["errors"]),
        logs_of({"n1": ["good"]}, incomplete={"n2": "it was rotated"}),
    ] == [
        (
            "invalid",
            [
                "the log of n1 has 2 lines with the forbidden pattern mine; the first is: bad a",
                "the log of n2 has 1 line with the forbidden pattern mine; the first is: bad c",
            ],
            {
                "line-counts": {"n1": 3, "n2": 1},
                "counts": {
                    "crash-reports": 0,
                    "errors": 0,
                    "partitions": 0,
                    "autoheal": 0,
                    "pauses": 0,
                    "alarms": 0,
                    "mine": 3,
                    "other": 1,
                },
                "given-up": [],
                "by-node": {
                    "n1": {
                        "mine": {"count": 2, "first": "bad a"},
                        "other": {"count": 1, "first": "odd"},
                    },
                    "n2": {"mine": {"count": 1, "first": "bad c"}},
                },
            },
        ),
        (
            "unknown",
            ["there is no log of n2 in which to search for forbidden patterns"],
            {
                "line-counts": {"n1": 1},
                "counts": {
                    "crash-reports": 0,
                    "errors": 0,
                    "partitions": 0,
                    "autoheal": 0,
                    "pauses": 0,
                    "alarms": 0,
                    "mine": 0,
                },
                "given-up": [],
                "by-node": {"n1": {}},
            },
        ),
        (
            "unknown",
            [
                "there is no log of n3 in which to search for forbidden patterns",
                "forbidden patterns cannot be excluded on n1: it was cut",
                "forbidden patterns cannot be excluded on n2: it was rotated",
            ],
            {
                "line-counts": {"n1": 1, "n2": 1, "n3": 0},
                "counts": {
                    "crash-reports": 0,
                    "errors": 0,
                    "partitions": 0,
                    "autoheal": 0,
                    "pauses": 0,
                    "alarms": 0,
                },
                "given-up": [],
                "by-node": {"n1": {}, "n2": {}, "n3": {}},
            },
        ),
        (
            "valid",
            [],
            {
                "line-counts": {"n1": 1, "n2": 1},
                "counts": {
                    "crash-reports": 0,
                    "errors": 0,
                    "partitions": 0,
                    "autoheal": 0,
                    "pauses": 0,
                    "alarms": 0,
                },
                "given-up": [],
                "by-node": {"n1": {}, "n2": {}},
            },
        ),
        (
            "valid",
            [],
            {
                "line-counts": {"n1": 1},
                "counts": {
                    "crash-reports": 0,
                    "errors": 0,
                    "partitions": 0,
                    "autoheal": 0,
                    "pauses": 0,
                    "alarms": 0,
                },
                "given-up": [],
                "by-node": {"n1": {}},
            },
        ),
    ]


def test_patterns_that_take_too_long() -> None:
    times = count(0, 31)
    assert logs_of(
        {"n1": ["a bad"] * 4, "n2": ["a"]},
        patterns={"mine": "bad"},
        forbidden=["mine"],
        clock=lambda: next(times),
    )[1] == [
        "the log of n1 has 2 lines with the forbidden pattern mine; the first is: a bad",
        "the forbidden pattern mine took too long and was given up",
    ]


def test_a_pattern_may_take_exactly_its_time() -> None:
    times = count(0, 30)
    logs = {"n1": ["bad"] * 4, "n2": ["bad"]}
    by_node = logs_of(logs, patterns={"mine": "bad"}, clock=lambda: next(times))[2]["by-node"]
    assert by_node == {"n1": {"mine": {"count": 3, "first": "bad"}}, "n2": {}}


def test_forms_of_a_line() -> None:
    assert [
        list(forms(line))
        for line in (
            "2024 [error] <0.1> text",
            "2024 [erro] text",
            "2024 [ERROR] [INFO] text",
            "[warn] x",
            '{"time":"t","level":"error","pid":"<0.1>","msg":"m"}',
            '{"severity":"warn","msg":"m"}',
            '{"a":1}',
            "{no json",
            "[1]",
            '{"level":"info"}',
        )
    ] == [
        ["2024 [error] <0.1> text"],
        ["2024 [erro] text", "2024 [error] text"],
        ["2024 [ERROR] [INFO] text", "2024 [error] [INFO] text"],
        ["[warn] x", "[warning] x"],
        ['{"time":"t","level":"error","pid":"<0.1>","msg":"m"}', "t [error] <0.1> m"],
        ['{"severity":"warn","msg":"m"}', " [warning]  m"],
        ['{"a":1}', " []  "],
        ["{no json"],
        ["[1]"],
        ['{"level":"info"}', " [info]  "],
    ]


def checked(
    *parts: list[Op], complete: bool = True, damage: str | None = None, doubts: tuple[str, ...] = ()
) -> Any:
    def crashing(_: History) -> Result:
        raise ValueError("no such value")

    def judging(history: History) -> Result:
        return Result(Verdict.INVALID, ("a loss",), {"lost-count": 1 + history.count("ok", "x")})

    history = from_ops([op for part in parts for op in part], complete=complete)
    history.damage, history.doubts = damage, doubts
    return check(history, {"one": judging, "two": crashing}).as_data(), check(
        history, {"one": judging}
    ).as_data()


def test_results_of_all_checkers() -> None:
    interrupts = [
        Op("info", "interrupt", process=NEMESIS, error="SIGINT"),
        Op("info", "interrupt", process=NEMESIS),
    ]
    assert [
        checked(),
        checked(interrupts, complete=False),
        checked(damage="bytes changed", complete=False),
        checked(doubts=("line 7 has no f",)),
    ] == [
        (
            {
                "verdict": "invalid",
                "reasons": ["a loss", "the checker two crashed: ValueError: no such value"],
                "checkers": {
                    "history": {"verdict": "valid"},
                    "one": {"verdict": "invalid", "lost-count": 1},
                    "two": {"verdict": "unknown"},
                },
            },
            {
                "verdict": "invalid",
                "reasons": ["a loss"],
                "checkers": {
                    "history": {"verdict": "valid"},
                    "one": {"verdict": "invalid", "lost-count": 1},
                },
            },
        ),
        (
            {
                "verdict": "invalid",
                "reasons": [
                    "the run was ended early: SIGINT",
                    "the run was ended early: interrupted",
                    "the history is cut short: its writer ended before it closed the file",
                    "a loss",
                    "the checker two crashed: ValueError: no such value",
                ],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "invalid", "lost-count": 1},
                    "two": {"verdict": "unknown"},
                },
            },
            {
                "verdict": "invalid",
                "reasons": [
                    "the run was ended early: SIGINT",
                    "the run was ended early: interrupted",
                    "the history is cut short: its writer ended before it closed the file",
                    "a loss",
                ],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "invalid", "lost-count": 1},
                },
            },
        ),
        (
            {
                "verdict": "unknown",
                "reasons": [
                    "the history is damaged, so no verdict can rest on it: bytes changed",
                    "a loss",
                    "the checker two crashed: ValueError: no such value",
                ],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "unknown", "lost-count": 1},
                    "two": {"verdict": "unknown"},
                },
            },
            {
                "verdict": "unknown",
                "reasons": [
                    "the history is damaged, so no verdict can rest on it: bytes changed",
                    "a loss",
                ],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "unknown", "lost-count": 1},
                },
            },
        ),
        (
            {
                "verdict": "unknown",
                "reasons": [
                    "the history was not understood: line 7 has no f",
                    "a loss",
                    "the checker two crashed: ValueError: no such value",
                ],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "unknown", "lost-count": 1},
                    "two": {"verdict": "unknown"},
                },
            },
            {
                "verdict": "unknown",
                "reasons": ["the history was not understood: line 7 has no f", "a loss"],
                "checkers": {
                    "history": {"verdict": "unknown"},
                    "one": {"verdict": "unknown", "lost-count": 1},
                },
            },
        ),
    ]
    assert check(from_ops([]), {}).as_data() == {
        "verdict": "valid",
        "reasons": [],
        "checkers": {"history": {"verdict": "valid"}},
    }
    assert [verdict.exit_status for verdict in Verdict] == [0, 1, 2]
    assert worst() is Verdict.UNKNOWN
