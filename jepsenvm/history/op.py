"""One operation (op) of a history, as Jepsen records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Type = Literal["invoke", "ok", "fail", "info"]

TYPES: Final[tuple[Type, ...]] = ("invoke", "ok", "fail", "info")
"""``fail``: the op definitely did not happen. ``info``: nobody knows whether it happened."""

NEMESIS: Final = -1
"""The process number of the nemesis."""

NO_PROCESS: Final = -2
"""The process number of an op of another program that has none. It is not the nemesis."""


@dataclass(frozen=True, slots=True)
class Op:
    """One row of a history: the invocation or the completion of an operation.

    ``value``   any scalar; for a drain, a list of the drained values.
    ``time``    nanoseconds since the run began.
    ``data``    more details, as JSON can represent them, such as a fault's groups and proof.
    ``offset``  the offset in a stream at which a record was read.
    """

    type: Type
    f: str
    value: Any = None
    process: int = 0
    time: int = 0
    node: str | None = None
    error: str | None = None
    data: Any = None
    offset: int | None = None
