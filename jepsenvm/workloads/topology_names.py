"""The names of one client of workload topology, and which op the client does next.

Names are numbers, and each belongs to one client, so the ops on it follow one another. A name with
an op in doubt is used for the same op only, until that is certain. Then it stays as it is, and a
new name takes its place: the op in doubt may still take effect at any time, so after an op with the
opposite effect nobody would know what must exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Final

from jepsenvm.checkers.topology_things import DEFAULT_EXCHANGE, binding
from jepsenvm.history.op import Type

EXCLUSIVE_NAMES: Final = 2
"""Exclusive queues of each client. Their names are used again on each connection."""

MOST_LEFT: Final = 50
"""Names of a client that may stay behind after an op in doubt; then no new ones take their place.

Auto-delete queues have a number of their own.
"""

WEIGHTS: Final[Mapping[str, float]] = {
    "queue": 2,
    "exchange": 1,
    "binding": 8,
    "auto-delete": 2,
    "exclusive": 1,
    "close": 0.25,
}
"""How often a client draws an op of each kind, compared with the others."""

REMOVALS: Final = ("delete-queue", "delete-exchange", "unbind")
REMOVAL_WEIGHT: Final = 0.4
"""How often a client removes something, compared with making it: much must exist in the end."""


@dataclass(frozen=True)
class Step:
    """The next op of a client. ``value`` is the number of a name, or of a binding."""

    f: str
    value: int | None = None


@dataclass
class _Slot:
    """A name or a binding that is created and removed in turns."""

    number: int
    create: str
    remove: str
    present: bool = False
    in_doubt: str | None = None
    """The op that is in doubt."""
    settled: bool = False
    """Whether it stays as it is."""

    @property
    def step(self) -> Step:
        return Step(self.in_doubt or (self.remove if self.present else self.create), self.number)

    @property
    def certain(self) -> bool:
        """Whether it certainly exists, and nothing on it is in doubt."""
        return self.present and self.in_doubt is None


@dataclass
class _AutoDelete:
    """An auto-delete queue, and how far its life has come."""

    number: int
    next_f: str = "declare-auto-delete"


@dataclass
class Names:
    """The names of a client. Draw a step, do it, then tell how it ended."""

    numbers: Iterator[int]
    """New names. Each belongs to this client only."""
    each: int
    """How many queues, and how many exchanges, it uses at a time."""
    random: Random
    used: set[int] = field(default_factory=set)
    """The bindings that were ever bound; for a queue, its binding to the default exchange."""
    temporary: set[int] = field(default_factory=set)
    """The exclusive queues, and the auto-delete queues whose consumer certainly went."""

    def __post_init__(self) -> None:
        self._left = self._auto_deletes_left = 0
        self._queues = [self._new_queue() for _ in range(self.each)]
        self._exchanges = [self._new_exchange() for _ in range(self.each)]
        self._bindings: dict[int, _Slot] = {}
        self._exclusive = [next(self.numbers) for _ in range(EXCLUSIVE_NAMES)]
        self._held: set[int] = set()
        """The exclusive queues that the open connection may have."""
        self._auto_delete: _AutoDelete | None = _AutoDelete(next(self.numbers))

    def draw(self) -> Step:
        """Return the next step."""
        steps = {kind: steps for kind, choose in _CHOICES.items() if (steps := choose(self))}
        (kind,) = self.random.choices(list(steps), [WEIGHTS[kind] for kind in steps])
        weights = [REMOVAL_WEIGHT if step.f in REMOVALS else 1.0 for step in steps[kind]]
        (step,) = self.random.choices(steps[kind], weights)
        self._note(step)
        return step

    def completed(self, step: Step, completion: Type) -> None:
        """Tell how a step ended."""
        if step.f in _AUTO_DELETE_STEPS:
            self._auto_delete_completed(step, completion)
        elif step.f == "declare-exclusive" and step.value is not None:
            self._held.add(step.value)
        elif step.f == "close" and completion == "ok":
            self._closed()
        elif completion != "fail":
            self._slot_completed(step, completion)

    def disconnected(self) -> None:
        """Tell that the connection is gone, and with it its exclusive queues and its consumer."""
        self._held.clear()
        if self._auto_delete is not None and self._auto_delete.next_f == "cancel":
            self._leave_auto_delete()

    def _closed(self) -> None:
        """Use another auto-delete queue if the closed connection had its consumer."""
        if self._auto_delete is not None and self._auto_delete.next_f == "cancel":
            self._end_auto_delete(self._auto_delete)

    def _end_auto_delete(self, queue: _AutoDelete) -> None:
        """Use another auto-delete queue, because this one must go."""
        self.temporary.add(queue.number)
        self._auto_delete = _AutoDelete(next(self.numbers))

    # What can be done next, by kind.

    def _queue_steps(self) -> list[Step]:
        return [slot.step for slot in self._queues if not slot.settled]

    def _exchange_steps(self) -> list[Step]:
        return [slot.step for slot in self._exchanges if not slot.settled]

    def _binding_steps(self) -> list[Step]:
        numbers = [
            binding(exchange.number, queue.number)
            for exchange in self._exchanges
            for queue in self._queues
            if exchange.certain and queue.certain
        ]
        slots = [
            self._bindings.setdefault(number, _Slot(number, "bind", "unbind")) for number in numbers
        ]
        return [slot.step for slot in slots if not slot.settled]

    def _auto_delete_steps(self) -> list[Step]:
        queue = self._auto_delete
        return [] if queue is None else [Step(queue.next_f, queue.number)]

    def _exclusive_steps(self) -> list[Step]:
        return [
            Step("declare-exclusive", number)
            for number in self._exclusive
            if number not in self._held
        ]

    def _close_steps(self) -> list[Step]:
        return [Step("close")]

    # What a completion changes.

    def _note(self, step: Step) -> None:
        if step.value is None or step.f.endswith("exchange"):
            return
        is_binding = step.f in ("bind", "unbind")
        self.used.add(step.value if is_binding else binding(DEFAULT_EXCHANGE, step.value))
        if step.f == "declare-exclusive":
            self.temporary.add(step.value)

    def _slot_completed(self, step: Step, completion: Type) -> None:
        slot = self._slot(step)
        if slot is None:
            return
        if completion != "ok":
            slot.in_doubt = step.f
            return
        slot.present = step.f == slot.create
        if slot.in_doubt is not None:
            slot.in_doubt, slot.settled = None, True
            self._replace(slot)
        if not slot.present and slot.remove != "unbind":
            self._forget_bindings(slot)

    def _slot(self, step: Step) -> _Slot | None:
        if step.f in ("bind", "unbind"):
            return self._bindings.get(step.value or 0)
        slots = self._queues + self._exchanges
        return next((slot for slot in slots if slot.number == step.value), None)

    def _replace(self, slot: _Slot) -> None:
        """Let a new name take the place of a settled one, unless too many stay behind."""
        for slots, new in ((self._queues, self._new_queue), (self._exchanges, self._new_exchange)):
            if slot in slots and self._left < MOST_LEFT:
                self._left += 1
                slots[slots.index(slot)] = new()

    def _forget_bindings(self, end: _Slot) -> None:
        """Forget the bindings of a queue or an exchange that was deleted.

        A binding with an op in doubt stays as it is.
        """
        ends = {
            binding(exchange.number, queue.number)
            for exchange in self._exchanges
            for queue in self._queues
            if end in (exchange, queue)
        }
        for number in ends & self._bindings.keys():
            slot = self._bindings[number]
            slot.settled = slot.settled or slot.in_doubt is not None
            slot.present, slot.in_doubt = False, None

    def _auto_delete_completed(self, step: Step, completion: Type) -> None:
        if self._auto_delete is None or completion == "fail":
            return
        if completion == "info":
            self._leave_auto_delete()
        elif step.f == "cancel":
            self._end_auto_delete(self._auto_delete)
        else:
            self._auto_delete.next_f = _AUTO_DELETE_STEPS[step.f]

    def _leave_auto_delete(self) -> None:
        """Use another auto-delete queue: nobody knows whether this one will go."""
        self._auto_deletes_left += 1
        more = self._auto_deletes_left <= MOST_LEFT
        self._auto_delete = _AutoDelete(next(self.numbers)) if more else None

    def _new_queue(self) -> _Slot:
        return _Slot(next(self.numbers), "declare-queue", "delete-queue")

    def _new_exchange(self) -> _Slot:
        return _Slot(next(self.numbers), "declare-exchange", "delete-exchange")


_AUTO_DELETE_STEPS: Final = {
    "declare-auto-delete": "consume",
    "consume": "cancel",
    "cancel": "declare-auto-delete",
}
"""The op that follows each op on an auto-delete queue."""

_CHOICES: Final[Mapping[str, Callable[[Names], list[Step]]]] = {
    "queue": Names._queue_steps,
    "exchange": Names._exchange_steps,
    "binding": Names._binding_steps,
    "auto-delete": Names._auto_delete_steps,
    "exclusive": Names._exclusive_steps,
    "close": Names._close_steps,
}


def names_of_clients(clients: int, each: int, seed: int) -> list[Names]:
    """Return the names of each client, so that no two clients have one in common."""
    return [
        Names(count(first, clients), each, Random(f"{seed} {first}"))
        for first in range(1, clients + 1)
    ]
