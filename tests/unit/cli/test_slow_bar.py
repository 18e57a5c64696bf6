"""The progress bar of slow work in a pseudo-terminal, and what other outputs get."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.terminal import HIDE_CURSOR, Terminal

DEADLINE_S: Final = 900.0

COUNT: Final = "1,002 of 4,000"
"""What the bar shows of the work."""

PROGRAM: Final = """
import sys, time
from pathlib import Path
from jepsenvm import steps
from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.cli import check, main, slow_bar
from jepsenvm.experiment.analysis import Analysis
from jepsenvm.experiment.run_analysis import presentation_of
from jepsenvm.workloads.registry import WORKLOADS

how = sys.argv.pop(1)
slow_bar.AFTER_S = 600.0 if how == "quick" else 0.0

def judge(*_, **__):
    steps.report("checking [b]2", 1002, 4000)
    while not Path("enough").exists():
        time.sleep(0.1)
    return Analysis(Results(Verdict.INVALID, ("because",), {}), presentation_of(WORKLOADS["queue"]))

check.judge = judge
main.main()
"""


def terminal(
    folder: Path,
    how: str,
    *,
    stdout: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Terminal:
    argv = [sys.executable, "-c", PROGRAM, how, "check", "RUN"]
    variables = {"PYTHONPATH": str(Path(__file__).parents[3]), **(environment or {})}
    return Terminal(argv, folder=folder, environment=variables, stdout=stdout)


def test_slow_work_gets_a_bar_that_is_gone_at_its_end(tmp_path: Path) -> None:
    shown = terminal(tmp_path, "slow")
    assert shown.read_until(lambda text: COUNT in text, DEADLINE_S), shown.text
    (tmp_path / "enough").touch()
    assert shown.ended(DEADLINE_S) == 1, shown.text
    assert "checking [b]2" in shown.text
    assert shown.is_restored
    assert shown.text.rstrip().endswith("because")


def test_quick_work_gets_none(tmp_path: Path) -> None:
    (tmp_path / "enough").touch()
    shown = terminal(tmp_path, "quick")
    assert shown.ended(DEADLINE_S) == 1
    assert "\x1b" not in shown.text
    assert "INVALID" in shown.text


def test_the_result_goes_to_stdout_and_the_bar_to_the_terminal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = terminal(tmp_path, "slow", stdout=out)
    assert shown.read_until(lambda text: COUNT in text, DEADLINE_S), shown.text
    (tmp_path / "enough").touch()
    assert shown.ended(DEADLINE_S) == 1
    assert out.read_text() == "INVALID\n  because\n"


def test_ctrl_c_restores_the_terminal(tmp_path: Path) -> None:
    shown = terminal(tmp_path, "slow")
    assert shown.read_until(lambda text: COUNT in text, DEADLINE_S), shown.text
    shown.signal(signal.SIGINT)
    assert shown.ended(DEADLINE_S) == 255
    assert HIDE_CURSOR in shown.text
    assert shown.is_restored


@pytest.mark.parametrize("variable", ["TERM=dumb", "CI=1"])
def test_where_nothing_can_move_there_is_no_bar(tmp_path: Path, variable: str) -> None:
    (tmp_path / "enough").touch()
    name, value = variable.split("=")
    shown = terminal(tmp_path, "slow", environment={name: value})
    assert shown.ended(DEADLINE_S) == 1
    assert shown.text.replace("\r\n", "\n") == "INVALID\n  because\n"
