"""Readers: record the deliveries of one session, then acknowledge them.

Every delivery is recorded before it is acknowledged. Otherwise a crash of jepsenvm between the two
would make a delivered message look lost.
"""

from __future__ import annotations

from typing import Any, Final

from jepsenvm.checkers.delivery_queues import QUEUE
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.rabbitmq.amqp import Delivery, Session
from jepsenvm.workloads.context import Context

ACKNOWLEDGE_INTERVAL_S: Final = 0.1


class Source:
    """A queue, and the process to which its deliveries come. Each subscription is another one."""

    def __init__(self, process: int, queue: int | None = None) -> None:
        """``queue`` is the queue's number; None in a run with one queue."""
        self.process = process
        self._queue = queue
        self._named_by: int | None = None
        """The process whose first dequeue named the queue in the history."""

    def data(self) -> dict[str, Any] | None:
        """Return the data of the next invoked dequeue, which names the queue if it is the first."""
        if self._queue is None or self._named_by == self.process:
            return None
        self._named_by = self.process
        return {QUEUE: self._queue}


class Reader:
    """Records the deliveries of one session, and acknowledges them in batches.

    Its deliveries may come from several subscriptions on the session's channel, to one queue after
    the other or to several queues.
    """

    def __init__(self, context: Context, session: Session, process: int, prefetch: int) -> None:
        self._context = context
        self.session = session
        self.source = Source(process)
        """The source of the deliveries, unless ``deliver`` is told another one."""
        self.prefetch = prefetch
        self._batch = max(1, prefetch // 2)
        """Deliveries after which a batch is acknowledged at once. The broker stops delivering
        when the whole prefetch is unacknowledged."""
        self._held: list[tuple[int, int, Source]] = []
        """The tags, values and sources of the deliveries that are not acknowledged."""
        self._last_tag = 0
        self._has_gap = False
        """Whether some tag was never delivered here. See ``acknowledge``."""
        self._withheld = False
        self._given_up: str | None = None
        """Why nothing more is acknowledged; None before ``give_up``."""
        self.received = 0

    @property
    def unacknowledged(self) -> int:
        """The number of deliveries that are not acknowledged."""
        return len(self._held)

    @property
    def is_full(self) -> bool:
        """Whether the whole prefetch is unacknowledged, so that the broker may deliver nothing."""
        return len(self._held) >= self.prefetch

    def deliver(self, delivery: Delivery, source: Source | None = None) -> None:
        """Record one delivery."""
        self._record(delivery, source)
        if len(self._held) >= self._batch:
            self.acknowledge()

    def _record(self, delivery: Delivery, source: Source | None) -> None:
        source = source or self.source
        value = record_delivery(
            self._context, self.session, source.process, delivery, invoked=source.data()
        )
        self._has_gap |= delivery.tag != self._last_tag + 1
        self._last_tag = delivery.tag
        self._held.append((delivery.tag, value, source))
        self.received += 1
        if self._given_up is not None:
            self.give_up(self._given_up)

    def acknowledge(self) -> None:
        """Acknowledge all recorded deliveries.

        What is under way when a subscription is cancelled does not get here, and its tags are
        missing. To acknowledge up to a later tag would acknowledge these messages too, which
        nobody has recorded. So each delivery is acknowledged by itself once tags are missing.
        """
        if self._withheld or not self._held or self.session.lost is not None:
            return
        # The record must have left this process before the broker forgets the message.
        self._context.journal.flush()
        if self._has_gap:
            for tag, _, _ in self._held:
                self.session.settle(tag, returned=False)
        else:
            self.session.acknowledge_up_to(self._last_tag)
        self._held.clear()

    def withhold(self) -> None:
        """Acknowledge nothing from now on."""
        self._withheld = True

    def give_up(self, reason: str) -> None:
        """Acknowledge nothing more, and record each delivery that consumed nothing for it.

        ``reason`` is why. The broker must deliver these messages again, to another process. The
        same holds for what arrives later, on a session that takes time to end.
        """
        self.withhold()
        self._given_up = reason
        journal, node = self._context.journal, self.session.address.node
        error, data = f"not acknowledged: {reason}", {UNACKNOWLEDGED: True}
        for _, value, source in self._held:
            process = source.process
            journal.append("invoke", "dequeue", process=process, node=node, data=source.data())
            journal.append(
                "fail", "dequeue", value, process=process, node=node, error=error, data=data
            )
        self._held.clear()


def record_delivery(
    context: Context,
    session: Session,
    process: int,
    delivery: Delivery,
    *,
    returned: bool = False,
    invoked: dict[str, Any] | None = None,
) -> int:
    """Record a delivery as an ok dequeue; return its value.

    ``returned`` marks a delivery that the consumer will not acknowledge, so that the broker
    requeues it. ``invoked`` is the data of the invocation. A body that no publisher sent has a
    negative value, and its data says more.
    """
    value = context.bodies.value_in(delivery.body)
    data = context.bodies.problem_of(delivery.body) if value < 0 else {}
    if delivery.redelivered:
        data["redelivered"] = True
    if returned:
        data["returned"] = True
    node = session.address.node
    context.journal.append("invoke", "dequeue", process=process, node=node, data=invoked)
    context.journal.append("ok", "dequeue", value, process=process, node=node, data=data or None)
    return value
