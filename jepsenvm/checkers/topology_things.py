"""The things that workload topology makes: queues, exchanges and bindings, each with a number.

A client numbers its queues and exchanges from one sequence. A binding has the numbers of both in
one integer, because the value of an op is an integer.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

DEFAULT_EXCHANGE: Final = 0
"""The number of the default exchange, to which every queue is bound by itself."""

_EXCHANGE_UNIT: Final = 10**9

Kind = Literal["queue", "exchange", "binding"]


class Thing(NamedTuple):
    """A queue, an exchange or a binding."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        if self.kind == "binding":
            return f"binding of queue {bound_queue(self.number)} to {self._exchange}"
        return f"{self.kind} {self.number}"

    @property
    def _exchange(self) -> str:
        return f"exchange {bound_exchange(self.number)}"


def binding(exchange: int, queue: int) -> int:
    """Return the number of the binding of a queue to an exchange."""
    return exchange * _EXCHANGE_UNIT + queue


def bound_exchange(number: int) -> int:
    """Return the number of the exchange of a binding."""
    return number // _EXCHANGE_UNIT


def bound_queue(number: int) -> int:
    """Return the number of the queue of a binding."""
    return number % _EXCHANGE_UNIT


def probed_thing(number: int) -> Thing:
    """Return what a probe with this value tests: a binding, or a queue by the default exchange."""
    if bound_exchange(number) == DEFAULT_EXCHANGE:
        return Thing("queue", bound_queue(number))
    return Thing("binding", number)
