"""Consumers that reconnect: one session after another until the load ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from jepsenvm.checkers.new_subscriptions import CAUSE, Cause
from jepsenvm.rabbitmq.amqp import (
    CANCELLED,
    Address,
    Session,
    SessionLost,
    failure_text,
    is_consumer_timeout,
)
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.connections import ProcessNumbers, connect_with_retries
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.silence import SILENT


async def reconnecting(
    context: Context,
    address: Address,
    processes: ProcessNumbers,
    use: Callable[[Session], Awaitable[None]],
) -> AsyncIterator[Session]:
    """Call ``use`` with one session after another until the load ends; yield each ended session.

    Each session is another process, because a lost session leaves its ops in doubt. It is
    ``processes.current``. ``use`` may take further numbers.
    """
    while not context.stop.is_set():
        session = await connect_with_retries(context, address, role="consumer")
        if session is None:
            return
        next(processes)
        try:
            await use(session)
            if session.lost is None:
                await close(session)
        except (SessionLost, TimeoutError) as problem:
            session.abandon(failure_text(problem))
        if session.lost is not None:
            # If the broker closed the channel alone, the connection is still there.
            session.abandon(session.lost)
            cause = _cause(session.lost)
            if cause is not None:
                process = processes.current
                record_new_subscription(context, address.node, process, session.lost, cause)
        yield session


def _cause(lost: str) -> Cause | None:
    """Return the broker's cause for losing the session; None if the network is to blame."""
    if is_consumer_timeout(lost):
        return "consumer-timeout"
    causes: dict[str, Cause] = {CANCELLED: "cancelled", SILENT: "silent"}
    return causes.get(lost)


def record_new_subscription(
    context: Context, node: str, process: int, reason: str, cause: Cause
) -> None:
    """Record why a consumer subscribes again, as a dequeue in doubt. Its process retires."""
    context.journal.append("invoke", "dequeue", process=process, node=node)
    error, data = f"{reason}; it subscribes again", {CAUSE: cause}
    context.journal.append("info", "dequeue", process=process, node=node, error=error, data=data)
