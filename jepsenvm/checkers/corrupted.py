"""Corrupted deliveries: messages that came back with a body that differs from the sent body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.op_columns import flagged
from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shorten
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Mask

SHOWN: Final = 1000
"""At most this many examples are in a result. The count is exact."""


@dataclass(frozen=True)
class Corrupted:
    """The corrupted deliveries of a history."""

    count: int
    examples: tuple[str, ...]

    @property
    def figures(self) -> dict[str, Any]:
        """Return the number of corrupted deliveries, and the first ones."""
        return {"corrupted-count": self.count, "corrupted": list(self.examples)}

    @property
    def reasons(self) -> list[str]:
        """Return the reason why they are a violation; empty if there are none."""
        if not self.count:
            return []
        deliveries = counted(self.count, "delivery is", "deliveries are")
        return [
            f"{deliveries} corrupted: the body differs from the sent body, first {self.examples[0]}"
        ]


def split_corrupted(history: History, f: str) -> tuple[History, Corrupted]:
    """Return the history in which corrupted ok ops of this f are ``info``, and these ops.

    An op is corrupted if its data has a true ``corrupted``. Such an op delivered no message, so a
    message that came back only corrupted did not come back. The ops themselves stay where they are.
    """
    if not history.count_with_data("ok", f):
        return history, Corrupted(0, ())  # without a pass, which costs time for millions of ops
    count, examples = 0, list[str]()
    for chunk in history:
        rows = np.flatnonzero(_corrupted_rows(history, chunk, f)).tolist()
        count += len(rows)
        examples += [_example(history, chunk, row) for row in rows[: SHOWN - len(examples)]]
    corrupted = Corrupted(count, tuple(examples))
    return (_without(history, f) if count else history), corrupted


def _corrupted_rows(history: History, chunk: Chunk, f: str) -> Mask:
    # Most chunks have no data at all, and reading more of their columns would take time.
    if not chunk.has_data.any():
        return np.zeros(len(chunk.has_data), dtype=bool)
    rows = history.mask(chunk, "ok", f)
    if history.labels is None:
        # jepsenvm records a corrupted body with a negative value. Decoding data is slow, and many
        # other deliveries may have some.
        rows = rows & (chunk.value < 0)
    return flagged(chunk, rows, "corrupted")


def _example(history: History, chunk: Chunk, row: int) -> str:
    data = chunk.data(row)
    problem = shorten(data.get("problem", "with an unknown difference"))
    code = int(chunk.node[row])
    return f"{problem} ({history.nodes[code]})" if code >= 0 else problem


def _without(history: History, f: str) -> History:
    def chunks(_: History) -> Iterator[Chunk]:
        for chunk in history:
            rows = _corrupted_rows(history, chunk, f)
            yield chunk.with_columns(type=np.where(rows, TYPE_CODES["info"], chunk.type))

    return replace(history, _chunks=chunks)
