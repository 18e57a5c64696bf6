"""Copies: a history in which each copy of a message has a value of its own.

A run with several queues routes each message to some of them, and each copy must come out of its
queue. In this view of its history, an enqueue is one op for each copy, and a dequeue has the value
of the copy in the queue that it came from. So a checker of one queue judges all queues at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.delivery_queues import UNKNOWN, DeliveryQueues
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask
from jepsenvm.plan.routing import Routing

STRAY: Final = 1 << 60
"""The value of the first stray: a delivery that is no copy of a message of the run."""

MOST_VALUE: Final = 1 << 50
"""No publisher sends this value or a higher one. With it, the values of copies stay below STRAY."""


NO_VALUE: Final = -(2**63)


@dataclass
class Copies(History):
    """A history whose enqueues and dequeues are those of copies; see ``copies_of``."""

    routing: Routing = field(default_factory=Routing)
    strays: list[tuple[Any, int]] = field(default_factory=list)
    """The value and the queue of each stray that was read so far. The queue may be UNKNOWN."""

    def label(self, value: int) -> Any:
        """Return the value of a copy's message, or a pair of that value and the copy's queue.

        It is a pair if a message has several copies, or if it came from a queue that is not its
        queue.
        """
        message, queue = self.message(int(value)), int(self.queues_of(np.array([value]))[0])
        several = self.routing.fan_out > 1 or value >= STRAY
        return [message, queue] if several and queue != UNKNOWN else message

    def message(self, value: int) -> Any:
        """Return the value of a copy's message."""
        if value >= STRAY:
            return self.strays[value - STRAY][0]
        return value if value < 0 else value // self.routing.fan_out

    def queues_of(self, values: Ints) -> Ints:
        """Return the queue of each of some copies; UNKNOWN for bodies that are no message."""
        routing = self.routing
        messages, copies = np.divmod(np.clip(values, 0, STRAY - 1), routing.fan_out)
        queues = np.where(values < 0, UNKNOWN, routing.queue_of_copy(messages, copies))
        strays = values >= STRAY
        queues[strays] = [self.strays[value - STRAY][1] for value in values[strays].tolist()]
        return queues


def copies_of(history: History, routing: Routing) -> Copies:
    """Return a history as its copies. Deliveries from an unknown queue are ``info`` in it."""
    view = _View(history, routing)
    return Copies(
        lambda _: map(view.chunk, history),
        # The same lists, so that both histories know the names that reading finds.
        names=history.names,
        nodes=history.nodes,
        complete=history.complete,
        damage=history.damage,
        plan=history.plan,
        doubts=history.doubts,
        routing=routing,
        strays=view.strays,
    )


class _View:
    def __init__(self, history: History, routing: Routing) -> None:
        self._history = history
        self._routing = routing
        self._queue_of_process = DeliveryQueues(history, routing.queues)
        # In a history from a text, values are codes of labels.
        self._by_code = (
            None
            if history.labels is None
            else np.array(list(map(_integer, history.labels)), dtype=np.int64)
        )
        self.strays: list[tuple[Any, int]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        """The number of each stray, which has the same value each time that it is read."""

    def chunk(self, chunk: Chunk) -> Chunk:
        """Return the rows of a chunk with an enqueue for each copy."""
        messages = chunk.value if self._by_code is None else self._by_code[chunk.value]
        values, types = messages.copy(), chunk.type
        delivered = self._rows(chunk, "dequeue") & chunk.has_value & (messages >= 0)
        delivered &= chunk.type != TYPE_CODES["invoke"]
        if delivered.any():
            queues = self._queue_of_process.of(chunk.process)
            unknown = delivered & (queues == UNKNOWN)
            types = np.where(unknown, TYPE_CODES["info"], types)
            self._set_copies(chunk, values, queues, delivered & ~unknown)
        sent = self._rows(chunk, "enqueue") & chunk.has_value & (messages >= 0)
        self._set_strays(chunk, values, sent & (messages >= MOST_VALUE), None)
        changed = chunk.with_columns(value=values, type=types)
        if self._routing.fan_out == 1:
            return changed
        return self._with_copies(changed, sent, sent & (messages < MOST_VALUE))

    def _rows(self, chunk: Chunk, f: str) -> Mask:
        names = self._history.names
        rows: Mask = chunk.f == (names.index(f) if f in names else -1)
        return rows

    def _set_copies(self, chunk: Chunk, values: Ints, queues: Ints, rows: Mask) -> None:
        """Set the values of deliveries to those of the copies in their queues."""
        of_run = rows & (values < MOST_VALUE)
        messages, fan_out = values[of_run], self._routing.fan_out
        copies = self._routing.copy_in(messages, queues[of_run])
        misrouted = of_run.copy()
        misrouted[of_run] = copies >= fan_out
        values[of_run] = messages * fan_out + copies
        self._set_strays(chunk, values, misrouted, queues)
        self._set_strays(chunk, values, rows & ~of_run, None)

    def _set_strays(self, chunk: Chunk, values: Ints, rows: Mask, queues: Ints | None) -> None:
        for row in np.flatnonzero(rows).tolist():
            message = self._history.label(chunk.value[row])
            queue = UNKNOWN if queues is None else int(queues[row])
            number = self._numbers.setdefault((repr(message), queue), len(self.strays))
            if number == len(self.strays):
                self.strays.append((message, queue))
            values[row] = STRAY + number

    def _with_copies(self, chunk: Chunk, sent: Mask, numbered: Mask) -> Chunk:
        """Return the rows with an enqueue for each copy; those of some messages get numbers."""
        counts = np.where(sent, self._routing.fan_out, 1)
        rows = np.repeat(np.arange(len(counts)), counts)
        copies = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        values = chunk.value[rows]
        chosen = numbered[rows]
        values[chosen] = values[chosen] * self._routing.fan_out + copies[chosen]
        return _repeated(chunk, rows, values)


def _repeated(chunk: Chunk, rows: Ints, values: Ints) -> Chunk:
    """Return these rows of a chunk, some of them repeatedly, with other values."""

    def read(name: str) -> Any:
        if name in ("data", "error"):
            column = chunk.read(name)
            return [column[row] for row in rows.tolist()]
        return values if name == "value" else getattr(chunk, name)[rows]

    return Chunk(
        read=read,
        data=lambda row: chunk.data(int(rows[row])),
        error=lambda row: chunk.error(int(rows[row])),
    )


def _integer(label: Any) -> int:
    """Return the value of a message. What no publisher sends gives MOST_VALUE.

    A negative integer stands for a body that is no message, and for no value.
    """
    if label is None:
        return NO_VALUE
    return label if type(label) is int and NO_VALUE < label < MOST_VALUE else MOST_VALUE
