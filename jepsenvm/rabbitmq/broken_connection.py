"""Breaking a connection off as a crash of the client does: without AMQP's closing handshake.

``_terminate_stream`` is the method by which pika itself drops a connection whose heartbeats stay
out. It closes the socket and forgets what was not sent. If a release of pika lacks it, the import
fails.
"""

from __future__ import annotations

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection

from jepsenvm.errors import RunError


def _require_method() -> None:
    if not callable(getattr(AsyncioConnection, "_terminate_stream", None)):
        raise RunError(
            f"pika {pika.__version__} has no AsyncioConnection._terminate_stream",
            remedy="install the release of pika in requirements.lock",
        )


_require_method()


def break_off(connection: AsyncioConnection) -> None:
    """Close the socket of an open connection at once."""
    connection._terminate_stream(pika.exceptions.StreamLostError("the client broke it off"))
