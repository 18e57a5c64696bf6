"""The exit status is the verdict, whatever happens to the output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

MAIN = [sys.executable, "-c", "from jepsenvm.cli.main import main; main()"]

SENT = """{"type": "invoke", "f": "enqueue", "value": 1, "process": 0, "time": 1}
{"type": "ok", "f": "enqueue", "value": 1, "process": 0, "time": 2}
"""
READ = """{"type": "invoke", "f": "drain", "process": 2, "time": 3}
{"type": "ok", "f": "dequeue", "value": 1, "process": 1, "time": 4}
{"type": "ok", "f": "drain", "process": 2, "time": 5}
"""
VERDICTS = {
    0: SENT + READ,
    1: SENT + READ.replace('"value": 1', '"value": 7'),
    2: SENT + READ.replace('"ok", "f": "drain"', '"info", "f": "drain"'),
}


def status_with(command: Sequence[str], redirection: str) -> int:
    """Return the exit status of a command with a redirection of the shell."""
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]
    return subprocess.run(line, check=False, stdin=subprocess.DEVNULL).returncode


def status_without_reader(command: Sequence[str]) -> int:
    """Return the exit status of a command whose standard output and error nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(command, check=False, stdout=writer, stderr=writer).returncode
    finally:
        os.close(writer)


@pytest.mark.parametrize("status", VERDICTS)
def test_a_reader_that_goes_away_does_not_change_the_verdict(tmp_path: Path, status: int) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(VERDICTS[status])
    assert status_without_reader([*MAIN, "check", str(file)]) == status
    assert status_with([*MAIN, "check", "--json", str(file)], "<&- >&- 2>&-") == status


def test_other_commands_end_as_usual_without_a_reader(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(VERDICTS[0])
    for words, status in (
        (["--help"], 0),
        (["export", str(file), "--format", "edn", "-o", "-"], 0),
        (["check", str(tmp_path / "missing")], 254),
    ):
        assert status_without_reader([*MAIN, *words]) == status, words


def test_a_full_disk_is_an_error_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(VERDICTS[0])
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        command = [*MAIN, "check", str(file)]
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 255
    (line,) = done.stderr.splitlines()
    assert line == "jepsenvm: No space left on device; free some disk space"


def test_a_missing_stream_does_not_give_its_number_to_a_file(tmp_path: Path) -> None:
    program = (
        "import os; from jepsenvm.cli.streams import ignore_closed_streams as f; f();"
        f"print(os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY));"
        "os.write(1, b'lost'); os.write(2, b'lost');"
        f"open({str(tmp_path / 'seen')!r}, 'w').write('done')"
    )
    assert status_with([sys.executable, "-c", program], "<&- >&- 2>&-") == 0
    assert (tmp_path / "seen").read_text() == "done"
    assert (tmp_path / "file").read_bytes() == b""


PROGRAM = """
import os, signal, sys, time
from jepsenvm.experiment.interrupt import raise_on_signals
if sys.argv[1] == "ignored":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
raise_on_signals()
try:
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    time.sleep(0.05)
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
finally:
    print("left")
"""


@pytest.mark.parametrize(
    ("before", "number", "lines"),
    [
        ("default", signal.SIGINT, ["interrupted", "left"]),
        ("default", signal.SIGTERM, ["interrupted", "left"]),
        ("default", signal.SIGHUP, ["interrupted", "left"]),
        ("ignored", signal.SIGHUP, ["went on", "left"]),
    ],
)
def test_a_signal_leaves_every_context(
    before: str, number: signal.Signals, lines: list[str]
) -> None:
    command = [sys.executable, "-c", PROGRAM, before, number.name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines() == lines
