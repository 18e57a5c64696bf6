"""Multisets of integers, counted in one pass over a history with a few bytes for each value.

The values of jepsenvm's histories are dense integers, and few of them occur often. So they are
counted in pages: a page is an array of small counters for PAGE consecutive values. If a count does
not fit, the counters of that page become wider. Values that lie too far apart for pages (a page for
each of them would fill the memory) are kept in lists, the strays. Both are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from jepsenvm.history.table import Ints

PAGE_BITS: Final = 16
PAGE: Final = 1 << PAGE_BITS
"""The number of values of a page."""
FEW_PAGES: Final = 64
"""This many pages are always allowed: 12 MB for three multisets."""
LEAST_PER_PAGE: Final = PAGE >> 3
"""Each further page needs this many added values, so that the pages are at least sparsely used."""

Counts = npt.NDArray[np.int64]
"""How often each multiset (first axis) has each value of a block (second axis)."""


class Multisets:
    """Several multisets of integers over the same values."""

    def __init__(self, number: int) -> None:
        """Make ``number`` empty multisets."""
        self._number = number
        self._added = 0
        self._pages: dict[int, npt.NDArray[np.integer]] = {}
        self._may_grow = True
        self._strays: list[tuple[int, Ints, Ints]] = []

    def add(self, multiset: int, values: Ints) -> None:
        """Add values to one of the multisets, given by its index."""
        if not len(values):
            return
        self._added += len(values)
        distinct, counts = _tally(values)
        page_numbers = distinct >> PAGE_BITS
        starts = np.flatnonzero(np.diff(page_numbers, prepend=page_numbers[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(page_numbers)], strict=True):
            number = int(page_numbers[start])
            self._add_to_page(number, multiset, distinct[start:end], counts[start:end])

    def _add_to_page(self, number: int, multiset: int, values: Ints, counts: Ints) -> None:
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
        """Return a page, which is made if there may be one more, or None.

        Once a page was refused, no further page is ever made. Otherwise a value could be counted
        among the strays first and in a page later, and appear in two blocks.
        """
        if number not in self._pages:
            self._may_grow &= len(self._pages) < FEW_PAGES + self._added // LEAST_PER_PAGE
            if not self._may_grow:
                return None
            self._pages[number] = np.zeros((self._number, PAGE), dtype=np.uint8)
        return self._pages[number]

    def blocks(self) -> Iterator[tuple[Ints, Counts]]:
        """Yield blocks of ascending values with their counts. Each value is in one block."""
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
        for multiset, part, part_counts in self._strays:
            end = begin + len(part)
            # Each value occurs once in a part; a repeated index would be counted only once here.
            counts[multiset, places[begin:end]] += part_counts
            begin = end
        return values, counts


def _tally(values: Ints) -> tuple[Ints, Ints]:
    """Return the different values, ascending, and how often each occurs.

    Values that lie close together are counted without sorting, which is faster.
    """
    lowest, highest = int(values.min()), int(values.max())
    if highest - lowest >= 4 * len(values):
        return np.unique(values, return_counts=True)
    counts = np.bincount(values - lowest)
    distinct = np.flatnonzero(counts)
    return distinct + lowest, counts[distinct]
