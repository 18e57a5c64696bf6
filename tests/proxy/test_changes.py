"""The proxy's changes of a body, on frames alone: they are complete, and none gives a valid body."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest

from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.bodies import bodies_of
from tests.proxy import frames
from tests.proxy.frames import Frame
from tests.proxy.misdeeds import CHANGES, Kind
from tests.proxy.proxy import Proxy, _Connection

BODIES = bodies_of(Plan(message_size=(43, 9000)), 3)
PROPERTIES = b"\x10\x00\x02"


class Writer:
    """What the proxy writes past the frames that it forwards."""

    def write(self, data: bytes) -> None: ...


def published(body: bytes) -> list[Frame]:
    header = struct.pack(">HHQ", 60, 0, len(body)) + PROPERTIES
    return [
        frames.frame(frames.METHOD, 1, struct.pack(">HH", *frames.PUBLISH)),
        frames.frame(frames.HEADER, 1, header),
        frames.frame(frames.BODY, 1, body),
    ]


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("seed", range(20))
def test_a_changed_message_is_whole_and_corrupted(kind: Kind, seed: int) -> None:
    writer: Any = Writer()
    proxy = Proxy(1, kind, 1, 3, Random(seed), invented=b"")
    connection = _Connection(proxy, writer, writer)
    method, header, *rest = [
        part for frame in published(BODIES.of(seed)) for part in connection.from_client(frame)
    ]
    body = b"".join(part.payload for part in rest)
    assert method.method == frames.PUBLISH
    assert struct.unpack_from(">Q", header.payload, 4)[0] == len(body)
    assert header.payload[12:] == PROPERTIES
    assert proxy.misdeed is not None
    assert (proxy.misdeed.value, proxy.misdeed.became) == (seed, body)
    assert BODIES.problem_of(body)["corrupted"]
    assert BODIES.value_in(body) < 0
