"""Merging: the ops of several recorders in the order of their times, without any lost or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.history import table
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import about_load_segments, new_load_segments
from jepsenvm.history.merge import merged
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import Chunk

NAMES = ("enqueue", "dequeue", "drain")


def chunk(times: list[int], first_row: int, part: int) -> Chunk:
    """Return a chunk whose other columns name each row: its number and its part."""
    rows = np.arange(first_row, first_row + len(times))

    def read(name: str) -> Any:
        if name == "time":
            return np.array(times, dtype=np.int64)
        if name in ("data", "error"):
            return [(name, part, row) for row in rows.tolist()]
        return rows * 100 + part

    return Chunk(
        read=read,
        data=lambda row: ("data", part, first_row + row),
        error=lambda row: f"error {part} {first_row + row}",
    )


def part_of(chunks: list[list[int]], part: int) -> Iterator[Chunk]:
    first_row = 0
    for times in chunks:
        yield chunk(times, first_row, part)
        first_row += len(times)


def cut(times: list[int], cuts: list[int]) -> list[list[int]]:
    """Return sorted times cut into chunks, some of which may be empty."""
    ordered = sorted(times)
    places = sorted(min(place, len(ordered)) for place in cuts)
    return [
        ordered[begin:end] for begin, end in zip([0, *places], [*places, len(ordered)], strict=True)
    ]


PARTS = st.lists(
    st.builds(
        cut,
        st.lists(st.integers(0, 12), max_size=30),
        st.lists(st.integers(0, 30), max_size=4),
    ),
    min_size=1,
    max_size=5,
)


@given(PARTS)
def test_merged_by_time_is_a_stable_sort(parts: list[list[list[int]]]) -> None:
    expected = sorted(
        (time, part, row)
        for part, chunks in enumerate(parts)
        for row, time in enumerate(time for chunk in chunks for time in chunk)
    )
    found = []
    for each in merged([part_of(chunks, part) for part, chunks in enumerate(parts)]):
        values = each.value.tolist()
        assert len(values)
        assert each.read("data") == [("data", value % 100, value // 100) for value in values]
        for place, value in enumerate(values):
            assert each.data(place) == ("data", value % 100, value // 100)
            assert each.error(place) == f"error {value % 100} {value // 100}"
        found += [
            (time, value % 100, value // 100)
            for time, value in zip(each.time.tolist(), values, strict=True)
        ]
    assert found == expected


def test_rows_out_of_order_are_neither_lost_nor_repeated() -> None:
    parts = [part_of([[5, 1, 3], [2]], 0), part_of([[4, 0], [9, 1]], 1)]
    values = [value for each in merged(parts) for value in each.value.tolist()]
    assert sorted(values) == [0, 1, 100, 101, 200, 201, 300, 301]


def test_a_single_part_is_not_copied() -> None:
    only = chunk([1, 2], 0, 0)
    assert list(merged([iter([only]), iter(())])) == [only]


TICKS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)


@given(ticks=TICKS, processes=st.integers(1, 4), chunk_rows=st.integers(1, 5))
def test_segments_are_one_history(
    ticks: list[tuple[int, int]], processes: int, chunk_rows: int, tmp_path_factory: Any
) -> None:
    folder: Path = tmp_path_factory.mktemp("merged")
    now = 0
    segments = new_load_segments(processes)
    first = folder / "history.arrow"
    journals = [
        Journal(first, lambda: now, about=about_load_segments(segments)),
        *(Journal(folder / each.name, lambda: now, about=each.about) for each in segments),
    ]
    expected = []
    numbers = count()
    for step, writer in ticks:
        now += step
        index, number = writer % len(journals), next(numbers)
        name, node = NAMES[number % 3], f"n{number % 4}"
        data = {"number": number} if number % 5 == 0 else None
        journals[index].append("ok", name, number, process=number, node=node, data=data)
        expected.append((now, index, Op("ok", name, number, number, now, node, data=data)))
        if number % 2:
            journals[index].flush()
    for journal in journals:
        journal.close()
    rows, table.CHUNK_ROWS = table.CHUNK_ROWS, chunk_rows  # type: ignore[misc]  # for this test
    try:
        history = open_history(first)
        expected.sort(key=lambda entry: entry[:2])
        for _ in range(2):
            assert list(history.ops()) == [op for *_, op in expected]
    finally:
        table.CHUNK_ROWS = rows  # type: ignore[misc]  # for this test
    assert history.complete
    assert history.damage is None
