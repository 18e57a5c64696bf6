"""Which clients of a load are connected, by node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from jepsenvm.rabbitmq.amqp import Session


@dataclass(frozen=True)
class ClientCounts:
    """How many clients of a node are connected, and how many try to connect."""

    connected: int = 0
    connecting: int = 0


NO_CLIENTS: Final = ClientCounts()


@dataclass
class _Clients:
    connecting: int = 0
    sessions: list[Session] = field(default_factory=list)

    def forget_lost(self) -> None:
        self.sessions = [session for session in self.sessions if session.lost is None]


class Clients:
    """The clients of a load: those that are connected, and those that try to connect."""

    def __init__(self) -> None:
        self._by_node: dict[str, _Clients] = defaultdict(_Clients)

    @contextmanager
    def connecting(self, node: str) -> Iterator[None]:
        """Count a client as connecting while the context is open."""
        clients = self._by_node[node]
        clients.connecting += 1
        try:
            yield
        finally:
            clients.connecting -= 1

    def connected(self, session: Session) -> None:
        """Count the client of a session as connected, until the session is lost or closed."""
        clients = self._by_node[session.address.node]
        clients.forget_lost()
        clients.sessions.append(session)

    def counts(self) -> Mapping[str, ClientCounts]:
        """Return the counts of each node that any client has tried to reach."""
        for clients in self._by_node.values():
            clients.forget_lost()
        return {
            node: ClientCounts(len(clients.sessions), clients.connecting)
            for node, clients in self._by_node.items()
        }
