"""broker-logs: lines that RabbitMQ writes, counted by node; only forbidden patterns are judged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.broker_logs import broker_logs
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.experiment.run_analysis import read_logs
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops

AT = "2026-11-24 07:22:54.170059+00:00"
QUIET = (
    f"{AT} [info] <0.9475.0> accepting AMQP connection <0.10026.0> "
    "(10.0.0.1:44490 -> 10.0.0.2:5672)"
)


def judged(logs: Mapping[str, list[str]], nodes: tuple[str, ...] = (), **more: Any) -> Result:
    history = from_ops(Op("ok", "enqueue", number, node=node) for number, node in enumerate(nodes))
    return broker_logs(history, logs=logs, **more)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (f"{AT} [error] <0.5.0> ** Node rabbit@n5 not responding **", ["errors"]),
        (f"{AT} [error] <0.5.0>   crasher:", ["crash-reports", "errors"]),
        (
            f"{AT} [error] <0.5.0> CRASH REPORT Process <0.5.0> with 1 neighbours crashed",
            ["crash-reports", "errors"],
        ),
        (f"{AT} [error] <0.5.0> ** Reason for termination ==", ["crash-reports", "errors"]),
        ("** Reason for termination ==", ["crash-reports"]),
        (
            f"{AT} [error] <0.5.0> Mnesia(rabbit@n2): ** ERROR ** mnesia_event got "
            "{inconsistent_database, running_partitioned_network, rabbit@n4}",
            ["errors", "partitions"],
        ),
        (f"{AT} [error] <0.5.0> Partial partition detected:", ["errors", "partitions"]),
        (f"{AT} [info] <0.5.0> Autoheal request sent to rabbit@n1", ["autoheal"]),
        (
            f"{AT} [warning] <0.5.0> Cluster minority/secondary status detected - "
            "awaiting recovery",
            ["pauses"],
        ),
        (f"{AT} [error] <0.5.0>  * pause_minority mode enabled", ["errors", "pauses"]),
        (f"{AT} [warning] <0.5.0> memory resource limit alarm set on node rabbit@n1.", ["alarms"]),
        (f"{AT} [warning] <0.5.0> memory resource limit alarm cleared on node rabbit@n1", []),
        (QUIET, []),
        ("", []),
    ],
)
def test_the_patterns_that_a_line_matches(line: str, names: list[str]) -> None:
    result = judged({"n1": [line]})
    assert sorted(result.figures["by-node"]["n1"]) == names
    assert {name for name, count in result.figures["counts"].items() if count} == set(names)
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())


def test_counts_and_first_lines_are_by_node() -> None:
    logs = {"n2": [QUIET, "first [error]\n", "second [error]\n"], "n1": ["[error] " + "x" * 1000]}
    figures = judged(logs).figures
    assert figures["by-node"]["n2"]["errors"] == {"count": 2, "first": "first [error]"}
    assert len(figures["by-node"]["n1"]["errors"]["first"]) == 300
    assert (figures["counts"]["errors"], figures["line-counts"]) == (3, {"n1": 1, "n2": 3})


OOM = {"oom": r"out of \w+"}


def test_a_pattern_of_the_plan_is_counted_without_judging() -> None:
    result = judged({"n1": ["out of memory", "out of luck", "out"]}, patterns=OOM)
    assert (result.verdict, result.figures["counts"]["oom"]) == (Verdict.VALID, 2)


def test_a_forbidden_pattern_makes_a_run_invalid() -> None:
    result = judged(
        {"n1": [QUIET, "out of memory"], "n2": [QUIET]},
        ("n1", "n2"),
        patterns=OOM,
        forbidden=["oom"],
    )
    assert result.verdict is Verdict.INVALID
    assert result.reasons == (
        "the log of n1 has 1 line with the forbidden pattern oom; the first is: out of memory",
    )


def test_a_forbidden_pattern_that_does_not_occur_is_valid() -> None:
    logs = {"n1": [QUIET, "[error] crasher:"], "n2": [QUIET]}
    assert judged(logs, ("n1", "n2"), patterns=OOM, forbidden=["oom"]).verdict is Verdict.VALID


@pytest.mark.parametrize("logs", [{"n1": [QUIET]}, {"n1": [QUIET], "n2": []}, {}])
def test_a_missing_log_is_unknown_if_patterns_are_forbidden(logs: dict[str, list[str]]) -> None:
    result = judged(logs, ("n1", "n2"), patterns=OOM, forbidden=["oom"])
    assert result.verdict is Verdict.UNKNOWN
    assert "n2 in which to search" in result.reasons[-1]
    assert judged(logs, ("n1", "n2"), patterns=OOM).verdict is Verdict.VALID


def test_a_missing_log_does_not_hide_a_violation_in_another_log() -> None:
    result = judged({"n1": ["out of memory"]}, ("n1", "n2"), patterns=OOM, forbidden=["oom"])
    assert (result.verdict, len(result.reasons)) == (Verdict.INVALID, 2)


def test_a_run_without_logs_and_history() -> None:
    assert judged({}).verdict is Verdict.VALID


def test_logs_are_read_from_a_runs_folder(tmp_path: Path) -> None:
    for node, name, content in (
        ("n1", "a.log", b"[error] \xff\nx\n"),
        ("n1", "b.log", b"y"),
        ("n2", "a.txt", b"no"),
    ):
        (tmp_path / node).mkdir(exist_ok=True)
        (tmp_path / node / name).write_bytes(content)
    result = broker_logs(from_ops([]), logs=read_logs(tmp_path))
    assert result.figures["line-counts"] == {"n1": 3, "n2": 0}
    assert result.figures["counts"]["errors"] == 1
    assert read_logs(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-01 10:00:00.000 [error] <0.1.0> Discarding messages",
        "2024-01-01 10:00:00.000 [ERROR] <0.1.0> Discarding messages",
        "2024-01-01 10:00:00.000 [erro] <0.1.0> Discarding messages",
        "2024-01-01 10:00:00.000 [ERR] <0.1.0> Discarding messages",
        '{"time":"10:00","level":"error","msg":"Discarding messages","pid":"<0.1.0>"}',
        '{"level":"ERROR","pid":"<0.1.0>","msg":"Discarding messages"}',
    ],
)
def test_a_pattern_finds_every_format_of_a_log(line: str) -> None:
    result = broker_logs(
        from_ops([]),
        logs={"n1": [line]},
        patterns={"discards": r"\[error\] .*Discarding"},
        forbidden=["discards"],
    )
    assert (result.verdict, result.figures["counts"]["errors"]) == (Verdict.INVALID, 1)


@pytest.mark.parametrize("line", ["{", "{}", "[1]", '{"level": 3, "msg": null}', "{" * 5000])
def test_a_line_that_is_no_log_entry_matches_nothing(line: str) -> None:
    assert broker_logs(from_ops([]), logs={"n1": [line]}).figures["counts"]["errors"] == 0


def test_a_pattern_that_backtracks_for_ever_is_given_up() -> None:
    result = broker_logs(
        from_ops([]),
        logs={"n1": ["a" * 40 + "!", "a"]},
        patterns={"slow": r"(a|a)+$"},
        forbidden=["slow"],
    )
    assert result.verdict is Verdict.UNKNOWN
    assert result.figures["given-up"] == ["slow"]


def test_a_pattern_that_is_slow_on_all_lines_together_is_given_up() -> None:
    result = broker_logs(
        from_ops([]),
        logs={"n1": ["line"] * 10},
        patterns={"slow": "x"},
        forbidden=["slow"],
        clock=iter(range(0, 10**6, 20)).__next__,
    )
    assert (result.verdict, "slow" in result.figures["given-up"]) == (Verdict.UNKNOWN, True)


def test_an_incomplete_log_proves_no_absence() -> None:
    judged = partial(
        broker_logs,
        from_ops([]),
        logs={"n1": ["nothing"]},
        incomplete={"n1": "it was truncated"},
        patterns={"x": "forbidden"},
    )
    assert judged(forbidden=["x"]).verdict is Verdict.UNKNOWN
    assert judged().verdict is Verdict.VALID
