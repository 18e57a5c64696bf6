"""Jepsen's ``timeline.html``: a lane for each process, with a box for each op."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from importlib.resources import files
from itertools import islice
from typing import Any, Final

import jinja2

from jepsenvm.errors import printable, shorten
from jepsenvm.history import edn
from jepsenvm.history.op import NEMESIS, NO_PROCESS, Op
from jepsenvm.history.units import MILLISECOND, SECOND
from jepsenvm.report.stored_run import StoredRun

TEMPLATE: Final = "jepsen_timeline.html.j2"

MOST_OPS: Final = 10_000
"""Jepsen's limit too: browsers are slow with more boxes."""

WIDTH: Final = 100
GUTTER: Final = 106
HEIGHT: Final = 16
"""The width of a box, the width of a lane, and the height of an op, in pixels as in Jepsen."""

VALUE_CHARACTERS: Final = 40
DETAIL_CHARACTERS: Final = 400


@dataclass(frozen=True)
class Box:
    """One op from its invocation to its completion; times run downwards."""

    type: str
    left: int
    top: int
    height: int
    text: str
    title: str


def timeline(run: StoredRun) -> str:
    """Return the page of a run's first ops, which loads nothing and has no scripts."""
    ops = list(islice(run.history.ops(), MOST_OPS))
    lanes = _lanes(ops)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    html = environment.from_string(template).render(
        run=run,
        boxes=boxes(ops, lanes),
        note=_note(len(ops), sum(len(chunk.type) for chunk in run.history)),
        width=WIDTH,
        size=((max(lanes.values(), default=0) + 1) * GUTTER, (len(ops) + 1) * HEIGHT),
    )
    return printable(html)


def _note(shown: int, total: int) -> str:
    if shown < total:
        return f"Only the first {shown:,} of {total:,} ops are shown."
    return f"All {total:,} ops are shown."


def boxes(ops: Sequence[Op], lanes: Mapping[int, int]) -> Iterator[Box]:
    """Yield a box for each invocation with its completion, and for each op that has none.

    An op in doubt reaches to the end: it may take effect at any time.
    """
    open_rows: dict[int, int] = {}
    for row, op in enumerate(ops):
        begun = open_rows.pop(op.process, None)
        if begun is not None and (op.type == "invoke" or op.f != ops[begun].f):
            yield _box(ops, begun, None, lanes)
            begun = None
        if op.type == "invoke":
            open_rows[op.process] = row
        else:
            yield _box(ops, row if begun is None else begun, row, lanes)
    for row in open_rows.values():
        yield _box(ops, row, None, lanes)


def _box(ops: Sequence[Op], begun: int, ended: int | None, lanes: Mapping[int, int]) -> Box:
    start = ops[begun]
    end = start if ended is None else ops[ended]
    in_doubt = start.type == "invoke" and end.type in ("invoke", "info")
    last = len(ops) if in_doubt else max(begun + 1, ended or 0)
    return Box(
        type=end.type,
        left=lanes[start.process] * GUTTER,
        top=begun * HEIGHT,
        height=(last - begun) * HEIGHT,
        text=" ".join(_texts(start, end)),
        title="\n".join(_details(start, end, begun, completes=ended is not None)),
    )


def _texts(start: Op, end: Op) -> Iterator[str]:
    yield _process(start.process)
    yield shorten(start.f, VALUE_CHARACTERS)
    values = [start.value] if start.value == end.value else [start.value, end.value]
    yield from (_value(value) for value in values if value is not None)


def _details(start: Op, end: Op, row: int, *, completes: bool) -> Iterator[str]:
    yield f"index {row}, {start.time / SECOND:.3f} s" + (f", {start.node}" if start.node else "")
    if completes and start is not end:
        yield f"{end.type} after {(end.time - start.time) / MILLISECOND:.3f} ms"
    if end.error is not None:
        yield shorten(end.error, DETAIL_CHARACTERS)
    if isinstance(end.data, dict) and isinstance(end.data.get("fault"), dict):
        fault = end.data["fault"]
        text = f"{end.data.get('phase')} {fault.get('name')} {{{fault.get('text')}}}"
        yield shorten(text, DETAIL_CHARACTERS)


def _lanes(ops: Sequence[Op]) -> dict[int, int]:
    """Return the lane of each process; the nemesis, and ops without a process, are last.

    A lane is free again after the last op of its process, unless that is in doubt. Without that, a
    publisher that has many messages in flight at once would need a lane for each message.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for row, op in enumerate(ops):
        first.setdefault(op.process, row)
        last[op.process] = row if op.type in ("ok", "fail") else len(ops)
    lanes: dict[int, int] = {}
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for process in (process for process in first if process >= 0):
        while busy and busy[0][0] < first[process]:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (last[process], lane))
        lanes[process] = lane
    others = [process for process in (NEMESIS, NO_PROCESS) if process in first]
    clients = max(lanes.values(), default=-1) + 1
    return lanes | {process: clients + number for number, process in enumerate(others)}


def _process(process: int) -> str:
    return {NEMESIS: "nemesis", NO_PROCESS: "no process"}.get(process, str(process))


def _value(value: Any) -> str:
    return shorten(edn.written(value), VALUE_CHARACTERS)
