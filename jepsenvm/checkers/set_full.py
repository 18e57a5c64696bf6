"""set-full: the life of each element of a set that is read again and again.

Jepsen's ``checker/set-full``. Where ``grow_set`` compares with the last read only, this checker
also finds elements that appear late or vanish in between.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from jepsenvm.checkers.client_calls import Call, client_calls, orphans_reason
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.grow_set import SET_EXERCISE
from jepsenvm.checkers.keyed_sets import Split, split_by_key
from jepsenvm.checkers.total_queue import SHOWN
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shown
from jepsenvm.history.table import History, Ints, Mask
from jepsenvm.history.units import MILLISECOND, SECOND

SET_FULL_EXERCISE: Final = Exercise(
    SET_EXERCISE.operations,
    {
        **SET_EXERCISE.figures,
        "stable-count": "no element was in a read and in all later ones, so nothing was shown to "
        "be kept",
    },
)

NEVER: Final = np.iinfo(np.int64).max
"""The row of something that did not happen; later than all rows."""

WORST_SHOWN: Final = 8
QUANTILES: Final = (0, 0.5, 0.95, 0.99, 1)


def set_full(history: History, *, linearizable: bool = False) -> Result:
    """Judge every element of a set by all ok reads of the whole set.

    An element is *known* from the ok of its add, or from the end of the first read that has it. By
    the last reads with it and without it, in the order of their invocations, an element is

    - *stable* if a read with it was invoked after all reads without it;
    - *lost* if a read without it was invoked after it was known and after all reads with it;
    - *never-read* otherwise.

    A stable element is *stale* if a read without it was invoked after it was known. Lost elements,
    and elements that one read has several times (duplicated), are invalid; stale ones are with
    ``linearizable``. A history without a stable element is unknown. An element that is added again
    is one element, known from its first add.

    Beyond Jepsen: elements that a read has before any add of them was invoked (unexpected) are
    invalid. In a history that is cut short, a later read may have a lost element again, so it is
    undecided, which is unknown.
    """
    calls, orphans = client_calls(history, "add", "read")
    adds = [call for call in calls if call.f == "add"]
    reads = [call for call in calls if (call.f, call.type) == ("read", "ok")]
    split = split_by_key([add.asked for add in adds], reads)
    doubts = list(_doubts([call for call in orphans if call.type == "ok"], reads, split))
    lives = _lives(adds, [] if doubts else reads, split)
    figures = {
        "attempt-count": sum(len(life.elements) for life in lives),
        "acknowledged-count": sum(life.acknowledged for life in lives),
        "read-count": len(reads),
        **_figures(lives, final=history.complete or linearizable),
    }
    counts = {kind: figures[f"{kind}-count"] for kind in KINDS}
    verdict = graded(
        invalid=any(counts[kind] for kind in ("lost", "duplicated", "unexpected"))
        or (linearizable and counts["stale"] > 0),
        unknown=bool(doubts) or counts["undecided"] > 0 or not figures["stable-count"],
    )
    reasons = [f"the set cannot be judged: {doubt}" for doubt in doubts]
    return Result(verdict, (*_reasons(counts), *reasons), figures)


KINDS: Final = ("lost", "undecided", "stale", "never-read", "duplicated", "unexpected")
"""The kinds of elements that a result lists."""


def _doubts(orphans: list[Call], reads: Sequence[Call], split: Split) -> Iterator[str]:
    """Yield why the reads cannot be compared."""
    if orphans:
        yield orphans_reason(orphans)
    for read in reads:
        if not isinstance(split(read.answered)[1], list | tuple | set | frozenset):
            yield f"a read is not a collection: {shown(read.answered)}"
            return


class _Lives:
    """The elements of one set. All arrays have one entry for each element."""

    def __init__(self, adds: Sequence[tuple[Call, Any]]) -> None:
        """Take the adds in the order of their invocations, each with its element."""
        self.elements: list[Any] = []
        """As they were added, with the key of the set if there is one."""
        self.positions: dict[tuple[str, str], int] = {}
        firsts: list[int] = []
        for add, element in adds:
            if self.positions.setdefault(value_key(element), len(firsts)) == len(firsts):
                firsts.append(add.invoked)
                self.elements.append(add.asked)
        self.added: Ints = np.array(firsts, dtype=np.int64)
        """The row of the invocation of the first add."""
        self.known: Ints = np.full(len(firsts), NEVER)
        self.known_at: Ints = np.zeros(len(firsts), dtype=np.int64)
        """The row at which an element became known, and its time."""
        self.present: Ints = np.full(len(firsts), -1)
        self.present_at: Ints = np.zeros(len(firsts), dtype=np.int64)
        """The row and the time of the invocation of the last read with the element."""
        self.absent: Ints = np.full(len(firsts), -1)
        self.absent_at: Ints = np.zeros(len(firsts), dtype=np.int64)
        """The same of the last read without it."""
        self.duplicated: dict[tuple[str, str], tuple[Any, int]] = {}
        """How often a read has an element, at most."""
        self.unexpected: dict[tuple[str, str], Any] = {}
        for add, element in adds:
            if add.type == "ok":
                known = np.array([self.positions[value_key(element)]])
                self._becomes_known(known, add)
        self.acknowledged = int(np.count_nonzero(self.known < NEVER))

    def _becomes_known(self, positions: Ints, call: Call) -> None:
        row, time = call.returned or 0, call.ended or 0
        earlier = positions[self.known[positions] > row]
        self.known[earlier], self.known_at[earlier] = row, time

    def add_read(self, read: Call, answered: Iterable[Any]) -> None:
        """Take one ok read."""
        counts: Counter[tuple[str, str]] = Counter()
        elements = {}
        for element in answered:
            key = value_key(element)
            counts[key] += 1
            elements[key] = element
        read_at = np.array(
            [self.positions[key] for key in elements if key in self.positions], dtype=np.int64
        )
        attempted = self.added < (read.returned or 0)
        has: Mask = np.zeros(len(self.elements), dtype=bool)
        has[read_at] = True
        self._becomes_known(np.flatnonzero(has & attempted), read)
        self._seen(self.present, self.present_at, has & attempted, read)
        self._seen(self.absent, self.absent_at, ~has & attempted, read)
        for key, element in elements.items():
            if key not in self.positions or not attempted[self.positions[key]]:
                self.unexpected[key] = element
            if counts[key] > 1:
                most = max(counts[key], self.duplicated.get(key, (element, 0))[1])
                self.duplicated[key] = (element, most)

    @staticmethod
    def _seen(rows: Ints, times: Ints, elements: Mask, read: Call) -> None:
        newer = elements & (rows < read.invoked)
        rows[newer], times[newer] = read.invoked, read.began


def _lives(adds: Sequence[Call], reads: Sequence[Call], split: Split) -> list[_Lives]:
    """Return the elements of each set with what the reads show of them."""
    adds_of: dict[str, list[tuple[Call, Any]]] = defaultdict(list)
    for add in adds:
        name, element = split(add.asked)
        adds_of[name].append((add, element))
    reads_of: dict[str, list[tuple[Call, Any]]] = defaultdict(list)
    for read in reads:
        name, answered = split(read.answered)
        reads_of[name].append((read, answered))
    lives = []
    for name in {**adds_of, **reads_of}:
        life = _Lives(adds_of[name])
        for read, answered in reads_of[name]:
            life.add_read(read, answered)
        lives.append(life)
    return lives


def _figures(lives: Sequence[_Lives], *, final: bool) -> dict[str, Any]:
    """Return the elements by their kinds; ``final`` says that no read is missing."""
    kinds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    latencies: dict[str, list[float]] = {"stable": [], "lost": []}
    stale: list[dict[str, Any]] = []
    for life in lives:
        is_stable = (life.present >= 0) & (life.absent < life.present)
        is_lost = (life.absent > life.present) & (life.absent > life.known)
        is_stale = is_stable & (life.absent > life.known)
        stable_ms = _milliseconds(life.absent, life.absent_at, life.known_at)
        lost_ms = _milliseconds(life.present, life.present_at, life.known_at)
        latencies["stable"] += stable_ms[is_stable].tolist()
        latencies["lost"] += lost_ms[is_lost].tolist()
        kinds["lost" if final else "undecided"] += _selected(life, is_lost)
        kinds["stale"] += _selected(life, is_stale)
        kinds["never-read"] += _selected(life, ~is_stable & ~is_lost)
        kinds["duplicated"] += [list(found) for found in life.duplicated.values()]
        kinds["unexpected"] += life.unexpected.values()
        stale += [
            {
                "element": life.elements[position],
                "stable-latency": float(stable_ms[position]),
                "known": round(int(life.known_at[position]) / SECOND, 6),
                "last-absent": round(int(life.absent_at[position]) / SECOND, 6),
            }
            for position in np.flatnonzero(is_stale).tolist()
        ]
    stale.sort(key=itemgetter("stable-latency"), reverse=True)
    return {
        "stable-count": len(latencies["stable"]),
        **{f"{kind}-count": len(kinds[kind]) for kind in KINDS},
        **{kind: kinds[kind][:SHOWN] for kind in KINDS},
        "worst-stale": stale[:WORST_SHOWN],
        **{f"{name}-latencies": _quantiles(values) for name, values in latencies.items() if values},
    }


def _selected(life: _Lives, elements: Mask) -> list[Any]:
    return [life.elements[position] for position in np.flatnonzero(elements).tolist()]


def _milliseconds(rows: Ints, times: Ints, known_at: Ints) -> npt.NDArray[np.float64]:
    """Return how long after an element was known the last of these reads was invoked.

    That is 0 if there is no such read, or if it was invoked earlier.
    """
    nanoseconds = np.where(rows < 0, 0, np.maximum(times + 1 - known_at, 0))
    return np.round(nanoseconds / MILLISECOND, 3)


def _quantiles(values: list[float]) -> dict[str, float]:
    ranked = sorted(values)
    last = len(ranked) - 1
    return {f"{at:g}": ranked[min(last, int(len(ranked) * at))] for at in QUANTILES}


def _reasons(counts: Mapping[str, int]) -> tuple[str, ...]:
    explanations = {
        "lost": "known, and missing from every later read",
        "undecided": "missing from every later read of a history that is cut short",
        "stale": "missing from a read that began after they were known, and read again later",
        "duplicated": "several times in one read",
        "unexpected": "in a read, but not added before",
    }
    return tuple(
        f"{counted(counts[kind], 'element is', 'elements are')} {kind}: {explanation}"
        for kind, explanation in explanations.items()
        if counts[kind]
    )
