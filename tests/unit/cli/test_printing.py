"""Texts of hosts, brokers and histories never control the terminal or forge a line."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from jepsenvm.cli import doctor, fault
from jepsenvm.cli.progress import LOGGER, PlainHandler, shown
from jepsenvm.cli.run_progress import RunProgress
from jepsenvm.errors import RunError
from jepsenvm.experiment.doctor import Finding
from jepsenvm.experiment.manual_fault import FaultStatus
from tests.unit.cli.conftest import Jepsenvm

HOSTILE = "q\x1b[2J\x1b]0;x\x07\u202e\n  VALID\r\x9b1A"
ESCAPED = r"q\x1b[2J\x1b]0;x\x07\u202e\n  VALID\r\x9b1A"


def test_a_line_of_progress() -> None:
    @click.command()
    def command() -> None:
        with shown(PlainHandler()):
            LOGGER.info("queue %s", HOSTILE)

    assert CliRunner().invoke(command).output == f"queue {ESCAPED}\n"


def test_a_line_of_a_run_and_its_log_file(tmp_path: Path) -> None:
    out = io.StringIO()
    progress = RunProgress(Console(file=out, highlight=False, soft_wrap=True, force_terminal=True))
    with progress.shown(), progress.kept_in(tmp_path / "log"):
        LOGGER.info("queue %s [red]markup[/]", HOSTILE)
    logging.raiseExceptions = True
    assert out.getvalue().endswith(f"  queue {ESCAPED} [red]markup[/]\n")
    assert (tmp_path / "log").read_text().endswith(f"Z queue {ESCAPED} [red]markup[/]\n")


def test_an_error(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise RunError(f"failed: {HOSTILE}", node="n1")

    monkeypatch.setattr("jepsenvm.cli.heal.inventory_for", refuse)
    plain = jepsenvm("heal").stderr
    assert plain.startswith("jepsenvm: n1: failed: q\\x1b[2J")
    assert plain.count("\n") == 1
    assert "\x1b" not in plain + jepsenvm("--traceback", "heal").stderr


def test_a_usage_error(jepsenvm: Jepsenvm) -> None:
    output = jepsenvm("run", f"--{HOSTILE}").output
    assert "\x1b" not in output
    assert output.count("\n") == 1


def test_the_findings_of_doctor(monkeypatch: pytest.MonkeyPatch, jepsenvm: Jepsenvm) -> None:
    monkeypatch.setattr(doctor, "machine_findings", lambda: [Finding("this machine", HOSTILE)])
    monkeypatch.setattr(doctor, "PROVIDERS", [])
    assert ESCAPED in jepsenvm("doctor").output


def test_the_faults_of_hosts() -> None:
    entry = {"number": 1, "since": 0, "fault": {"name": HOSTILE, "text": f"[bold]{HOSTILE}"}}
    status = FaultStatus({"n1": [entry], "n2": RunError(HOSTILE)}, {})
    out = io.StringIO()
    Console(file=out, width=300).print(fault._fault_table(status))
    assert not set(out.getvalue()) & set("\x1b\x07\x9b\r\u202e")
    assert f"1 {ESCAPED}" in out.getvalue()
    assert f"[bold]{ESCAPED}" in out.getvalue()
