"""jepsenvm check: the exit status is the verdict of the history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.plan.plan import Plan
from tests.unit.cli.conftest import Jepsenvm, assert_one_line

SENT = ['{"type": "invoke", "f": "enqueue", "value": 1, "process": 0, "time": 1}']
SENT += [SENT[0].replace("invoke", "ok").replace('"time": 1', '"time": 2')]
READ = ['{"type": "ok", "f": "dequeue", "value": 1, "process": 1, "time": 3}']
IN_DOUBT = ['{"type": "info", "f": "drain", "process": 2, "time": 4, "error": "timeout"}']


def history(tmp_path: Path, lines: list[str]) -> Path:
    file = tmp_path / "history.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("lines", "status", "verdict"),
    [
        ([*SENT, *READ], 0, "VALID: acknowledged 1, drained 1, LOST 0"),
        (SENT, 1, "INVALID: acknowledged 1, drained 0, LOST 1"),
        ([*SENT, *IN_DOUBT], 2, "UNKNOWN: acknowledged 1"),
    ],
)
def test_the_exit_status_is_the_verdict(
    jepsenvm: Jepsenvm, tmp_path: Path, lines: list[str], status: int, verdict: str
) -> None:
    result = jepsenvm("check", history(tmp_path, lines))
    assert result.exit_code == status
    assert result.stdout.startswith(verdict)
    assert result.stderr == ""


def test_results_are_printed_as_json(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    result = jepsenvm("check", history(tmp_path, SENT), "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["verdict"] == "invalid"
    assert data["checkers"]["total-queue"]["lost-count"] == 1


def test_a_run_is_checked_from_its_folder_or_its_history(
    jepsenvm: Jepsenvm, tmp_path: Path
) -> None:
    (tmp_path / PLAN).write_text(Plan(nemesis="none").to_yaml())
    Journal(tmp_path / HISTORY, lambda: 0).close()
    by_folder = jepsenvm("check", tmp_path)
    assert by_folder.exit_code == 2
    assert jepsenvm("check", tmp_path / HISTORY).stdout == by_folder.stdout


def test_a_missing_file_is_refused(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    assert_one_line(jepsenvm("check", tmp_path / "missing.edn"), 254, "missing.edn", "no such")


def test_an_unknown_workload_is_refused(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    file = history(tmp_path, SENT)
    assert_one_line(jepsenvm("check", file, "--workload", "x"), 254, "--workload", "queue")


def test_help_names_the_arguments(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("check", "--help").stdout
    for word in ("PATH", "--workload", "--json", ".arrow"):
        assert word in text


REGISTER = (
    "{:process 0 :type :invoke :f :read :value nil}\n"
    "{:process 0 :type :ok :f :read :value [0 :a]}\n"
)


@pytest.mark.parametrize(
    ("options", "status"),
    [([], 2), (["--initial", "[0 :a]"], 0), (["--initial", "nil"], 1), (["--initial", "1"], 1)],
)
def test_the_initial_value_of_a_register(
    jepsenvm: Jepsenvm, tmp_path: Path, options: list[str], status: int
) -> None:
    file = tmp_path / "history.edn"
    file.write_text(REGISTER)
    assert jepsenvm("check", file, "--workload", "register", *options).exit_code == status


@pytest.mark.parametrize("options", [["--initial", "["], ["--initial", ""], ["--initial", "1 2"]])
def test_an_initial_value_that_is_no_edn_is_refused(
    jepsenvm: Jepsenvm, tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "history.edn"
    file.write_text(REGISTER)
    result = jepsenvm("check", file, "--workload", "register", *options)
    assert_one_line(result, 254, "--initial")


def test_only_a_register_has_an_initial_value(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    result = jepsenvm("check", history(tmp_path, SENT), "--initial", "0")
    assert_one_line(result, 254, "--workload register")
