"""Linearizability: whether each call can take effect at one moment between its begin and its end.

The algorithm is just-in-time linearization (Lowe, "Testing for linearizability", 2016), which
builds on Wing and Gong, "Testing and verifying concurrent objects" (1993): calls are put in order
only when one of them returns, and no configuration is explored twice.

Two facts about registers keep the search small:

- A write hides what took effect just before it. So at the moment when a write takes effect, every
  other open write may have taken effect unseen. From then on that write is free: it may return
  without any further effect, or take effect later.
- A write, or a call in doubt, needs to take effect before another call only if some call needs the
  state that it makes. Otherwise a legal order stays legal if it takes effect later, unseen, or if
  it is in doubt, never.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Final, NamedTuple

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.linearization_schedule import Event, Schedule, schedule
from jepsenvm.checkers.sequential_model import ANY_STATE, Effect, Model
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.wording import counted


@dataclass(frozen=True)
class Bounds:
    """Limits of a search. A search that reaches one of them ends with the verdict unknown."""

    configurations: int = 1_000_000
    """Configurations to keep: the memory, up to about 500 bytes each.

    A configuration with many calls in doubt needs more memory, and counts as several.
    """
    steps: int = 10_000_000
    """Steps to try: the time, one to two microseconds each."""
    clock: Callable[[], float] | None = None
    """If given, the search also ends when the clock shows the ``deadline``."""
    deadline: float = math.inf


DEFAULT_BOUNDS: Final = Bounds()

BITS_OF_ONE: Final = 1_000
"""A configuration with a larger burden counts as several."""


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
    """The possible states of the object when ``stuck`` returned."""
    concurrent: tuple[Call, ...] = ()
    """The other calls that were open when ``stuck`` returned, including those in doubt."""


def linearize(
    calls: Sequence[Call], model: Model, bounds: Bounds = DEFAULT_BOUNDS
) -> Linearization:
    """Search for an order of the calls, given by invocation, that the model allows.

    Failed calls did not happen. Calls in doubt may take effect at any time after their invocation,
    or never.
    """
    return _Search(schedule(calls, model), bounds).run()


class _BoundReached(Exception):  # noqa: N818 - not an error: it ends the search
    """The search reached one of its bounds."""


class _Configuration(NamedTuple):
    """How far a possible order has come."""

    at: int
    """The next return to explain."""
    state: Hashable
    ahead: int
    """The open calls that took effect before they return, except writes."""
    burden: int
    """The open writes and the calls in doubt that took effect, and the writes that are not free.

    A subset is at least as good: whatever follows from this configuration also follows from one
    that is equal except for a smaller burden.
    """


class _Search:
    """A search through the returns, always from the configuration that has come furthest.

    Among configurations at the same return, the one with the fewest effects comes first.
    """

    def __init__(self, schedule: Schedule, bounds: Bounds) -> None:
        self._returns = schedule.returns
        self._schedule = schedule
        self._bounds = bounds
        self._reached: dict[tuple[int, Hashable, int], list[int]] = {}
        """The burdens that were reached, by (at, state, ahead)."""
        self._queue: list[tuple[int, int, int, _Configuration, bool]] = []
        self._explored = 0
        self._kept = 0
        self._steps = 0
        self._solved = False

    def run(self) -> Linearization:
        """Search until a legal order is found, none is left to try, or a bound is reached."""
        try:
            self._arrive(_Configuration(0, self._schedule.initial, 0, 0))
            while self._queue and not self._solved:
                self._expand()
        except _BoundReached as bound:
            return self._progress(Verdict.UNKNOWN, str(bound))
        if self._solved:
            return Linearization(Verdict.VALID, self._explored)
        return self._progress(Verdict.INVALID)

    def _arrive(self, configuration: _Configuration) -> None:
        """Add a configuration at the next return, after the writes that began before that."""
        if configuration.at == len(self._returns):
            self._solved = True
            return
        burden = configuration.burden | self._returns[configuration.at].begun
        self._reach(configuration._replace(burden=burden))

    def _reach(self, configuration: _Configuration) -> None:
        """Add a configuration to the queue, unless an equal or a better one was reached."""
        at, state, ahead, burden = configuration
        for event in self._returns[at].keeping:
            # A read that is legal now may take effect now: it changes nothing for other calls.
            if event.effect.needs == state:
                ahead |= event.bit
        reached = self._reached.setdefault((at, state, ahead), [])
        # Comparing sets costs time as well, about an eighth of a step for each.
        self._spend(1 + len(reached) // 8)
        if any(smaller & burden == smaller for smaller in reached):
            return
        reached.append(burden)
        self._kept += 1 + burden.bit_length() // BITS_OF_ONE
        self._explored += 1
        if self._kept > self._bounds.configurations:
            raise _BoundReached(_ended_after(self._explored - 1))
        self._push(_Configuration(at, state, ahead, burden), others=False)

    def _push(self, configuration: _Configuration, *, others: bool) -> None:
        effects = configuration.ahead.bit_count() + configuration.burden.bit_count() + others
        # The number of steps is unique in the queue, so heapq never compares two configurations.
        self._spend(1)
        entry = (-configuration.at, effects, self._steps, configuration, others)
        heapq.heappush(self._queue, entry)

    def _expand(self) -> None:
        """Continue from the first configuration in the queue."""
        bounds = self._bounds
        if bounds.clock is not None and bounds.clock() >= bounds.deadline:
            raise _BoundReached(f"{_ended_after(self._explored)}, out of time")
        *_, configuration, others = heapq.heappop(self._queue)
        if others:
            self._try_others(configuration)
        else:
            self._try_itself(configuration)

    def _try_itself(self, configuration: _Configuration) -> None:
        """Let the returning call take effect just before it returns, if it has not before.

        Just in time: no other call has to take effect first in most histories, so this is tried
        before any other order.
        """
        returning = self._returns[configuration.at]
        event = returning.event
        effect = event.effect
        took_effect = configuration.burden if effect.overwrites else configuration.ahead
        if took_effect & event.bit:
            self._return(configuration)
            return
        if effect.overwrites and not configuration.burden & event.owed:
            self._return(configuration)
            if self._schedule.last_needed.get(effect.makes, -1) < returning.row:
                return  # Nothing comes of an effect that no call needs.
        if effect.legal_in(configuration.state):
            self._return(self._after(configuration, event))
        self._push(configuration, others=True)

    def _try_others(self, configuration: _Configuration) -> None:
        """Let one more of the other calls take effect before this return."""
        at, state, ahead, burden = configuration
        returning, doubts = self._returns[at], self._schedule.doubts
        # Open calls with equal effects are interchangeable: the first to return comes first.
        tried: set[Effect] = {returning.event.effect}
        for event in returning.others:
            effect = event.effect
            took_effect = burden if effect.overwrites else ahead
            if took_effect & event.bit or effect in tried:
                continue
            tried.add(effect)
            useful = effect.makes in returning.needed or doubts.need(effect.makes)
            if (useful or not effect.overwrites) and effect.legal_in(state):
                self._reach(self._after(configuration, event))
        for event in doubts.useful(state, returning.needed, burden, returning.row):
            self._reach(self._after(configuration, event))

    def _after(self, configuration: _Configuration, event: Event) -> _Configuration:
        """Return the configuration after one more call took effect."""
        at, _, ahead, burden = configuration
        made = event.effect.makes
        if event.effect.overwrites:
            burden &= ~self._returns[at].owed
        elif event.call.returned is not None:
            return _Configuration(at, made, ahead | event.bit, burden)
        return _Configuration(at, made, ahead, burden | event.bit)

    def _return(self, configuration: _Configuration) -> None:
        """Let the returning call return: its bits will mean another call."""
        at, state, ahead, burden = configuration
        event = self._returns[at].event
        if event.effect.overwrites:
            burden &= ~(event.bit | event.owed)
        else:
            ahead &= ~event.bit
        self._arrive(_Configuration(at + 1, state, ahead, burden))

    def _spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > self._bounds.steps:
            raise _BoundReached(_ended_after(self._explored))

    def _progress(self, verdict: Verdict, reason: str | None = None) -> Linearization:
        """Return how far the search came: the furthest return and the possible states there."""
        furthest = max((at for at, _, _ in self._reached), default=0)
        stuck = self._returns[furthest]
        concurrent = [event.call for event in stuck.others]
        concurrent += self._schedule.doubts.invoked_before(stuck.row)
        return Linearization(
            verdict,
            self._explored,
            reason,
            stuck=stuck.event.call,
            states=tuple(self._states(furthest)),
            concurrent=tuple(sorted(concurrent, key=_invoked)),
        )

    def _states(self, at: int) -> dict[Hashable, None]:
        """Return the states that the object could have just before a return, in a fixed order.

        The search does not try effects that cannot explain the return, so it did not reach all of
        these states. A call is left out if it had taken effect in every order.
        """
        returning = self._returns[at]
        states, ahead, burden = dict[Hashable, None](), -1, -1
        for (_, state, more_ahead), burdens in self._reached_at(at):
            states[state] = None
            ahead &= more_ahead
            burden = reduce(and_, burdens, burden)
        unused = [
            event
            for event in returning.others
            if not event.bit & (burden if event.effect.overwrites else ahead)
        ]
        unused += self._schedule.doubts.unused(burden, returning.row)
        made_from: dict[Hashable, list[Hashable]] = {}
        for event in unused:
            made_from.setdefault(event.effect.needs, []).append(event.effect.makes)
        pending = [*states, ANY_STATE]
        while pending:
            for made in made_from.get(pending.pop(0), ()):
                if made not in states and made != returning.event.effect.needs:
                    states[made] = None
                    pending.append(made)
        return states

    def _reached_at(self, at: int) -> list[tuple[tuple[int, Hashable, int], list[int]]]:
        return [(key, burdens) for key, burdens in self._reached.items() if key[0] == at]


def _ended_after(configurations: int) -> str:
    return f"the search ended after {counted(configurations, 'configuration')}"


def _invoked(call: Call) -> int:
    return call.invoked
