"""Lock holds: the intervals during which a process certainly held the lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.wording import seconds
from jepsenvm.history.units import SECOND

FOREVER: Final = int(np.iinfo(np.int64).max)
"""A row after all rows of any history."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A certain hold of the lock: from the ok of an acquire to the invocation of its release.

    The lock may have been held somewhat longer on both sides. It was granted at some moment before
    the ok, and released at some moment after the invocation. Only the part between is certain.
    """

    acquire: Call
    release: Call | None
    """None if the process never invoked a release."""

    @property
    def start(self) -> int:
        """The row at which the hold begins."""
        return FOREVER if self.acquire.returned is None else self.acquire.returned

    @property
    def end(self) -> int:
        """The row at which the hold ends."""
        return FOREVER if self.release is None else self.release.invoked

    @property
    def seconds(self) -> float:
        """The duration in seconds; 0 if the lock was never released."""
        if self.release is None or self.acquire.ended is None:
            return 0.0
        return (self.release.began - self.acquire.ended) / SECOND

    @property
    def calls(self) -> list[Call]:
        """The acquire and, if there is one, the release."""
        return [call for call in (self.acquire, self.release) if call is not None]

    @property
    def description(self) -> str:
        """The hold as a clause for people."""
        begin = f"from {seconds(self.acquire.ended or 0)} (acquire ok)"
        if self.release is None:
            return f"{self.acquire.who} held the lock {begin} and never released it"
        end = f"until {seconds(self.release.began)} (release invoked)"
        return f"{self.acquire.who} held the lock {begin} {end}"


@dataclass(frozen=True)
class Overlaps:
    """Where certain holds overlap, so that two processes held the lock at once."""

    pairs: int
    """How many pairs of holds overlap."""
    holds: int
    """How many holds overlap another one."""
    most: int
    """The largest number of holds at the same moment."""
    first: tuple[Hold, Hold] | None
    """The first hold that began during another one, after that other one."""


def lock_holds(calls: Sequence[Call]) -> list[Hold]:
    """Return the certain holds in calls that did not fail, by their start.

    After a release in doubt, a hold of the same process is not certain: the pending release may
    take effect during it and end it.
    """
    holds: list[Hold] = []
    unreleased: dict[int, list[Call]] = defaultdict(list)
    in_doubt: set[int] = set()
    for call in calls:
        if call.f == "acquire" and call.type == "ok" and call.process not in in_doubt:
            unreleased[call.process].append(call)
        elif call.f == "release":
            holds.extend(Hold(acquire, call) for acquire in unreleased.pop(call.process, []))
            if call.type == "info":
                in_doubt.add(call.process)
    holds.extend(Hold(acquire, None) for acquires in unreleased.values() for acquire in acquires)
    return sorted(holds, key=lambda hold: hold.start)


def overlaps(holds: Sequence[Hold]) -> Overlaps:
    """Count the overlaps of holds, which must be in the order of their start."""
    if not holds:
        return Overlaps(pairs=0, holds=0, most=0, first=None)
    starts = np.array([hold.start for hold in holds], dtype=np.int64)
    ends = np.array([hold.end for hold in holds], dtype=np.int64)
    # Of the holds that began before this one, those that also ended before it do not overlap it,
    # and every hold that ended before it began before it. So the number of overlapping earlier
    # holds is a difference of two counts, and no pairs need to be compared.
    ended_before = np.searchsorted(np.sort(ends), starts, side="right")
    overlapping_earlier = np.arange(len(holds)) - ended_before
    overlaps_next = np.append(starts[1:], FOREVER) < ends
    later_ones = np.flatnonzero(overlapping_earlier)
    first = None
    if len(later_ones):
        later = int(later_ones[0])
        earlier = int(np.flatnonzero(ends[:later] > starts[later])[0])
        first = (holds[earlier], holds[later])
    return Overlaps(
        pairs=int(overlapping_earlier.sum()),
        holds=int(((overlapping_earlier > 0) | overlaps_next).sum()),
        most=int(overlapping_earlier.max()) + 1,
        first=first,
    )
