"""Linearizability: whether each call can take effect at one moment between its begin and its end.

The algorithm is just-in-time linearization (Lowe, "Testing for linearizability", 2016), which
builds on Wing and Gong, "Testing and verifying concurrent objects" (1993): calls are put in order
only when one of them returns, and no configuration is explored twice.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.sequential_model import ILLEGAL, Model
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.wording import counted


@dataclass(frozen=True)
class Bounds:
    """Limits of a search. A search that reaches one of them ends with the verdict unknown."""

    configurations: int = 1_000_000
    """Configurations to keep: the memory, up to about 500 bytes each."""
    steps: int = 10_000_000
    """Steps of the model to try: the time, one to two microseconds each."""
    clock: Callable[[], float] | None = None
    """If given, the search also ends when the clock shows the ``deadline``."""
    deadline: float = math.inf


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True)
class Linearization:
    """The result of a search.

    If it is invalid, ``stuck`` is the first call to return that no order explains. If it is
    unknown, ``stuck`` is the last call to return that the search tried to explain.
    """

    verdict: Verdict
    explored: int
    """The number of configurations that were reached."""
    reason: str | None = None
    """Why it is unknown."""
    stuck: Call | None = None
    states: tuple[Hashable, ...] = ()
    """The possible states of the model when ``stuck`` returned."""
    concurrent: tuple[Call, ...] = ()
    """The other calls that were open when ``stuck`` returned, including those in doubt."""


def linearize(
    calls: Sequence[Call], model: Model, bounds: Bounds = DEFAULT_BOUNDS
) -> Linearization:
    """Search for an order of the calls, given by invocation, that the model allows.

    Failed calls did not happen. Calls in doubt may take effect at any time after their invocation,
    or never.
    """
    return _Search(_schedule(calls, model), bounds).run()


@dataclass(frozen=True)
class _Return:
    """A return, and the calls that are open just before it, as indices into the calls."""

    call: int
    others: tuple[int, ...]
    """The other open calls that will return later."""
    reads: tuple[int, ...]
    """The open reads, including the returning call if it is one."""
    row: int


@dataclass(frozen=True)
class _Schedule:
    """Everything about the calls that does not change during the search."""

    model: Model
    calls: Sequence[Call]
    operations: Sequence[tuple[str, Any]]
    """The f and the operand of each call."""
    bits: Sequence[int]
    """The bit of each call in a set of calls. A set is an integer, which is quick to hash."""
    returns: Sequence[_Return]
    alike: Sequence[Sequence[int]]
    """The calls in doubt, grouped by their operation, in the order of invocation."""


def _schedule(calls: Sequence[Call], model: Model) -> _Schedule:
    """Prepare a search. Reads in doubt are left out, since they explain nothing."""
    kept = [
        call
        for call in calls
        if call.type == "ok" or (call.type == "info" and call.f not in model.reads)
    ]
    operations = [(call.f, model.operand(call)) for call in kept]
    bits = [0] * len(kept)
    alike: dict[tuple[str, Any], list[int]] = {}
    free_bits: list[int] = []
    open_calls: list[int] = []
    doubts = 0
    returns: list[_Return] = []
    for row, index in sorted(_rows(kept)):
        call = kept[index]
        if row == call.returned:
            open_calls.remove(index)
            # The bit is used again, so the sets are as small as the largest number of open calls.
            free_bits.append(bits[index])
            reads = tuple(other for other in (*open_calls, index) if kept[other].f in model.reads)
            returns.append(_Return(index, tuple(open_calls), reads, row))
        elif call.returned is None:
            # Calls in doubt are open to the end, so they have a set and bits of their own.
            alike.setdefault(operations[index], []).append(index)
            bits[index] = 1 << doubts
            doubts += 1
        else:
            bits[index] = free_bits.pop() if free_bits else 1 << len(open_calls)
            open_calls.append(index)
    return _Schedule(model, kept, operations, bits, returns, list(alike.values()))


def _rows(calls: Sequence[Call]) -> Iterator[tuple[int, int]]:
    for index, call in enumerate(calls):
        yield call.invoked, index
        if call.returned is not None:
            yield call.returned, index


class _BoundReached(Exception):  # noqa: N818 - not an error: it ends the search
    """The search reached one of its bounds."""


class _Search:
    """A search through the returns, always from the configuration that has come furthest.

    A configuration is: the next return to explain (``at``), the model's state, the open calls that
    took effect before they return (``ahead``), and the calls in doubt that took effect (``spent``).
    Among configurations at the same return, the one with the fewest effects comes first. A
    configuration that spent a superset of another's doubts, and is equal otherwise, is dropped:
    whatever follows from it also follows from the other.
    """

    def __init__(self, schedule: _Schedule, bounds: Bounds) -> None:
        self._schedule = schedule
        self._bounds = bounds
        self._reached: dict[tuple[int, Hashable, int], list[int]] = {}
        """The sets ``spent`` that were reached, by (at, state, ahead)."""
        self._queue: list[tuple[int, int, int, Hashable, int, int, bool]] = []
        self._explored = 0
        self._steps = 0
        self._solved = False

    def run(self) -> Linearization:
        """Search until a legal order is found, none is left to try, or a bound is reached."""
        try:
            self._reach(0, self._schedule.model.initial, 0, 0)
            while self._queue and not self._solved:
                self._expand()
        except _BoundReached as bound:
            return self._progress(Verdict.UNKNOWN, str(bound))
        if self._solved:
            return Linearization(Verdict.VALID, self._explored)
        return self._progress(Verdict.INVALID)

    def _expand(self) -> None:
        """Continue from the first configuration in the queue."""
        bounds = self._bounds
        if bounds.clock is not None and bounds.clock() >= bounds.deadline:
            raise _BoundReached(f"{self._ended_after(self._explored)}, out of time")
        minus_at, _, _, state, ahead, spent, others = heapq.heappop(self._queue)
        if others:
            self._try_others(-minus_at, state, ahead, spent)
        else:
            self._try_itself(-minus_at, state, ahead, spent)

    def _reach(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Add a configuration to the queue, unless one with a subset of ``spent`` was reached."""
        if at == len(self._schedule.returns):
            self._solved = True
            return
        for index in self._schedule.returns[at].reads:
            # A read that is legal now may take effect now: it changes nothing for other calls.
            if not ahead & self._schedule.bits[index] and self._step(state, index) is not ILLEGAL:
                ahead |= self._schedule.bits[index]
        reached = self._reached.setdefault((at, state, ahead), [])
        # Comparing sets costs time as well, about an eighth of a step for each.
        self._steps += len(reached) // 8
        if any(fewer & spent == fewer for fewer in reached):
            return
        reached.append(spent)
        self._explored += 1
        if self._explored > self._bounds.configurations:
            raise _BoundReached(self._ended_after(self._explored - 1))
        self._push(at, state, ahead, spent, others=False)

    def _push(self, at: int, state: Hashable, ahead: int, spent: int, *, others: bool) -> None:
        effects = ahead.bit_count() + spent.bit_count() + others
        # The number of steps is unique in the queue, so heapq never compares two states.
        self._steps += 1
        heapq.heappush(self._queue, (-at, effects, self._steps, state, ahead, spent, others))

    def _try_itself(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Let the returning call take effect just before it returns, if it has not before.

        Just in time: no other call has to take effect first in most histories, so this is tried
        before any other order.
        """
        index = self._schedule.returns[at].call
        bit = self._schedule.bits[index]
        if ahead & bit:
            self._reach(at + 1, state, ahead & ~bit, spent)
            return
        next_state = self._step(state, index)
        if next_state is not ILLEGAL:
            self._reach(at + 1, next_state, ahead, spent)
        self._push(at, state, ahead, spent, others=True)

    def _try_others(self, at: int, state: Hashable, ahead: int, spent: int) -> None:
        """Let one more of the other open calls take effect before this return."""
        for index in self._schedule.returns[at].others:
            bit = self._schedule.bits[index]
            if not ahead & bit and (next_state := self._step(state, index)) is not ILLEGAL:
                self._reach(at, next_state, ahead | bit, spent)
        for index in self._unspent(at, spent):
            next_state = self._step(state, index)
            # A call in doubt that does not change the state may as well never take effect.
            if next_state is not ILLEGAL and next_state != state:
                self._reach(at, next_state, ahead, spent | self._schedule.bits[index])

    def _unspent(self, at: int, spent: int) -> Iterator[int]:
        """Yield calls in doubt that can take effect before a return, one for each operation.

        Calls of the same operation are interchangeable. Of these, the call that was invoked first
        is yielded: it may take effect at every moment at which a later call may.
        """
        row = self._schedule.returns[at].row
        for group in self._schedule.alike:
            if self._schedule.calls[group[0]].invoked > row:
                return  # The groups are in the order of invocation, so all others are later too.
            unspent = (index for index in group if not spent & self._schedule.bits[index])
            index = next(unspent, None)
            if index is not None and self._schedule.calls[index].invoked < row:
                yield index

    def _step(self, state: Hashable, index: int) -> Hashable:
        self._steps += 1
        if self._steps > self._bounds.steps:
            raise _BoundReached(self._ended_after(self._explored))
        return self._schedule.model.step(state, *self._schedule.operations[index])

    @staticmethod
    def _ended_after(configurations: int) -> str:
        return f"the search ended after {counted(configurations, 'configuration')}"

    def _progress(self, verdict: Verdict, reason: str | None = None) -> Linearization:
        """Return how far the search came: the furthest return and the possible states there."""
        schedule = self._schedule
        furthest = max((at for at, _, _ in self._reached), default=0)
        states = {state: None for at, state, _ in self._reached if at == furthest}
        stuck = schedule.returns[furthest]
        doubts = [index for group in schedule.alike for index in group]
        concurrent = [
            schedule.calls[index]
            for index in sorted([*stuck.others, *doubts])
            if schedule.calls[index].invoked < stuck.row
        ]
        return Linearization(
            verdict,
            self._explored,
            reason,
            stuck=schedule.calls[stuck.call],
            states=tuple(states),
            concurrent=tuple(concurrent),
        )
