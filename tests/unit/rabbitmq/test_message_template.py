"""Marshalled messages are byte for byte those of pika."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from jepsenvm.rabbitmq.message_template import MessageTemplate, properties

SHORT = st.text(max_size=60).filter(lambda text: len(text.encode()) <= 255)
"""Short strings of AMQP have at most 255 bytes."""


def marshalled_by_pika(
    channel: int,
    exchange: str,
    key: str,
    headers: Mapping[str, str] | None,
    message_id: str,
    body: bytes,
) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
    frames = (
        frame.Method(channel, publish),
        frame.Header(channel, len(body), properties(message_id, headers)),
        frame.Body(channel, body),
    )
    return b"".join(one.marshal() for one in frames)


@given(
    channel=st.integers(1, 2047),
    exchange=SHORT,
    key=SHORT,
    headers=st.none() | st.dictionaries(SHORT, st.text(max_size=60), max_size=3),
    messages=st.lists(st.tuples(SHORT, st.binary(min_size=1, max_size=300)), min_size=1),
)
def test_a_template_marshals_as_pika_does(
    channel: int,
    exchange: str,
    key: str,
    headers: Mapping[str, str] | None,
    messages: list[tuple[str, bytes]],
) -> None:
    template = MessageTemplate(channel, exchange, key, headers)
    for message_id, body in messages:
        expected = marshalled_by_pika(channel, exchange, key, headers, message_id, body)
        assert template.marshal(message_id, body) == expected


def test_a_message_id_that_is_too_long_is_refused() -> None:
    template = MessageTemplate(1, "", "q", None)
    with pytest.raises(ValueError, match="bytes must be in range"):
        template.marshal("x" * 256, b"1")
