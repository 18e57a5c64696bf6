"""What must exist after a load that declared, bound and deleted: present, gone, or in doubt.

Each name belongs to one client, so the ops on a name follow one another. An op in doubt may take
effect at any time after its invocation, or never, as everywhere in Jepsen. So a thing is certain
only if no op in doubt contradicts the last certain one: a queue that was declared, deleted in
doubt, and declared again may still be deleted by the op in doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.topology_things import Thing, bound_exchange, bound_queue


class State(Enum):
    """Whether a thing must exist after the load."""

    PRESENT = "present"
    GONE = "gone"
    IN_DOUBT = "in doubt"


@dataclass
class _Record:
    """What the calls say about one thing."""

    present: bool = False
    """Whether it exists by the last certain call."""
    deleted: bool = False
    """Whether a certain call removed it."""
    may_appear: bool = False
    """Whether a call in doubt may create it."""
    may_vanish: bool = False
    """Whether a call in doubt, or the loss of a consumer, may remove it."""
    exclusive: bool = False
    contested: bool = False
    """Whether calls on it overlapped, so that their order is not known."""
    busy_until: int = -1
    """The row at which the last certain call on it returned."""

    def note(self, call: Call) -> None:
        self.contested = self.contested or call.invoked < self.busy_until
        if call.type == "ok":
            self.busy_until = max(self.busy_until, call.returned or 0)

    def created(self, call: Call) -> None:
        self.note(call)
        if call.type == "ok":
            self.present = True
        else:
            self.may_appear = True

    def removed(self, call: Call) -> None:
        self.note(call)
        if call.type == "ok":
            self.present, self.deleted = False, True
        else:
            self.may_vanish = True


@dataclass
class Topology:
    """The things that the calls of a load made and removed. Apply calls by their invocation."""

    _records: dict[Thing, _Record] = field(default_factory=lambda: defaultdict(_Record))
    _consumed: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The auto-delete queues from which each process consumes."""
    _bindings: dict[Thing, set[Thing]] = field(default_factory=lambda: defaultdict(set))
    """The bindings of each queue and of each exchange."""
    exclusive_count: int = 0
    """Exclusive queues that were declared."""
    auto_deleted_count: int = 0
    """Auto-delete queues whose last consumer certainly went."""

    def apply(self, calls: Iterable[Call]) -> None:
        """Take calls into account. A call that failed did not happen."""
        for call in calls:
            if call.type != "fail":
                _EFFECTS[call.f](self, call)

    def states(self) -> Mapping[Thing, State]:
        """Return the state of each thing that any call may have created."""
        return {thing: self._state(thing) for thing in self._records}

    def deleted_count(self) -> int:
        """Return how many things are gone because their removal was confirmed."""
        return sum(
            record.deleted and self._state(thing) is State.GONE
            for thing, record in self._records.items()
        )

    def _state(self, thing: Thing) -> State:
        record = self._records[thing]
        if record.exclusive:
            # The connections of the load are closed, whatever became of the declaration.
            return State.GONE
        ends = [record]
        if thing.kind == "binding":
            ends += [self._records[end] for end in _ends(thing) if end in self._records]
        if any(end.contested for end in ends):
            return State.IN_DOUBT
        if record.present:
            may_vanish = any(end.may_vanish for end in ends)
            return State.IN_DOUBT if may_vanish else State.PRESENT
        return State.IN_DOUBT if record.may_appear else State.GONE

    # Effects of calls.

    def _declare_queue(self, call: Call) -> None:
        self._records[Thing("queue", call.asked)].created(call)

    def _declare_exchange(self, call: Call) -> None:
        self._records[Thing("exchange", call.asked)].created(call)

    def _delete_queue(self, call: Call) -> None:
        self._remove(Thing("queue", call.asked), call)

    def _delete_exchange(self, call: Call) -> None:
        self._remove(Thing("exchange", call.asked), call)

    def _remove(self, thing: Thing, call: Call) -> None:
        """Remove a queue or an exchange, and with it its bindings."""
        self._records[thing].removed(call)
        for other in self._bindings[thing]:
            self._records[other].removed(call)

    def _bind(self, call: Call) -> None:
        thing = Thing("binding", call.asked)
        record = self._records[thing]
        record.created(call)
        for end in _ends(thing):
            self._bindings[end].add(thing)
            busy_until = self._records[end].busy_until if end in self._records else -1
            record.contested = record.contested or call.invoked < busy_until

    def _unbind(self, call: Call) -> None:
        self._records[Thing("binding", call.asked)].removed(call)

    def _declare_exclusive(self, call: Call) -> None:
        self._records[Thing("queue", call.asked)].exclusive = True
        self.exclusive_count += call.type == "ok"

    def _consume(self, call: Call) -> None:
        record = self._records[Thing("queue", call.asked)]
        record.note(call)
        # From now on, the loss of the connection may remove the queue.
        record.may_vanish = True
        if call.type == "ok":
            self._consumed[call.process].append(call.asked)

    def _cancel(self, call: Call) -> None:
        if call.type == "ok":
            self._consumer_gone(call.asked, call)

    def _close(self, call: Call) -> None:
        if call.type == "ok":
            for number in self._consumed.pop(call.process, ()):
                self._consumer_gone(number, call)

    def _consumer_gone(self, number: int, call: Call) -> None:
        self.auto_deleted_count += self._records[Thing("queue", number)].present
        self._records[Thing("queue", number)].removed(call)


def _ends(thing: Thing) -> tuple[Thing, Thing]:
    """Return the exchange and the queue of a binding."""
    exchange, queue = bound_exchange(thing.number), bound_queue(thing.number)
    return Thing("exchange", exchange), Thing("queue", queue)


_EFFECTS: Final[Mapping[str, Callable[[Topology, Call], None]]] = {
    "declare-queue": Topology._declare_queue,
    "delete-queue": Topology._delete_queue,
    "declare-exchange": Topology._declare_exchange,
    "delete-exchange": Topology._delete_exchange,
    "bind": Topology._bind,
    "unbind": Topology._unbind,
    "declare-exclusive": Topology._declare_exclusive,
    "declare-auto-delete": Topology._declare_queue,
    "consume": Topology._consume,
    "cancel": Topology._cancel,
    "close": Topology._close,
}

CHANGES: Final = tuple(_EFFECTS)
"""The ops of the load."""
