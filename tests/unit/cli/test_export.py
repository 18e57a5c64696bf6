"""jepsenvm export: the files it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.experiment.store import HISTORY
from jepsenvm.history.journal import Journal
from tests.unit.cli.conftest import Jepsenvm, assert_one_line


@pytest.fixture
def run(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / HISTORY, lambda: 5)
    journal.append("invoke", "enqueue", 1, process=0)
    journal.append("ok", "enqueue", 1, process=0)
    journal.close()
    return tmp_path


def test_a_history_is_written_next_to_the_original(jepsenvm: Jepsenvm, run: Path) -> None:
    result = jepsenvm("export", run, "--format", "edn")
    assert result.exit_code == 0
    assert result.stdout == f"{run / 'history.edn'}\n"
    assert (run / "history.edn").read_text().count(":enqueue") == 2


def test_an_existing_file_is_overwritten_only_on_request(jepsenvm: Jepsenvm, run: Path) -> None:
    words = ["export", run, "--format", "jsonl"]
    assert jepsenvm(*words).exit_code == 0
    assert_one_line(jepsenvm(*words), 254, "history.jsonl", "exists already", "--force")
    assert jepsenvm(*words, "--force").exit_code == 0


def test_a_text_format_goes_to_stdout(jepsenvm: Jepsenvm, run: Path) -> None:
    assert jepsenvm("export", run, "--format", "jsonl", "-o", "-").stdout.count("enqueue") == 2


def test_a_store_directory_of_jepsen_is_written(jepsenvm: Jepsenvm, run: Path) -> None:
    words = ["export", run, "--format", "jepsen"]
    result = jepsenvm(*words)
    assert (result.exit_code, result.stdout) == (0, f"{run / 'jepsen'}\n")
    for line in result.stderr.splitlines():
        assert line.startswith("jepsenvm: ")
        assert ".png is not written: " in line
    assert (run / "jepsen" / "results.edn").exists()
    assert jepsenvm("check", run / "jepsen").exit_code == jepsenvm("check", run).exit_code
    assert_one_line(jepsenvm(*words), 254, "jepsen: exists already", "remove it")


def test_a_history_that_is_cut_short_is_reported(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    journal = Journal(tmp_path / HISTORY, lambda: 5)
    journal.append("invoke", "enqueue", 1, process=0)
    journal.flush()
    result = jepsenvm("export", tmp_path, "--format", "edn")
    assert result.exit_code == 0
    assert "the history is cut short" in result.stderr


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["."], ["--format"]),
        ([".", "--format", "xml"], ["--format", "xml", "edn, jsonl, parquet, csv, jepsen"]),
        ([".", "--format", "jepsen", "-o", "-"], ["jepsen is a folder", "-o"]),
        ([".", "--format", "jepsen", "--force"], ["--force overwrites files only"]),
        (["nowhere", "--format", "jepsen"], ["nowhere", "no such history"]),
        (["nowhere", "--format", "edn"], ["nowhere", "no such history"]),
    ],
)
def test_bad_usage_is_refused(jepsenvm: Jepsenvm, words: list[str], texts: list[str]) -> None:
    assert_one_line(jepsenvm("export", *words), 254, *texts)


def test_help_names_the_arguments(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("export", "--help").stdout
    for word in ("PATH", "--format", "--output", "--force", "edn"):
        assert word in text
