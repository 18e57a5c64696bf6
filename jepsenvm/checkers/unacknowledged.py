"""Deliveries that their consumer never acknowledged: they consumed nothing.

A consumer that ends, or loses its connection, with unacknowledged deliveries records a ``fail``
dequeue for each of them. The broker must deliver these messages again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from jepsenvm.checkers.op_columns import flagged
from jepsenvm.history.table import Chunk, History, Ints

UNACKNOWLEDGED: Final = "unacknowledged"
"""The key in the data of such a ``fail`` dequeue. Those of other programs have other meanings."""


def unacknowledged_values(history: History, chunk: Chunk) -> Ints:
    """Return the values of the deliveries of a chunk that nobody acknowledged."""
    failed = history.mask(chunk, "fail", "dequeue") & chunk.has_value
    if not failed.any():
        return np.empty(0, dtype=np.int64)  # without reading another column
    values: Ints = chunk.value[flagged(chunk, failed, UNACKNOWLEDGED)]
    return values
