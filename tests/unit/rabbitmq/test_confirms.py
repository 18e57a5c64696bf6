"""How a session gives each published message the broker's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pika
import pytest

from jepsenvm.rabbitmq.amqp import Address, Outcome, Session, SessionLost

ADDRESS = Address("n1", "192.0.2.1", 5672, "user", "secret")
TIMEOUT_S = 3600.0


def session_with(sent: list[bytes]) -> Session:
    """Return a session that sends to a list."""
    connection: Any = SimpleNamespace(is_open=True, most_in_frame=0)
    session = Session(ADDRESS, connection)

    def basic_publish(_exchange: str, _queue: str, body: bytes, *_: Any, mandatory: bool) -> None:
        assert mandatory
        sent.append(body)

    session._channel = SimpleNamespace(is_open=True, basic_publish=basic_publish)
    return session


def answer(kind: type, tag: int, *, multiple: bool) -> Any:
    return SimpleNamespace(method=kind(tag, multiple))


def outcomes(answers: Callable[[Session], Coroutine[Any, Any, None]]) -> list[object]:
    """Publish five messages, let the broker answer, and return what came of each."""

    async def run() -> list[object]:
        sent: list[Any] = []
        session = session_with(sent)
        publishing = [
            asyncio.ensure_future(session.publish("queue", b"%d" % number, timeout=TIMEOUT_S))
            for number in range(1, 6)
        ]
        await asyncio.sleep(0)
        assert sent == [b"1", b"2", b"3", b"4", b"5"]
        await answers(session)
        await asyncio.sleep(0)
        found: list[object] = [each.result() if each.done() else None for each in publishing]
        for each in publishing:
            each.cancel()
        return found

    return asyncio.run(run())


def test_confirms_of_several_messages() -> None:
    async def confirm(session: Session) -> None:
        session._on_confirmation(answer(pika.spec.Basic.Ack, 4, multiple=False))
        session._on_confirmation(answer(pika.spec.Basic.Nack, 2, multiple=True))

    nacked, confirmed = Outcome.NACKED, Outcome.CONFIRMED
    assert outcomes(confirm) == [nacked, nacked, None, confirmed, None]


def test_a_confirm_says_nothing_of_later_messages() -> None:
    async def confirm(session: Session) -> None:
        session._on_confirmation(answer(pika.spec.Basic.Ack, 5, multiple=False))
        session._on_confirmation(answer(pika.spec.Basic.Ack, 3, multiple=True))

    confirmed = Outcome.CONFIRMED
    assert outcomes(confirm) == [confirmed, confirmed, confirmed, None, confirmed]


def test_a_returned_message_among_confirmed_ones() -> None:
    async def confirm(session: Session) -> None:
        for tag in ("2", "4"):
            session._on_return(None, None, pika.BasicProperties(message_id=tag), b"")
        session._on_confirmation(answer(pika.spec.Basic.Ack, 3, multiple=True))
        assert session._returned == {"4"}
        session._on_confirmation(answer(pika.spec.Basic.Ack, 5, multiple=True))
        assert not session._returned
        assert not session._unconfirmed

    returned, confirmed = Outcome.RETURNED, Outcome.CONFIRMED
    assert outcomes(confirm) == [confirmed, returned, confirmed, returned, confirmed]


def test_a_message_without_an_answer_times_out() -> None:
    async def run() -> None:
        session = session_with([])
        with pytest.raises(TimeoutError):
            await session.publish("queue", b"1", timeout=0.01)
        late = asyncio.ensure_future(session.publish("queue", b"2", timeout=TIMEOUT_S))
        await asyncio.sleep(0)
        session._on_confirmation(answer(pika.spec.Basic.Ack, 2, multiple=True))
        assert await late is Outcome.CONFIRMED

    asyncio.run(run())


def test_a_lost_session_loses_its_messages_before_they_time_out() -> None:
    async def run() -> None:
        session = session_with([])
        publishing = asyncio.ensure_future(session.publish("queue", b"1", timeout=TIMEOUT_S))
        await asyncio.sleep(0)
        session._lose("reset")
        with pytest.raises(SessionLost, match="reset"):
            await publishing

    asyncio.run(run())
