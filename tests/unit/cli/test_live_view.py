"""The live view in a pseudo-terminal: it moves, and every end of the command restores the terminal.

The run is a fake that sends events. Everything else is the real command line.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.terminal import HIDE_CURSOR, SHOW_CURSOR, Terminal

DEADLINE_S: Final = 900.0
"""Seconds for anything here. A busy machine takes long to start Python."""

PROGRAM: Final = """
import logging, sys, time
from pathlib import Path
from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.cli import main, run
from jepsenvm.errors import RunError
from jepsenvm.experiment.run_events import LoadFigures, PhaseBegan, RunBegan
from jepsenvm.steps import MOVING
from jepsenvm.workloads.clients import ClientCounts
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.figures import NodeFigures

end = sys.argv.pop(1)

def fake(plan, inventory, store, watch, *, may_deploy):
    logging.getLogger("jepsenvm").info("n1 sent 1", extra=MOVING)
    for _ in range(5):
        log_connection("n1: connection lost", "reset")
    if watch is None:
        return Results(Verdict.INVALID, ("because",), {})
    watch(RunBegan("queue, quorum", ["n1"]))
    watch(PhaseBegan("load", 500.0))
    number = 0
    while not Path("enough").exists():
        number += 1
        watch(LoadFigures({"n1": NodeFigures(ClientCounts(1, 0), {40: number * 50})}))
        time.sleep(0.2)
    if end == "error":
        raise RunError("it broke", node="n1")
    if end == "crash":
        raise ValueError("a bug")
    return Results(Verdict.INVALID, ("because",), {})

run.run_experiment = fake
run.inventory_for = lambda *_, **__: None
main.main()
"""


HERE: Final = str(Path(__file__).parents[3])


def terminal(folder: Path, end: str, **environment: str) -> Terminal:
    argv = [sys.executable, "-c", PROGRAM, end, "run"]
    return Terminal(argv, folder=folder, environment={"PYTHONPATH": HERE, **environment})


def rates(text: str) -> set[str]:
    """Return the rates of n1 that were shown."""
    return set(re.findall(r"1 of 1 +([0-9,]+) ", text))


def watch_until_it_moves(shown: Terminal, folder: Path) -> None:
    """Read until the rate of n1 has changed, and let the run end then."""
    assert shown.read_until(lambda text: len(rates(text)) >= 2, DEADLINE_S), shown.text
    (folder / "enough").touch()


def test_the_view_moves_and_is_gone_at_the_end(tmp_path: Path) -> None:
    shown = terminal(tmp_path, "verdict")
    watch_until_it_moves(shown, tmp_path)
    assert shown.ended(DEADLINE_S) == 1, shown.text
    assert shown.is_restored
    moving, _, after = shown.text.rpartition(SHOW_CURSOR)
    assert HIDE_CURSOR in moving
    assert "serving" in moving
    assert re.search(r"load [0-9 mins]+, [0-9 mins]+ left", moving)
    assert "n1 sent 1" not in shown.text
    # The lines of the run stand above the view, and repeats are summarised.
    assert shown.text.count("n1: connection lost: reset") == 1
    assert "n1: connection lost 4 more times" in shown.text
    assert "INVALID" in shown.text
    assert "serving" not in after


def test_the_view_moves_on_stderr_while_stdout_gets_json(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, "verdict", "run", "--json"]
    out, environment = tmp_path / "out.json", {"PYTHONPATH": HERE}
    shown = Terminal(argv, folder=tmp_path, environment=environment, stdout=out)
    watch_until_it_moves(shown, tmp_path)
    assert shown.ended(DEADLINE_S) == 1, shown.text
    assert json.loads(out.read_text())["verdict"] == "invalid"
    assert shown.is_restored


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal(tmp_path: Path, number: signal.Signals) -> None:
    shown = terminal(tmp_path, "signal")
    assert shown.read_until(lambda text: bool(rates(text)), DEADLINE_S), shown.text
    shown.signal(number)
    assert shown.ended(DEADLINE_S) == 255
    assert HIDE_CURSOR in shown.text
    assert shown.is_restored
    assert shown.text.rstrip().endswith("jepsenvm: interrupted")


@pytest.mark.parametrize(
    ("end", "line"),
    [("error", "jepsenvm: n1: it broke"), ("crash", "jepsenvm: crashed: ValueError")],
)
def test_an_error_restores_the_terminal(tmp_path: Path, end: str, line: str) -> None:
    shown = terminal(tmp_path, end)
    watch_until_it_moves(shown, tmp_path)
    assert shown.ended(DEADLINE_S) == 255
    assert HIDE_CURSOR in shown.text
    assert shown.is_restored
    assert line in shown.text.rpartition(SHOW_CURSOR)[2]


@pytest.mark.parametrize("variable", ["TERM=dumb", "CI=true"])
def test_where_nothing_can_move_lines_are_plain(tmp_path: Path, variable: str) -> None:
    name, value = variable.split("=")
    shown = terminal(tmp_path, "verdict", **{name: value})
    assert shown.ended(DEADLINE_S) == 1, shown.text
    assert "\x1b" not in shown.text
    assert "n1 sent 1" in shown.text
    assert "n1: connection lost 4 more times" in shown.text
    assert "INVALID" in shown.text
