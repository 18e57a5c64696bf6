"""Deadlines for SSH connections: paramiko waits without an end for a host that is silent.

A host can be silent although its TCP connection is open: its sshd is stopped, its kernel hangs, or
a firewall drops its packets. Closing the transport ends every wait on it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import paramiko

KEEPALIVE_S: Final = 5.0
"""Seconds between two keepalive requests."""

SILENT_S: Final = 20.0
"""Seconds without an answer to a keepalive request after which a connection is closed."""


class Deadline:
    """A deadline that closes something when it passes."""

    def __init__(self, close: Callable[[], object], seconds: float) -> None:
        self.passed = False
        self._close = close
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Let the deadline pass without any effect."""
        self._timer.cancel()

    def _pass(self) -> None:
        self.passed = True
        self._close()


@contextmanager
def closing_after(close: Callable[[], object], seconds: float) -> Iterator[Deadline]:
    """Call ``close`` if the context is still open after some seconds."""
    deadline = Deadline(close, seconds)
    try:
        yield deadline
    finally:
        deadline.cancel()


def close_when_silent(transport: paramiko.Transport, patience: float) -> None:
    """Close a transport when its host no longer answers; return at once.

    sshd answers each keepalive request, as a refusal. paramiko's own keepalive ignores the answers.
    """

    def keep_alive() -> None:
        pause = threading.Event()
        while transport.is_active():
            with closing_after(transport.close, SILENT_S * patience):
                try:
                    transport.global_request("keepalive@openssh.com", wait=True)
                except (OSError, EOFError, paramiko.SSHException):
                    return
            pause.wait(KEEPALIVE_S * patience)

    threading.Thread(target=keep_alive, name="ssh-keepalive", daemon=True).start()
