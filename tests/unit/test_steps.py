"""Steps of work: who hears them, and what the slow commands report."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from jepsenvm import steps
from jepsenvm.experiment.judge import judge
from jepsenvm.experiment.report_file import make_report
from jepsenvm.history.export import FORMATS
from jepsenvm.history.readers import open_history
from jepsenvm.steps import Step
from tests.report_runs import synthetic_ops, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("demo") / "TIME", synthetic_ops(lossy=True, rate=2))


def test_steps_are_heard_only_while_somebody_listens(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Step] = []
    steps.report("before")
    assert not steps.is_heard()
    with steps.listening(heard.append):
        assert steps.is_heard()
        steps.report("counting", 1, 2)
    steps.report("after")
    assert heard == [Step("counting", 1, 2)]
    assert caplog.records == []  # they are no log records


def test_lines_that_only_say_how_far_some_work_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("jepsenvm").info("5 s", extra=steps.MOVING)
    logging.getLogger("jepsenvm").info("something happened")
    assert list(map(steps.is_still, caplog.records)) == [False, True]


def test_a_check_reports_each_checker(run: Path) -> None:
    heard: list[Step] = []
    with steps.listening(heard.append):
        results = judge(run).results
    names = [name for name in results.checkers if name != "history"]
    assert [step.what for step in heard] == [f"checking {name}" for name in names]
    assert [step.done for step in heard] == list(range(len(names)))
    assert {step.total for step in heard} == {len(names)}


def test_a_report_reports_its_drawing(run: Path, tmp_path: Path) -> None:
    heard: list[Step] = []
    with steps.listening(heard.append):
        make_report(run, tmp_path / "r.html")
    assert heard[-1] == Step("drawing the report")


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_reports_the_written_ops(run: Path, format_: str) -> None:
    history = open_history(run / "history.arrow")
    heard: list[Step] = []
    with steps.listening(heard.append):
        FORMATS[format_](history, io.BytesIO())
    ops = sum(1 for _ in history.ops())
    assert heard[-1] == Step("exporting ops", ops, ops)
    assert [step.done for step in heard] == sorted(step.done for step in heard)
