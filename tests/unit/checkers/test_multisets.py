"""Multisets in pages: where each value is counted, how wide its counters are, and the counts."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import MagicMock

import numpy as np
import pytest

from jepsenvm.checkers import multisets
from jepsenvm.checkers.multisets import Multisets

REAL_LIMITS = (
    multisets.PAGE_BITS,
    multisets.PAGE,
    multisets.FEW_PAGES,
    multisets.LEAST_PER_PAGE,
)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of four values: two at first, and one more for each three added values."""
    monkeypatch.setattr(multisets, "PAGE_BITS", 2)
    monkeypatch.setattr(multisets, "PAGE", 4)
    monkeypatch.setattr(multisets, "FEW_PAGES", 2)
    monkeypatch.setattr(multisets, "LEAST_PER_PAGE", 3)


def add(sets: Multisets, multiset: int, *values: int) -> None:
    sets.add(multiset, np.array(values, dtype=np.int64))


def blocks(sets: Multisets) -> list[tuple[list[int], list[list[int]]]]:
    return [(values.tolist(), counts.tolist()) for values, counts in sets.blocks()]


def values_of(sets: Multisets) -> list[list[int]]:
    return [values for values, _ in blocks(sets)]


def test_a_page_has_65536_values_and_each_further_one_needs_8192_added_values() -> None:
    assert REAL_LIMITS == (16, 65_536, 64, 8192)


def test_nothing_was_added() -> None:
    sets = Multisets(3)
    assert blocks(sets) == []
    add(sets, 2)
    assert blocks(sets) == []


def test_each_page_is_a_block_of_the_values_that_occur() -> None:
    sets = Multisets(2)
    add(sets, 1, 5, 2, 0, 2, 5, 5)
    add(sets, 0, 2, 1)
    assert blocks(sets) == [([0, 1, 2], [[0, 1, 1], [1, 0, 2]]), ([5], [[0], [3]])]


def test_the_edges_of_a_page() -> None:
    sets = Multisets(1)
    add(sets, 0, 3, 4, 7, 8, 11)
    assert blocks(sets) == [([3], [[1]]), ([4, 7], [[1, 1]]), ([8, 11], [[1, 1]])]


def test_negative_values_have_pages_of_their_own() -> None:
    sets = Multisets(1)
    add(sets, 0, -1, -4, -5, 0, -1)
    assert blocks(sets) == [([-5], [[1]]), ([-4, -1], [[1, 2]]), ([0], [[1]])]


def test_pages_with_gaps_between_them() -> None:
    sets = Multisets(1)
    add(sets, 0, 0, 9, 400, 401)
    assert values_of(sets) == [[0], [9], [400, 401]]


def test_two_pages_are_always_allowed() -> None:
    sets = Multisets(1)
    add(sets, 0, 0)
    add(sets, 0, 400)
    assert values_of(sets) == [[0], [400]]


def test_every_three_added_values_allow_one_more_page() -> None:
    sets = Multisets(1)
    for value in (0, 4, 8):
        add(sets, 0, value)  # the third value allows the third page
    add(sets, 0, 16, 12)
    assert values_of(sets) == [[0], [4], [8], [12, 16]], "the last two are strays, in one block"


def test_repeated_values_count_for_further_pages() -> None:
    sets = Multisets(2)
    add(sets, 0, 0, 0, 0)
    add(sets, 1, 0, 0, 0)
    for value in (4, 8, 12):
        add(sets, 0, value)
    assert values_of(sets) == [[0], [4], [8], [12]]
    add(sets, 0, 16, 20)
    add(sets, 0, 24)
    assert values_of(sets) == [[0], [4], [8], [12], [16], [20, 24]]


def test_no_page_is_made_after_one_was_refused() -> None:
    """A value could otherwise be in a page and among the strays."""
    sets = Multisets(2)
    for value in (0, 4, 8, 12):
        add(sets, 0, value)
    add(sets, 1, *[1] * 30)
    add(sets, 1, 12, 13, 100)
    assert blocks(sets) == [
        ([0, 1], [[1, 0], [0, 30]]),
        ([4], [[1], [0]]),
        ([8], [[1], [0]]),
        ([12, 13, 100], [[1, 0, 0], [1, 1, 1]]),
    ]


def test_strays_of_several_multisets_and_additions_are_summed() -> None:
    sets = Multisets(3)
    add(sets, 0, 0)
    add(sets, 0, 4)
    for multiset, values in ((2, (90, 50, 90)), (0, (50,)), (2, (90, 70)), (0, (50, 50))):
        sets._may_grow = False
        add(sets, multiset, *values)
    assert blocks(sets)[2:] == [([50, 70, 90], [[3, 0, 0], [0, 0, 0], [1, 1, 3]])]
    assert [counts.dtype for _, counts in sets.blocks()] == [np.int16, np.int16, np.int64]


@pytest.mark.parametrize(
    ("times", "dtype", "signed"),
    [
        ((255,), np.uint8, np.int16),
        ((200, 55), np.uint8, np.int16),
        ((256,), np.uint16, np.int32),
        ((255, 1), np.uint16, np.int32),
        ((65_535,), np.uint16, np.int32),
        ((256, 65_279), np.uint16, np.int32),
        ((65_536,), np.int64, np.int64),
        ((300, 65_236), np.int64, np.int64),
        ((70_000, 1), np.int64, np.int64),
    ],
)
def test_the_counters_of_a_page_become_wider_only_if_they_must(
    times: Sequence[int], dtype: type, signed: type
) -> None:
    sets = Multisets(2)
    add(sets, 0, 1)
    add(sets, 1, 4)
    for number in times:
        add(sets, 1, *[2] * number)
    assert [page.dtype for page in sets._pages.values()] == [dtype, np.uint8]
    assert blocks(sets) == [([1, 2], [[1, 0], [0, sum(times)]]), ([4], [[0], [1]])]
    assert [counts.dtype for _, counts in sets.blocks()] == [signed, np.int16]


@pytest.mark.parametrize("width", [7, 8])
def test_only_values_far_apart_are_sorted(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    unique, bincount = MagicMock(wraps=np.unique), MagicMock(wraps=np.bincount)
    monkeypatch.setattr(np, "unique", unique)
    monkeypatch.setattr(np, "bincount", bincount)
    sets = Multisets(1)
    add(sets, 0, 10 + width, 10)
    counted = [value for values in values_of(sets) for value in values]
    assert counted == [10, 10 + width]
    assert (unique.called, bincount.called) == (width == 8, width == 7)
