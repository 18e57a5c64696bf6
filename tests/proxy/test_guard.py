"""The private node ends with the test process, however that ends."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path

from tests.proxy.broker import GUARD

TEST_PROCESS = """
import subprocess, sys, time
guard = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def test_a_killed_test_process_leaves_no_node(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    node = ["sh", "-c", "echo started; sleep 600 & wait"]
    command = [sys.executable, str(GUARD), str(folder), "true", "0", *node]
    with subprocess.Popen(
        [sys.executable, "-c", TEST_PROCESS, *command], stdout=subprocess.PIPE, bufsize=0
    ) as test_process:
        assert test_process.stdout is not None
        assert test_process.stdout.readline() == b"started\n"
        test_process.kill()
        # The output ends when each process that could write to it has ended.
        assert select.select([test_process.stdout], [], [], 60)[0], "a process is left"
        assert test_process.stdout.read() == b""
    assert not folder.exists()


def test_a_node_that_ends_keeps_its_log(tmp_path: Path) -> None:
    command = [sys.executable, str(GUARD), str(tmp_path), "true", "0", "sh", "-c", "exit 3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guard:
        assert guard.wait(60) == 3
    assert tmp_path.is_dir()
