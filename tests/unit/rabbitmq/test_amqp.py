"""The texts of failed operations, and subscriptions one after the other on one channel."""

from __future__ import annotations

import asyncio

import pytest
from pika import spec

from jepsenvm.rabbitmq.amqp import Address, Delivery, SessionLost, connect, failure_text
from tests.unit.rabbitmq.broker import HOST, Broker


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (SessionLost("541 INTERNAL_ERROR"), "541 INTERNAL_ERROR"),
        (TimeoutError(110, "Connection timed out"), "[Errno 110] Connection timed out"),
        (TimeoutError(), "no confirm within 5 s"),
    ],
)
def test_a_failure_without_text_of_its_own_is_a_timeout(problem: Exception, text: str) -> None:
    assert failure_text(problem, "no confirm within 5 s") == text


def test_a_timeout_is_never_an_empty_text() -> None:
    assert failure_text(TimeoutError()) == "no answer in time"


def test_a_new_subscription_on_the_channel_may_keep_its_tag() -> None:
    """pika gives back what is under way at a cancellation, so that its delivery tag is missing."""
    first, second = list[Delivery](), list[Delivery]()

    async def test() -> None:
        async with asyncio.timeout(60), Broker().listening() as broker:
            session = await connect(Address("n1", HOST, broker.port, "guest", "guest"))
            tag = await session.consume("queue", 10, first.append)
            await session.cancel(tag)
            assert await session.consume("queue", 10, second.append, tag=tag) == tag
            await session.cancel(tag)
            other = await session.consume("queue", 10, second.append)
            assert other != tag
            session.settle(5, returned=False)
            await session.close()
            await broker.ended.wait()
            assert [(type(each), each.delivery_tag) for each in broker.settled] == [
                (spec.Basic.Reject, 2),
                (spec.Basic.Reject, 4),
                (spec.Basic.Ack, 5),
            ]

    asyncio.run(test())
    assert [delivery.tag for delivery in first] == [1]
    assert [delivery.tag for delivery in second] == [3, 5]
