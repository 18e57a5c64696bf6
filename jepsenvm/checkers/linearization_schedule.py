"""The returns of a history's calls, prepared for the search for a linearization."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.sequential_model import UNKNOWN_STATE, Effect, Model


@dataclass(frozen=True, slots=True)
class Event:
    """A call with its effect, and its bits in the sets of a configuration.

    A set of calls is an integer, which is quick to hash.
    """

    call: Call
    effect: Effect
    bit: int
    """Its bit in a set of calls that took effect."""
    owed: int
    """The bit of an open write in a set of writes that must still take effect; else 0."""

    @property
    def returned(self) -> float:
        """The row of the return; infinite if the call is in doubt."""
        return _end(self.call)


@dataclass(frozen=True, slots=True)
class Return:
    """A return, and the calls that are open just before it."""

    event: Event
    row: int
    others: Sequence[Event]
    """The other open calls that will return later, the first to return first."""
    keeping: Sequence[Event]
    """The open calls that keep the state, such as reads; also the returning call if it does."""
    needed: Mapping[Hashable, None]
    """The states that the open calls need, in a fixed order."""
    begun: int
    """The ``owed`` bits of the writes that were invoked since the previous return."""
    owed: int
    """The ``owed`` bits of all open writes."""


class Doubts:
    """The calls in doubt, in groups of equal effects. The calls of a group are interchangeable."""

    def __init__(self, events: Iterable[Event]) -> None:
        """Group the events, which are in the order of invocation."""
        groups: dict[Effect, list[Event]] = {}
        for event in events:
            groups.setdefault(event.effect, []).append(event)
        self._swaps = [group for effect, group in groups.items() if not effect.overwrites]
        self._swaps_from: dict[Hashable, list[list[Event]]] = {}
        for group in self._swaps:
            self._swaps_from.setdefault(group[0].effect.needs, []).append(group)
        self._writes = {
            effect.makes: group for effect, group in groups.items() if effect.overwrites
        }
        self._writes_for_swaps = [made for made in self._writes if self.need(made)]

    def need(self, state: Hashable) -> bool:
        """Return whether any call in doubt needs a state."""
        return state in self._swaps_from

    def useful(
        self, state: Hashable, needed: Mapping[Hashable, None], burden: int, row: int
    ) -> Iterator[Event]:
        """Yield calls that can take effect in a state before a row, and whose own states help.

        A state helps if one of the open calls needs it (``needed``), or another call in doubt. Of
        a group, only the first call that is not in the ``burden`` is yielded: it may take effect at
        every moment at which a later call may.
        """
        swaps = self._swaps if state == UNKNOWN_STATE else self._swaps_from.get(state, ())
        helpful = [*needed, *(made for made in self._writes_for_swaps if made not in needed)]
        writes = [self._writes[made] for made in helpful if made in self._writes]
        for group in (*swaps, *writes):
            made = group[0].effect.makes
            if made != state and (made in needed or self.need(made)):
                yield from _first(group, burden, row)

    def unused(self, burden: int, row: int) -> Iterator[Event]:
        """Yield a call of each group that is not in the burden and was invoked before a row."""
        for group in (*self._swaps, *self._writes.values()):
            yield from _first(group, burden, row)

    def invoked_before(self, row: int) -> Iterator[Call]:
        """Yield all calls in doubt that were invoked before a row."""
        for group in (*self._swaps, *self._writes.values()):
            yield from (event.call for event in group if event.call.invoked < row)


def _first(group: Sequence[Event], burden: int, row: int) -> Iterator[Event]:
    """Yield the first call of a group that is not in the burden, if it was invoked before a row."""

    def unspent(event: Event) -> bool:
        return not burden & event.bit

    # The calls of a group take effect in their order, so those that did are the first ones.
    place = bisect_left(group, True, key=unspent)
    if place < len(group) and group[place].call.invoked < row:
        yield group[place]


@dataclass(frozen=True)
class Schedule:
    """Everything about the calls that does not change during the search."""

    initial: Hashable
    returns: Sequence[Return]
    doubts: Doubts
    last_needed: Mapping[Hashable, float]
    """The row after which no call needs a state any more."""


def schedule(calls: Iterable[Call], model: Model) -> Schedule:
    """Prepare a search. ``calls`` are in the order of invocation.

    Calls without an effect, and calls in doubt that keep the state, explain nothing and are left
    out.
    """
    events = list(_events(calls, model))
    return Schedule(
        model.initial,
        list(_returns(events)),
        Doubts(event for event in events if event.call.returned is None),
        {event.effect.needs: event.returned for event in sorted(events, key=_returned)},
    )


def _end(call: Call) -> float:
    return math.inf if call.returned is None else call.returned


def _returned(event: Event) -> float:
    return event.returned


def _events(calls: Iterable[Call], model: Model) -> Iterator[Event]:
    bits_of_swaps, bits_of_burdens = _Bits(), _Bits()
    for call in calls:
        effect = model.effect(call) if call.type != "fail" else None
        if effect is None or (call.returned is None and effect.keeps):
            continue
        if call.returned is None:
            yield Event(call, effect, bits_of_burdens.new(), 0)
        elif effect.overwrites:
            bit, owed = bits_of_burdens.take(call), bits_of_burdens.take(call)
            yield Event(call, effect, bit, owed)
        else:
            yield Event(call, effect, bits_of_swaps.take(call), 0)


class _Bits:
    """Bits for calls. A bit is used again after the return of its call, so that sets are small."""

    def __init__(self) -> None:
        self._used_until: list[tuple[float, int]] = []

    def take(self, call: Call) -> int:
        """Return a bit that no other call has while this one is open."""
        if not self._used_until or self._used_until[0][0] > call.invoked:
            return self.new(_end(call))
        return heapq.heapreplace(self._used_until, (_end(call), self._used_until[0][1]))[1]

    def new(self, until: float = math.inf) -> int:
        """Return a bit that no call had before."""
        bit = 1 << len(self._used_until)
        heapq.heappush(self._used_until, (until, bit))
        return bit


def _returns(events: Iterable[Event]) -> Iterator[Return]:
    moments = [(event.call.invoked, event) for event in events]
    moments += [(row, event) for _, event in moments if (row := event.call.returned) is not None]
    open_events: list[Event] = []
    begun = 0
    for row, event in sorted(moments, key=_row):
        if event.call.returned is None:
            continue
        if row == event.call.invoked:
            insort(open_events, event, key=_returned)
            begun |= event.owed
            continue
        swaps = [each.effect for each in open_events if not each.effect.overwrites]
        yield Return(
            event,
            row,
            others=tuple(open_events[1:]),
            keeping=tuple(each for each in open_events if each.effect.keeps),
            needed=dict.fromkeys(effect.needs for effect in swaps),
            begun=begun,
            owed=sum(each.owed for each in open_events),
        )
        del open_events[0]
        begun = 0


def _row(moment: tuple[int, Event]) -> int:
    return moment[0]
