"""Multisets of values, counted in one pass over a history, a few bytes for each value.

The values of our histories are dense integers, and few come more than once: so they are counted in pages of small
integers, and a page is widened when a count would not fit. Values that lie too far apart for that are kept beside, one
by one. Both are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from jepsenvm.history.table import Ints

PAGE_BITS: Final = 16
PAGE: Final = 1 << PAGE_BITS
FEW_PAGES: Final = 64
"""So many pages are always allowed: 12 MB for three multisets."""
LEAST_PER_PAGE: Final = PAGE >> 3
"""Beyond the few, each page must stand for so many of the values seen."""

Counts = npt.NDArray[np.int64]
"""How often each value of a block stands in each multiset: one row a multiset."""


class Multisets:
    """Some multisets of integers over the same values."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._seen = 0
        self._pages: dict[int, npt.NDArray[np.integer]] = {}
        self._may_grow = True
        self._strays: list[tuple[int, Ints, Ints]] = []

    def add(self, multiset: int, values: Ints) -> None:
        """Add these values to one of the multisets."""
        if not len(values):
            return
        self._seen += len(values)
        distinct, counts = _tally(values)
        pages = distinct >> PAGE_BITS
        starts = np.flatnonzero(np.diff(pages, prepend=pages[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(pages)], strict=True):
            self._add(int(pages[start]), multiset, distinct[start:end], counts[start:end])

    def _add(self, number: int, multiset: int, values: Ints, counts: Ints) -> None:
        page = self._page(number)
        if page is None:
            self._strays.append((multiset, values, counts))
            return
        places = values & (PAGE - 1)
        sums = page[multiset, places] + counts
        if (most := int(sums.max())) > np.iinfo(page.dtype).max:
            page = page.astype(np.uint16 if most <= np.iinfo(np.uint16).max else np.int64)
            self._pages[number] = page
        page[multiset, places] = sums

    def _page(self, number: int) -> npt.NDArray[np.integer] | None:
        """Return a page, made if it may be; after one refusal none is made, so that no value is in both places."""
        if number not in self._pages:
            self._may_grow &= len(self._pages) < FEW_PAGES + self._seen // LEAST_PER_PAGE
            if not self._may_grow:
                return None
            self._pages[number] = np.zeros((self._number, PAGE), dtype=np.uint8)
        return self._pages[number]

    def blocks(self) -> Iterator[tuple[Ints, Counts]]:
        """Yield the values, each once, ascending within a block, and how often each multiset has them."""
        for number, page in self._pages.items():
            places = np.flatnonzero(page.any(axis=0))
            yield places + (number << PAGE_BITS), page[:, places].astype(np.int64)
        if self._strays:
            yield self._stray_block()

    def _stray_block(self) -> tuple[Ints, Counts]:
        values, places = np.unique(
            np.concatenate([part for _, part, _ in self._strays]), return_inverse=True
        )
        counts = np.zeros((self._number, len(values)), dtype=np.int64)
        begin = 0
        for multiset, part, times in self._strays:
            end = begin + len(part)
            counts[multiset, places[begin:end]] += times  # a part has each value once
            begin = end
        return values, counts


def _tally(values: Ints) -> tuple[Ints, Ints]:
    """Return the different values, ascending, and how often each occurs; close values are counted without sorting."""
    lowest, highest = int(values.min()), int(values.max())
    if highest - lowest >= 4 * len(values):
        return np.unique(values, return_counts=True)
    counts = np.bincount(values - lowest)
    distinct = np.flatnonzero(counts)
    return distinct + lowest, counts[distinct]
