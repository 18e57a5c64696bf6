"""Linearizability: whether every op can have taken effect at one moment between its invocation and its completion.

Just-in-time linearization after Lowe, "Testing for linearizability" (2016), which builds on Wing and Gong (1993): ops
are put in order only when one of them returns, and no configuration is explored twice.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.calls import Call
from jepsenvm.checkers.model import ILLEGAL, Model
from jepsenvm.checkers.verdict import Verdict


@dataclass(frozen=True)
class Bounds:
    """How far a search may go before it gives up and says unknown."""

    configurations: int = 1_000_000
    """So many different ones are kept: the memory, up to about half a kilobyte each."""
    steps: int = 10_000_000
    """So many steps of the model are tried: the time, one to two microseconds each."""
    clock: Callable[[], float] | None = None
    """Where there is one, the search also ends when it shows the ``deadline``."""
    deadline: float = math.inf


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True)
class Linearization:
    """What a search found. Where it is invalid, ``stuck`` is the first call to return that no order explains.

    Where it is unknown, ``stuck`` is the last call to return that was tried, and may well be explained.
    """

    verdict: Verdict
    explored: int
    """How many configurations were found."""
    reason: str | None = None
    """Why it is unknown."""
    stuck: Call | None = None
    states: tuple[Hashable, ...] = ()
    """The states that the model could be in when ``stuck`` returned."""
    concurrent: tuple[Call, ...] = ()
    """The other calls that were open then; those in doubt are among them."""


def linearize(
    calls: Sequence[Call], model: Model, bounds: Bounds = DEFAULT_BOUNDS
) -> Linearization:
    """Say whether these calls, by invocation, are linearizable as this model; unknown when a bound ends the search.

    Failed calls did not happen. Calls in doubt may take effect at any time after their invocation, or never.
    """
    return _Search(_schedule(calls, model), bounds).run()


@dataclass(frozen=True)
class _Return:
    """One return and what is open just before it; a call is its number in ``calls``."""

    call: int
    others: tuple[int, ...]
    """The other calls that are open and will return."""
    reads: tuple[int, ...]
    """The reads that are open, its own call among them."""
    row: int


@dataclass(frozen=True)
class _Schedule:
    model: Model
    calls: Sequence[Call]
    what: Sequence[tuple[str, Any]]
    """Each call as the model's steps see it: its f and operand."""
    bits: Sequence[int]
    """The bit of each call; those that return leave theirs to later ones, those in doubt keep theirs."""
    returns: Sequence[_Return]
    alike: Sequence[Sequence[int]]
    """The calls in doubt, those that are alike together, by invocation."""


def _schedule(calls: Sequence[Call], model: Model) -> _Schedule:
    """Prepare what the search needs. A read in doubt explains nothing and is left out."""
    kept = [
        call
        for call in calls
        if call.type == "ok" or (call.type == "info" and call.f not in model.reads)
    ]
    what = [(call.f, model.operand(call)) for call in kept]
    bits = [0] * len(kept)
    alike: dict[tuple[str, Any], list[int]] = {}
    free: list[int] = []
    open_: list[int] = []
    doubts = 0
    returns: list[_Return] = []
    for row, number in sorted(_rows(kept)):
        call = kept[number]
        if row != call.returned:
            if call.returned is None:
                alike.setdefault(what[number], []).append(number)
                bits[number] = 1 << doubts
                doubts += 1
            else:
                bits[number] = free.pop() if free else 1 << len(open_)
                open_.append(number)
            continue
        open_.remove(number)
        free.append(bits[number])
        reads = tuple(other for other in (*open_, number) if kept[other].f in model.reads)
        returns.append(_Return(number, tuple(open_), reads, row))
    return _Schedule(model, kept, what, bits, returns, list(alike.values()))


def _rows(calls: Sequence[Call]) -> Iterator[tuple[int, int]]:
    for number, call in enumerate(calls):
        yield call.invoked, number
        if call.returned is not None:
            yield call.returned, number


class _Ended(Exception):  # noqa: N818 - no error: a bound was reached
    """The search ends here, undecided."""


