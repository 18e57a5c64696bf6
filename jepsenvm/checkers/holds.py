"""Holds: from when to when a process certainly had the lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jepsenvm.checkers.calls import Call, seconds
from jepsenvm.history.units import SECOND

FOREVER: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock had from when its acquire was ok until its release was invoked, in rows of the history."""

    acquire: Call
    release: Call | None
    """None when the holder never asked to release it."""

    @property
    def start(self) -> int:
        """The row from which on it was had for certain."""
        return FOREVER if self.acquire.returned is None else self.acquire.returned

    @property
    def end(self) -> int:
        """The row until which it was had for certain."""
        return FOREVER if self.release is None else self.release.invoked

    @property
    def seconds(self) -> float:
        """How long it lasted; 0 when it was never released."""
        if self.release is None or self.acquire.ended is None:
            return 0.0
        return (self.release.began - self.acquire.ended) / SECOND

    @property
    def calls(self) -> list[Call]:
        """The calls that make it."""
        return [call for call in (self.acquire, self.release) if call is not None]

    @property
    def story(self) -> str:
        """The hold in words."""
        until = (
            "and never released it"
            if self.release is None
            else f"until {seconds(self.release.began)}"
        )
        how = "" if self.release is None else " (release invoked)"
        return f"{self.acquire.who} held the lock from {seconds(self.acquire.ended or 0)} (acquire ok) {until}{how}"


@dataclass(frozen=True)
class Overlaps:
    """Where two held the lock at once."""

    pairs: int
    holds: int
    """How many holds overlap any other."""
    most: int
    """How many held it at once, at most."""
    first: tuple[Hold, Hold] | None
    """The hold that first began while another lasted, after that other."""


def holds(calls: Sequence[Call]) -> list[Hold]:
    """Return the certain holds, by their start, of acquires and releases that did not fail.

    A hold that begins after a release in doubt of the same process is not certain: that release may yet end it.
    """
    found: list[Hold] = []
    waiting: dict[int, list[Call]] = defaultdict(list)
    doubtful: set[int] = set()
    for call in calls:
        if call.f == "acquire" and call.type == "ok" and call.process not in doubtful:
            waiting[call.process].append(call)
        elif call.f == "release":
            found.extend(Hold(acquire, call) for acquire in waiting.pop(call.process, []))
            if call.type == "info":
                doubtful.add(call.process)
    found.extend(Hold(acquire, None) for acquires in waiting.values() for acquire in acquires)
    return sorted(found, key=lambda hold: hold.start)


def overlaps(held: Sequence[Hold]) -> Overlaps:
    """Count where holds, by their start, overlap."""
    if not held:
        return Overlaps(0, 0, 0, None)
    starts = np.array([hold.start for hold in held], dtype=np.int64)
    ends = np.array([hold.end for hold in held], dtype=np.int64)
    # A hold that ended before this one began also began before it: the rest of the earlier ones still lasted.
    lasting = np.arange(len(held)) - np.searchsorted(np.sort(ends), starts, side="right")
    followed = np.append(starts[1:], FOREVER) < ends
    late = np.flatnonzero(lasting)
    first = None
    if len(late):
        earlier = int(np.flatnonzero(ends[: late[0]] > starts[late[0]])[0])
        first = (held[earlier], held[int(late[0])])
    involved = int(((lasting > 0) | followed).sum())
    return Overlaps(int(lasting.sum()), involved, int(lasting.max()) + 1, first)
