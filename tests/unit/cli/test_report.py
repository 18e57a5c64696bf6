"""jepsenvm report, jepsenvm plot and jepsenvm explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepsenvm.experiment.store import HISTORY, REPORT
from tests.report_runs import synthetic_ops, write_run
from tests.unit.cli.conftest import Jepsenvm, assert_one_line, json_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "TIME"
    return write_run(folder, synthetic_ops(lossy=True, rate=2))


def test_the_report_is_written_again(jepsenvm: Jepsenvm, run: Path) -> None:
    (run / REPORT).write_text("old")
    result = jepsenvm("report", run)
    assert result.exit_code == 0
    assert result.stdout == f"{run / REPORT}\n"
    assert "There is no results.json" in result.stderr
    assert "The cluster lost" in (run / REPORT).read_text(encoding="utf-8")


def test_the_report_of_a_history_file_is_next_to_it(
    jepsenvm: Jepsenvm, run: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.arrow"
    moved.write_bytes((run / HISTORY).read_bytes())
    result = jepsenvm("report", moved)
    assert result.stdout == f"{tmp_path / 'moved.report.html'}\n"
    output = tmp_path / "other.html"
    assert jepsenvm("report", moved, "-o", output).exit_code == 0
    assert output.exists()


def test_a_report_that_cannot_be_written_leaves_nothing(
    jepsenvm: Jepsenvm, run: Path, tmp_path: Path
) -> None:
    target = tmp_path / "missing" / "x.html"
    assert_one_line(jepsenvm("report", run, "-o", target), 255, "-o", "No such file")
    assert_one_line(jepsenvm("report", tmp_path / "none"), 254, "no such run")


@pytest.mark.parametrize(("format_", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plots_are_written(
    jepsenvm: Jepsenvm, run: Path, tmp_path: Path, format_: str, begins: bytes
) -> None:
    result = jepsenvm("plot", run, "--format", format_, "-o", tmp_path / "new")
    assert result.exit_code == 0
    files = [Path(line) for line in result.stdout.splitlines()]
    assert files == [
        tmp_path / "new" / f"{name}.{format_}"
        for name in ("rate-enqueue", "latency-enqueue", "rate-dequeue", "lost")
    ]
    assert all(file.read_bytes().startswith(begins) for file in files)


def test_plots_of_a_run_are_in_its_folder(jepsenvm: Jepsenvm, run: Path) -> None:
    assert jepsenvm("plot", run).exit_code == 0
    assert (run / "plots" / "lost.png").exists()


def test_plots_that_cannot_be_made_are_one_line(
    jepsenvm: Jepsenvm, run: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert_one_line(jepsenvm("plot", empty), 254, "nothing to plot")
    (tmp_path / "file").write_text("")
    assert_one_line(jepsenvm("plot", run, "-o", tmp_path / "file" / "x"), 255, "-o")


def test_lost_messages_are_explained(jepsenvm: Jepsenvm, run: Path) -> None:
    result = jepsenvm("explain", run, "--lost", "--limit", "2")
    assert result.exit_code == 0
    assert result.stdout.count("counts as lost: ") == 2
    assert "--limit shows more" in result.stderr
    value = result.stdout.split()[0]
    assert jepsenvm("explain", run, value).stdout == result.stdout.partition("\n\n")[0] + "\n"


def test_lives_are_printed_as_json(jepsenvm: Jepsenvm, run: Path) -> None:
    (life,) = json.loads(jepsenvm("explain", run, "0", "--json").stdout)
    assert life["value"] == 0
    assert life["counts-as"] == ["delivered"]
    assert {"op", "drain"} <= {event["source"] for event in life["events"]}


def test_a_kind_without_messages(jepsenvm: Jepsenvm, run: Path) -> None:
    result = jepsenvm("explain", run, "--duplicated")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no message is duplicated" in result.stderr


@pytest.mark.parametrize("words", [(), ("1", "--lost")])
def test_either_a_value_or_a_kind_is_needed(
    jepsenvm: Jepsenvm, run: Path, words: tuple[str, ...]
) -> None:
    assert_one_line(jepsenvm("explain", run, *words), 254, "VALUE, --lost or --duplicated")


def test_a_value_that_is_no_edn_is_refused(jepsenvm: Jepsenvm, run: Path) -> None:
    assert_one_line(jepsenvm("explain", run, "["), 254, "VALUE")


def test_json(jepsenvm: Jepsenvm, run: Path, tmp_path: Path) -> None:
    data = json_of(jepsenvm("report", run, "--json"), "report")
    assert (data["report"], data["verdict"]) == (str(run / REPORT), "invalid")
    assert any("There is no results.json" in sentence for sentence in data["missing"])
    files = json_of(jepsenvm("plot", run, "-o", tmp_path, "--json"), "plot")["files"]
    assert files
    assert all(Path(file).is_file() for file in files)
    lives = json_of(jepsenvm("explain", run, "--lost", "--limit", 1, "--json"), "explain")
    assert lives[0]["counts-as"] == ["lost"]
    assert json_of(jepsenvm("check", run, "--json"), "check", 1)["verdict"] == "invalid"
    output = tmp_path / "h.edn"
    data = json_of(jepsenvm("export", run, "--format", "edn", "-o", output, "--json"), "export")
    assert data == {"file": str(output), "format": "edn", "complete": True}
    refused = jepsenvm("export", run, "--format", "edn", "-o", "-", "--json")
    assert_one_line(refused, 254, "--json: stdout has the history")