class _Search:
    """Goes depth first through the returns, and at each return takes first what puts the fewest ops before it.

    A configuration is a return to come, the model's state, which open calls took effect already (``ahead``), and which
    of those in doubt did (``spent``). One that spent more than another, all else equal, can do nothing that the other
    can't, and is dropped.
    """

    def __init__(self, schedule: _Schedule, bounds: Bounds) -> None:
        self._schedule = schedule
        self._bounds = bounds
        self._seen: dict[tuple[int, Hashable, int], list[int]] = {}
        self._queue: list[tuple[int, int, int, Hashable, int, int, bool]] = []
        self._explored = 0
        self._steps = 0
        self._solved = False

    def run(self) -> Linearization:
        """Search to the end, or to a bound."""
        try:
            self._found(0, self._schedule.model.initial, 0, 0)
            while self._queue and not self._solved:
                self._expand()
        except _Ended as ended:
            return self._undone(Verdict.UNKNOWN, str(ended))
        if self._solved:
            return Linearization(Verdict.VALID, self._explored)
        return self._undone(Verdict.INVALID)

    def _expand(self) -> None:
        """Go on from the most promising configuration."""
        bounds = self._bounds
        if bounds.clock is not None and bounds.clock() >= bounds.deadline:
            raise _Ended(f"search ended after {self._explored:,} configurations, out of time")
        minus_at, _, _, state, ahead, spent, others = heapq.heappop(self._queue)
        (self._try_others if others else self._try_itself)(-minus_at, state, ahead, spent)

    def _found(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Keep a configuration for later, if nothing as good is known."""
        if at == len(self._schedule.returns):
            self._solved = True
            return
        for number in self._schedule.returns[at].reads:
            # A read that is legal now may as well take effect now: it changes nothing for the others.
            if not ahead & self._schedule.bits[number] and self._step(state, number) is not ILLEGAL:
                ahead |= self._schedule.bits[number]
        known = self._seen.setdefault((at, state, ahead), [])
        self._steps += len(known) // 8  # comparing is work too
        if known and any(less & spent == less for less in known):
            return
        known.append(spent)
        self._explored += 1
        if self._explored > self._bounds.configurations:
            raise _Ended(f"search ended after {self._explored - 1:,} configurations")
        self._push(at, state, ahead, spent, others=False)

    def _push(self, at: int, state: Hashable, ahead: int, spent: int, *, others: bool) -> None:
        effects = ahead.bit_count() + spent.bit_count() + others
        # The number of steps settles the order, and no two states are ever compared.
        self._steps += 1
        heapq.heappush(self._queue, (-at, effects, self._steps, state, ahead, spent, others))

    def _try_itself(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Let the call that returns take effect last of all, if it has not before."""
        number = self._schedule.returns[at].call
        bit = self._schedule.bits[number]
        if ahead & bit:
            self._found(at + 1, state, ahead & ~bit, spent)
            return
        after = self._step(state, number)
        if after is not ILLEGAL:
            self._found(at + 1, after, ahead, spent)
        self._push(at, state, ahead, spent, others=True)

    def _try_others(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Let one more of the open calls take effect before."""
        for number in self._schedule.returns[at].others:
            bit = self._schedule.bits[number]
            if not ahead & bit and (after := self._step(state, number)) is not ILLEGAL:
                self._found(at, after, ahead | bit, spent)
        for number in self._unspent(at, spent):
            after = self._step(state, number)
            if after is not ILLEGAL and after != state:
                self._found(at, after, ahead, spent | self._schedule.bits[number])

    def _unspent(self, at: int, spent: int) -> Iterator[int]:
        """Yield the calls in doubt that may take effect before a return; of those that are alike, one."""
        row = self._schedule.returns[at].row
        for group in self._schedule.alike:
            if self._schedule.calls[group[0]].invoked > row:
                return  # and so are all groups after it
            number = next(
                (number for number in group if not spent & self._schedule.bits[number]), None
            )
            if number is not None and self._schedule.calls[number].invoked < row:
                yield number

    def _step(self, state: Hashable, number: int) -> Hashable:
        self._steps += 1
        if self._steps > self._bounds.steps:
            raise _Ended(f"search ended after {self._explored:,} configurations")
        return self._schedule.model.step(state, *self._schedule.what[number])

    def _undone(self, verdict: Verdict, reason: str | None = None) -> Linearization:
        """Tell how far the search came."""
        schedule = self._schedule
        furthest = max((at for at, _, _ in self._seen), default=0)
        states = {state: None for at, state, _ in self._seen if at == furthest}
        stuck = schedule.returns[furthest]
        concurrent = [*stuck.others, *(number for group in schedule.alike for number in group)]
        return Linearization(
            verdict,
            self._explored,
            reason,
            stuck=schedule.calls[stuck.call],
            states=tuple(states),
            concurrent=tuple(
                schedule.calls[number]
                for number in sorted(concurrent)
                if schedule.calls[number].invoked < stuck.row
            ),
        )
