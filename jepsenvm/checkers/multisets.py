"""Multisets of integers, counted in one pass over a history with a few bytes for each value.

The values of jepsenvm's histories are dense integers, and few of them occur often. So they are
counted in pages: a page is an array of small counters for PAGE consecutive values. If a count may
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

Counts = npt.NDArray[np.signedinteger]
"""How often each multiset (first axis) has each value of a block (second axis).

Differences of two counts fit, sums may not.
"""

_SIGNED: Final = {np.dtype(np.uint8): np.int16, np.dtype(np.uint16): np.int32}
"""The type of the counts in a block, by that of its page if this one is narrow."""


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
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < 4 * len(values):
            self._add_counts(multiset, lowest, np.bincount(values - lowest))
        else:
            self._add_scattered(multiset, *np.unique(values.astype(np.int64), return_counts=True))

    def _add_counts(self, multiset: int, lowest: int, counts: Ints) -> None:
        """Add values that lie close together, given by the count of each from the lowest on.

        Counting them without sorting is faster.
        """
        for number in range(lowest >> PAGE_BITS, (lowest + len(counts) - 1 >> PAGE_BITS) + 1):
            first = max(lowest, number << PAGE_BITS)
            end = min(lowest + len(counts), number + 1 << PAGE_BITS)
            of_page = counts[first - lowest : end - lowest]
            if not of_page.any():
                continue
            if self._page(number) is None:
                places = np.flatnonzero(of_page)
                self._strays.append((multiset, places + first, of_page[places]))
                continue
            self._add_to_page(
                number, multiset, slice(first & (PAGE - 1), (end - 1 & (PAGE - 1)) + 1), of_page
            )

    def _add_scattered(self, multiset: int, distinct: Ints, counts: Ints) -> None:
        page_numbers = distinct >> PAGE_BITS
        starts = np.flatnonzero(np.diff(page_numbers, prepend=page_numbers[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(page_numbers)], strict=True):
            number, values = int(page_numbers[start]), distinct[start:end]
            if self._page(number) is None:
                self._strays.append((multiset, values, counts[start:end]))
            else:
                self._add_to_page(number, multiset, values & (PAGE - 1), counts[start:end])

    def _add_to_page(self, number: int, multiset: int, places: Ints | slice, counts: Ints) -> None:
        page = self._pages[number]
        # No sum exceeds this. Adding wide integers to find the largest sum takes twice as long.
        most = int(page[multiset, places].max()) + int(counts.max())
        if most > np.iinfo(page.dtype).max:
            page = page.astype(np.uint16 if most <= np.iinfo(np.uint16).max else np.int64)
            self._pages[number] = page
        page[multiset, places] += counts.astype(page.dtype)

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
            occurring = page if len(places) == PAGE else page[:, places]
            counts = occurring.astype(_SIGNED.get(page.dtype, np.int64))
            yield places + (number << PAGE_BITS), counts
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
