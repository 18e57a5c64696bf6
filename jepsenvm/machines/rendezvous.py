"""Programs that act on several nodes at one instant, which is chosen when all of them are ready.

Starting a program takes milliseconds on a quiet machine and seconds on a busy one. An instant that
is chosen before would be over on some nodes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Any, Final, TypeVar

from jepsenvm.machines.ssh import Fleet, LaterInput

T = TypeVar("T")

NOTICE_S: Final = 0.5
"""Seconds between telling the nodes the instant and the instant itself."""


class Rendezvous:
    """Waits for nodes that get ready, and chooses the instant at which they act."""

    def __init__(
        self, offsets: Mapping[str, float], choose: Callable[[], float], *, needs_all: bool
    ) -> None:
        """Begin to wait for the nodes in ``offsets``, the seconds by which their clocks are ahead.

        ``choose`` returns the instant, by this machine's clock. ``needs_all``: if a node fails or
        is late, no node acts.
        """
        self._offsets = offsets
        self._choose = choose
        self._needs_all = needs_all
        self._lock = threading.Lock()
        self._awaited = set(offsets)
        self._absent: set[str] = set()
        self._is_over = False
        self._instant: float | None = None

    @property
    def absent(self) -> frozenset[str]:
        """The nodes that failed or were late."""
        return frozenset(self._absent)

    def ready(self, node: str) -> None:
        """Note that a node is ready."""
        with self._lock:
            self._awaited.discard(node)
            self._choose_if_complete()

    def ended(self, node: str) -> None:
        """Note that the program of a node has ended. If it was not ready, it has failed."""
        with self._lock:
            self._miss({node})

    def wait_no_longer(self) -> None:
        """Choose the instant for the nodes that are ready. The others are late."""
        with self._lock:
            self._miss(self._awaited)

    def message(self, node: str) -> str | None:
        """Return what a node is told: None for nothing yet, and nothing ("") if it must not act."""
        with self._lock:
            if not self._is_over:
                return None
            if self._instant is None:
                return ""
            at = self._instant + self._offsets[node]
            return f"{json.dumps({'at': at, 'instant': self._instant})}\n"

    def _miss(self, nodes: Set[str]) -> None:
        if not self._is_over:
            self._absent |= nodes & self._awaited
            self._awaited -= self._absent
            self._choose_if_complete()

    def _choose_if_complete(self) -> None:
        is_cancelled = bool(self._absent) and self._needs_all
        if self._is_over or (self._awaited and not is_cancelled):
            return
        self._is_over = True
        if not is_cancelled:
            self._instant = self._choose()


def start_together(
    fleet: Fleet,
    program: str,
    orders: Mapping[str, Mapping[str, Any]],
    rendezvous: Rendezvous,
    understood: Callable[[Any], T],
    *,
    wait_s: float,
    timeout: float,
) -> dict[str, T | Exception]:
    """Run a program of ``machines.remote`` on nodes that begin at one instant.

    Return what each printed, as ``understood`` returns it, or its error. The errors of absent nodes
    come first. The nodes wait for each other for up to ``wait_s`` seconds. ``timeout`` is in
    seconds, and for all of it.
    """

    def run(node: str) -> T:
        later = LaterInput(partial(rendezvous.ready, node), partial(rendezvous.message, node))
        try:
            answer = fleet.python(node, program, orders[node], timeout=timeout, later=later)
            return understood(answer)
        finally:
            rendezvous.ended(node)

    alarm = threading.Timer(wait_s * fleet.patience, rendezvous.wait_no_longer)
    alarm.daemon = True
    alarm.start()
    try:
        answers = fleet.each_or_error(run, list(orders))
    finally:
        alarm.cancel()
        rendezvous.wait_no_longer()
    absent = rendezvous.absent
    return dict(sorted(answers.items(), key=lambda answer: answer[0] not in absent))
