"""Sizes of messages in a plan: a number of bytes, or a pair from which each message's is drawn."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Tag

from jepsenvm.plan.durations import ONE_OR_LIST, Unit, ascending

LEAST_BYTES: Final = 43
"""The size of a body without filler: the header of ``jepsenvm.workloads.bodies``."""
MOST_BYTES: Final = 134_217_728
"""The largest message of any RabbitMQ. Since 4.0 the default is less: see ``rabbitmq.versions``."""


def _size(size: int) -> int:
    if size < LEAST_BYTES:
        raise ValueError(f"must be at least {LEAST_BYTES} bytes, the header of a body")
    if size > MOST_BYTES:
        raise ValueError(f"must be at most {MOST_BYTES} bytes, RabbitMQ's largest message")
    return size


Bytes = Annotated[int, AfterValidator(_size), Unit("bytes")]
MessageSize = Annotated[
    Annotated[Bytes, Tag("one")]
    | Annotated[tuple[Bytes, Bytes], AfterValidator(ascending), Tag("list")],
    ONE_OR_LIST,
]
"""Bytes, or a pair (least, most) from which the size of each message is drawn."""


def size_bounds(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return the least and the greatest size; a single number is both."""
    return size if isinstance(size, tuple) else (size, size)
