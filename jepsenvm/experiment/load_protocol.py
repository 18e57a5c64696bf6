"""What a run and its load processes tell each other: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from jepsenvm.errors import MALFORMED, shown
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.tls import Tls

Kind = Literal[
    "assign",
    "start",
    "stop",
    "ready",
    "counts",
    "figures",
    "log",
    "connection",
    "ended",
    "failed",
]
"""What a message is about.

- From the run: ``assign`` (the first message, an ``Assignment``), ``start`` and ``stop`` the load.
- From the load process: ``ready`` to start; the ``counts`` of its ops by publisher, which also show
  that it is alive; its ``figures`` by node if the run is watched; a line for the ``log``; what
  happened to a ``connection``; that its load has ``ended`` and its segment is closed; that it has
  ``failed``, and why.
"""

MOST_BYTES: Final = 1 << 24
"""Bytes of a message, at most. A plan and certificates of authorities are the largest content."""


@dataclass(frozen=True)
class Message:
    """One message; what ``content`` is depends on the kind."""

    kind: Kind
    content: Any = None

    def line(self) -> bytes:
        """Return the message as a line."""
        return json.dumps([self.kind, self.content]).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Message:
        """Return the message in a line; raise ValueError if there is none."""
        try:
            kind, content = json.loads(line)
        except MALFORMED:
            raise ValueError(f"not a message: {shown(line)}") from None
        if kind not in get_args(Kind):
            raise ValueError(f"an unknown kind of message: {shown(kind)}")
        return cls(kind, content)


@dataclass(frozen=True)
class Assignment:
    """The part of a run that a load process does."""

    plan: str
    """The plan of the run as YAML."""
    patience: float
    """Multiplies every deadline of the plan."""
    queue: str
    addresses: tuple[Address, ...]
    segment: str
    """The file that the process creates for its ops."""
    about: Mapping[str, str]
    """What the segment says about itself."""
    began: int
    """The reading of the monotonic clock at which the run began, in nanoseconds."""
    index: int
    """The process has every ``processes``-th client, beginning with this one."""
    processes: int
    parent: int
    """The process id of the run. Its load processes end with it."""
    watched: bool = False
    """Whether somebody watches the run, so that the process must collect figures."""

    def message(self) -> Message:
        """Return the message with this assignment. It has the password of the brokers' user."""
        return Message("assign", asdict(self))

    @classmethod
    def of(cls, message: Message) -> Assignment:
        """Return the assignment in a message; raise ValueError if there is none."""
        if message.kind != "assign":
            raise ValueError(f"not an assignment: {message.kind}")
        content = dict(message.content)
        addresses = tuple(_address(entry) for entry in content.pop("addresses"))
        return cls(addresses=addresses, **content)


def _address(entry: Mapping[str, Any]) -> Address:
    tls = entry["tls"]
    return Address(**{**entry, "tls": None if tls is None else Tls(**tls)})
