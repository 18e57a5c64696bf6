"""Run a private RabbitMQ node until standard input ends, then end the node and remove its files.

The test process holds the other end of standard input. The kernel closes it when that process ends,
also if it is killed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress


def run(folder: str, epmd: str, epmd_port: str, server: Sequence[str]) -> int:
    """Run the node; return its exit status, or 0 if standard input ended first.

    Args:
        folder: The node's files. They stay if the node ends by itself, so that its log can be read.
        epmd: The program of Erlang's port mapper, which the node starts.
        epmd_port: The port of the port mapper.
        server: The command that becomes the node.
    """
    node = subprocess.Popen(server, stdin=subprocess.DEVNULL, start_new_session=True)
    node_ends = os.pidfd_open(node.pid)
    ended, _, _ = select.select([sys.stdin, node_ends], [], [])
    # The shell script that was started has become the Erlang VM, which has children.
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    status = node.wait()
    subprocess.run([epmd, "-port", epmd_port, "-kill"], capture_output=True, check=False)
    if sys.stdin in ended:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    return status or 1


if __name__ == "__main__":
    _, node_folder, port_mapper, port, *command = sys.argv
    sys.exit(run(node_folder, port_mapper, port, command))
