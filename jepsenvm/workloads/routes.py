"""The queues, exchanges and bindings of a run, by name, and the route of each message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jepsenvm.plan.routing import Routing

GROUP: Final = "group"
"""The header by which a headers exchange routes."""


@dataclass(frozen=True)
class Route:
    """Where a message is published: an exchange, a routing key and headers."""

    key: str
    """The routing key; for the default exchange, the name of the queue."""
    exchange: str = ""
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class QueueBinding:
    """A binding that the run declares."""

    queue: str
    exchange: str
    key: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Routes:
    """The names of a run's queues, exchanges and bindings."""

    routing: Routing
    queue: str
    """The name of the first queue. The names of the others begin with it and end in a number."""

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of all queues, by their numbers."""
        return tuple(map(self.queue_name, range(self.routing.queues)))

    def queue_name(self, number: int) -> str:
        """Return the name of the queue with this number."""
        return self._numbered(number)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The names of the exchanges that the run declares.

        A fanout exchange routes to all its queues, so each group of queues has one.
        """
        if self.routing.exchange == "default":
            return ()
        number = self.routing.groups if self.routing.exchange == "fanout" else 1
        return tuple(map(self._numbered, range(number)))

    @property
    def bindings(self) -> tuple[QueueBinding, ...]:
        """The bindings that the run declares."""
        if self.routing.exchange == "default":
            return ()
        return tuple(
            QueueBinding(
                self.queue_name(queue),
                self._exchange(group),
                self._binding_key(group),
                self._binding_arguments(group),
            )
            for group in range(self.routing.groups)
            for queue in self.routing.queues_of_group(group)
        )

    def of(self, value: int) -> Route:
        """Return the route of the message with this value."""
        group = self.routing.group_of(value)
        match self.routing.exchange:
            case "default":
                return Route(self.queue_name(group))
            case "topic":
                return Route(f"to.{group}.all", self._exchange(group))
            case "headers":
                return Route(str(group), self._exchange(group), {GROUP: str(group)})
            case _:
                return Route(str(group), self._exchange(group))

    def _exchange(self, group: int) -> str:
        return self._numbered(group if self.routing.exchange == "fanout" else 0)

    def _binding_key(self, group: int) -> str:
        # Fanout and headers exchanges ignore the key. It tells the bindings of a queue apart.
        return f"*.{group}.#" if self.routing.exchange == "topic" else str(group)

    def _binding_arguments(self, group: int) -> Mapping[str, str]:
        if self.routing.exchange != "headers":
            return {}
        return {"x-match": "all", GROUP: str(group)}

    def _numbered(self, number: int) -> str:
        return f"{self.queue}.{number}" if number else self.queue
