"""jepsenvm check: the exit status is the verdict of the history."""

from __future__ import annotations

import gzip
import json
import os
from itertools import count
from pathlib import Path

import pytest

from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.plan.plan import Plan
from tests.unit.cli.conftest import Jepsenvm, assert_one_line, imported_by

SENT = ['{"type": "invoke", "f": "enqueue", "value": 1, "process": 0, "time": 1}']
SENT += [SENT[0].replace("invoke", "ok").replace('"time": 1', '"time": 2')]
READ = ['{"type": "ok", "f": "dequeue", "value": 1, "process": 1, "time": 3}']
DRAINED = ['{"type": "ok", "f": "drain", "value": [], "process": 2, "time": 4}']
IN_DOUBT = ['{"type": "info", "f": "drain", "process": 2, "time": 4, "error": "timeout"}']


def history(tmp_path: Path, lines: list[str]) -> Path:
    file = tmp_path / "history.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("lines", "status", "verdict"),
    [
        ([*SENT, *READ], 0, "VALID: acknowledged 1, drained 1, LOST 0"),
        ([*SENT, *DRAINED], 1, "INVALID: acknowledged 1, drained 0, LOST 1"),
        # Without a drain, the rest of the file may be missing.
        (SENT, 2, "UNKNOWN: acknowledged 1, drained 0, LOST 0"),
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


@pytest.mark.parametrize(
    ("workload", "status", "verdict"),
    [
        ("set", 0, "VALID"),
        ("set-full", 0, "VALID: attempt 2, stable 2, lost 0, stale 1, never-read 0, read 2"),
        ("set-full-linearizable", 1, "INVALID: attempt 2, stable 2, lost 0, stale 1"),
    ],
)
def test_a_set_is_judged_by_its_last_read_or_by_all(
    jepsenvm: Jepsenvm, tmp_path: Path, workload: str, status: int, verdict: str
) -> None:
    file = tmp_path / "history.edn"
    ops = [
        (":add", "1", "1"),
        (":add", "2", "2"),
        (":read", "nil", "[2]"),
        (":read", "nil", "[1 2]"),
    ]
    file.write_text(
        "".join(
            f"{{:type {type_}, :f {f}, :value {value}, :process 0}}\n"
            for f, asked, answered in ops
            for type_, value in ((":invoke", asked), (":ok", answered))
        )
    )
    result = jepsenvm("check", file, "--workload", workload)
    assert (result.exit_code, result.stdout[: len(verdict)]) == (status, verdict)


def test_messages_that_json_lacks_are_printed_as_edn(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        "{:type :invoke, :f :enqueue, :value {a #{2 1}}, :process 0}\n"
        "{:type :ok, :f :enqueue, :value {a #{2 1}}, :process 0}\n"
        "{:type :invoke, :f :drain, :value nil, :process 1}\n"
        "{:type :ok, :f :drain, :value [], :process 1}\n"
    )
    result = jepsenvm("check", file, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["checkers"]["total-queue"]["lost"] == [{"a": "#{1 2}"}]


def test_results_are_printed_as_json(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    result = jepsenvm("check", history(tmp_path, [*SENT, *DRAINED]), "--json")
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


def test_a_history_is_judged_by_its_own_records_wherever_it_is(
    jepsenvm: Jepsenvm, tmp_path: Path
) -> None:
    """A run with a planned fault that was never injected is unknown, in every format."""
    run = tmp_path / "run"
    run.mkdir()
    plan = Plan(nemesis="none").to_yaml()
    (run / PLAN).write_text(plan)
    journal = Journal(run / HISTORY, count().__next__, about={"plan": plan})
    journal.append("info", SCHEDULE, process=NEMESIS, data=[{}])
    for type_ in ("invoke", "ok"):
        journal.append(type_, "enqueue", 1, process=1, node="n1")
    journal.append("invoke", "drain", process=2)
    journal.append("ok", "dequeue", 1, process=3)
    journal.append("ok", "drain", process=2, data={"received": 1})
    journal.close()
    for format_ in ("edn", "jsonl"):
        assert jepsenvm("export", run, "--format", format_).exit_code == 0
    moved = (run / HISTORY).rename(tmp_path / "moved.arrow")
    for path in (moved, run / "history.edn", run / "history.jsonl"):
        result = jepsenvm("check", path)
        assert result.exit_code == 2
        assert "only 0 of 1 planned faults were injected" in result.stdout


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_an_export_that_is_cut_anywhere_is_unknown(
    jepsenvm: Jepsenvm, tmp_path: Path, format_: str
) -> None:
    file = history(tmp_path, [*SENT, *READ, *SENT, *DRAINED])
    export = tmp_path / f"export.{format_}"
    jepsenvm("export", file, "--format", format_, "-o", export)
    whole = export.read_bytes()
    assert jepsenvm("check", export).exit_code == 1
    for size in range(1, len(whole) - 1, 13):
        export.write_bytes(whole[:size])
        assert jepsenvm("check", export).exit_code in (2, 254), size
    lines = whole.splitlines(keepends=True)
    for missing in range(len(lines)):
        export.write_bytes(b"".join(lines[:missing] + lines[missing + 1 :]))
        assert jepsenvm("check", export).exit_code == 2, missing


def test_a_changed_plan_file_does_not_change_the_verdict(
    jepsenvm: Jepsenvm, tmp_path: Path
) -> None:
    plan = Plan(nemesis="none")
    (tmp_path / PLAN).write_text(plan.to_yaml())
    Journal(tmp_path / HISTORY, lambda: 0, about={"plan": plan.to_yaml()}).close()
    before = jepsenvm("check", tmp_path)
    (tmp_path / PLAN).write_text(plan.to_yaml().replace("workload: queue", "workload: lock"))
    after = jepsenvm("check", tmp_path)
    assert after.exit_code == before.exit_code
    assert "plan.yml was changed after the run" in after.stdout


def test_operations_of_another_workload_are_named(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    file = history(tmp_path, ['{"type": "invoke", "f": "acquire", "process": 1}'])
    assert_one_line(jepsenvm("check", file), 254, "'acquire'", "--workload lock")


def test_a_store_directory_of_jepsen_is_judged(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text(
        "{:type :invoke, :f :enqueue, :value 1, :process 0}\n"
        "{:type :ok, :f :enqueue, :value 1, :process 0}\n"
        "{:type :invoke, :f :drain, :process 1}\n"
        "{:type :ok, :f :drain, :value #{1}, :process 1}\n"
    )
    assert jepsenvm("check", tmp_path).exit_code == 0


@pytest.mark.parametrize(
    "name", ["empty", "fifo.edn", "history.txt", "history.edn.gz", "packed.edn", "x" * 300 + ".edn"]
)
def test_what_cannot_be_checked_is_refused_in_one_line(
    jepsenvm: Jepsenvm, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo.edn")
    (tmp_path / "history.txt").write_text("1\t:ok\t:read\t2\n")
    for packed in ("history.edn.gz", "packed.edn"):
        (tmp_path / packed).write_bytes(gzip.compress(b"{}"))
    assert_one_line(jepsenvm("check", tmp_path / name), 254, str(tmp_path))


def test_values_that_a_terminal_cannot_show_are_escaped(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    sent = [line.replace("1,", r'"\ud800\u001b[31m",', 1) for line in SENT]
    result = jepsenvm("check", history(tmp_path, [*sent, *DRAINED]))
    assert result.exit_code == 1
    assert r"first lost: \ud800\x1b[31m" in result.stdout


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


def test_a_check_imports_neither_ssh_nor_the_progress_bar(tmp_path: Path) -> None:
    """They take longer to import than most histories take to check."""
    file = history(tmp_path, [*SENT, *READ])
    status, imported = imported_by("check", str(file))
    assert status == 0
    assert "jepsenvm.experiment.analysis" in imported
    assert not {"fabric", "paramiko", "invoke", "rich"} & imported


def test_a_check_of_another_programs_history_imports_no_plan_and_no_client(tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    file.write_text(REGISTER)
    _, imported = imported_by("check", str(file), "--workload", "register")
    assert "jepsenvm.checkers.register" in imported
    unneeded = {"asyncio", "pika", "pydantic", "ssl", "tenacity", "yaml"}
    unneeded |= {"jepsenvm.nemesis.registry", "jepsenvm.plan.plan", "jepsenvm.workloads.registry"}
    assert not unneeded & imported
