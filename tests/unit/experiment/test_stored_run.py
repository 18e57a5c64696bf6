"""A report is made of whatever a run has stored, and names what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import UsageError
from jepsenvm.experiment import stored_run
from jepsenvm.experiment.environment import read_environment
from jepsenvm.experiment.outputs import write_report, write_results
from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, PLAN, REPORT, RESULTS, Store
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History
from jepsenvm.report.html import page
from tests.report_runs import BEGAN, synthetic_ops, write_run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(
        tmp_path_factory.mktemp("runs") / "demo" / "TIME", synthetic_ops(lossy=True, rate=4)
    )
    write_results(Store(folder), load_run(folder).results)
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "demo" / "TIME"))


def test_a_whole_run_misses_nothing(run: Path) -> None:
    loaded = load_run(run)
    assert loaded.missing == []
    assert loaded.title == "demo TIME"
    assert loaded.results.verdict is Verdict.INVALID
    assert loaded.settings == {
        "RabbitMQ": "3.10.8",
        "queue type": "mirrored",
        "partition handling": "autoheal",
    }
    assert loaded.began == BEGAN
    assert loaded.environment["Seed"] == "3"
    assert loaded.nodes["n1"]["RabbitMQ"] == "3.10.8"
    text = page(loaded)
    assert "What is missing" not in text
    assert "Partial partition detected: &lt;b&gt;not markup&lt;/b&gt;" in text


def test_the_history_is_opened_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def noting(path: Path) -> History:
        opened.append(path)
        return open_history(path)

    monkeypatch.setattr(stored_run, "open_history", noting)
    for path in (run, run / HISTORY):
        assert load_run(path).results.verdict is Verdict.INVALID
    assert opened == [run / HISTORY, run / HISTORY]


def remove(*names: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        for name in names:
            (run / name).unlink()

    return damage


def cut(run: Path) -> None:
    content = (run / HISTORY).read_bytes()
    (run / HISTORY).write_bytes(content[: len(content) * 2 // 3])


def flip(run: Path) -> None:
    content = bytearray((run / HISTORY).read_bytes())
    content[len(content) // 2] ^= 1
    (run / HISTORY).write_bytes(content)


def write(name: str, text: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / name).write_text(text)

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence", "verdict"),
    [
        (remove(HISTORY), "There is no history.arrow", "unknown"),
        (remove(PLAN), "", "invalid"),
        (remove(RESULTS), "There is no results.json", "invalid"),
        (remove(RESUME), "There is no resume.json", "invalid"),
        (remove(ENVIRONMENT), "There is no environment.json", "invalid"),
        (cut, "still going on, or it ended before history.arrow was complete", "unknown"),
        (flip, "The history is damaged", "unknown"),
        (write(HISTORY, "no arrow"), "The history cannot be read", "unknown"),
        (write(PLAN, "workload: 7"), "The plan cannot be read", "unknown"),
        (write(RESULTS, "{"), "results.json cannot be read", "invalid"),
        (write(RESULTS, '{"verdict": "valid"}'), "results.json says valid", "invalid"),
        (write(ENVIRONMENT, "[1"), "There is no environment.json", "invalid"),
        (lambda run: shutil.rmtree(run / "nodes"), "no logs of the brokers", "invalid"),
    ],
)
def test_each_missing_part_is_named(
    run: Path, damage: Callable[[Path], None], sentence: str, verdict: str
) -> None:
    damage(run)
    loaded = load_run(run)
    assert str(loaded.results.verdict) == verdict
    assert any(sentence in missing for missing in loaded.missing) or not sentence
    text = page(loaded)
    assert verdict.upper() in text
    assert "could not be made" not in text


def test_only_a_plan_is_left(tmp_path: Path, whole: Path) -> None:
    shutil.copy(whole / PLAN, tmp_path / PLAN)
    loaded = load_run(tmp_path)
    assert len(loaded.missing) == 4
    assert loaded.results.verdict is Verdict.UNKNOWN
    assert "This run does not show" in page(loaded)


def test_a_history_of_another_program_has_a_report(tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        "{:type :invoke, :f :enqueue, :value 1, :process 0, :time 1}\n"
        "{:type :ok, :f :enqueue, :value 1, :process 0, :time 2000000000}\n"
        "{:type :invoke, :f :drain, :process 1, :time 3000000000}\n"
        "{:type :ok, :f :drain, :value #{}, :process 1, :time 4000000000}\n"
    )
    for path in (file, tmp_path):
        loaded = load_run(path)
        assert loaded.results.verdict is Verdict.INVALID
        assert any("There is no plan.yml" in missing for missing in loaded.missing)
        assert "lost 1 of the 1 messages" in page(loaded)


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run"):
        load_run(tmp_path / "missing")


def test_the_report_of_a_run_that_ends_has_its_verdict(run: Path) -> None:
    results = load_run(run).results
    write_report(Store(run), results)
    assert "The cluster lost" in (run / REPORT).read_text(encoding="utf-8")


def test_a_damaged_environment_has_no_facts(run: Path) -> None:
    for text in ("[]", "{", '{"nodes": [1]}', '{"nodes": {"n1": 3}}'):
        (run / ENVIRONMENT).write_text(text)
        assert page(load_run(run))
    (run / ENVIRONMENT).write_text(json.dumps([1]))
    assert read_environment(run) is None
