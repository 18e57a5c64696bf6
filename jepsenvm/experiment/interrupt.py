"""Signals that end a command: they leave every context of it, as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command: of the keyboard, of another program, and of a closed terminal."""


def raise_on_signals() -> None:
    """Let each signal raise KeyboardInterrupt in the main thread.

    So the lock of the cluster is released, and a run that has not begun leaves nothing. By default
    SIGTERM and SIGHUP end a process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread can handle signals
    for number in heeded():
        signal.signal(number, _interrupt)


def heeded() -> list[signal.Signals]:
    """Return the signals that this process does not ignore. nohup lets it ignore SIGHUP."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
