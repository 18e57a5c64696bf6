"""Lines of the log about the connections of clients, which can be many under a fault.

Each of these lines has a subject, such as ``n1: connection lost``. Output for people may summarise
the lines of one subject.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

_ATTRIBUTE: Final = "connection_event"


class ConnectionEvent(NamedTuple):
    """What happened to a connection."""

    subject: str
    """The node, the client and what happened to it, such as ``n1: connection lost``."""
    reason: str = ""
    """Why it happened; empty if there is nothing to say."""

    def line(self) -> str:
        """Return the event as a line."""
        return f"{self.subject}: {self.reason}" if self.reason else self.subject


def log_connection(subject: str, reason: str = "") -> None:
    """Log what happened to a connection."""
    event = ConnectionEvent(subject, reason)
    logger.info(event.line(), extra={_ATTRIBUTE: event})


def connection_event(record: logging.LogRecord) -> ConnectionEvent | None:
    """Return what a log record says about a connection; None if it is about something else."""
    event = getattr(record, _ATTRIBUTE, None)
    return event if isinstance(event, ConnectionEvent) else None
