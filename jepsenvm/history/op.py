"""One op: what a process did, as Jepsen's histories record it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Type = Literal["invoke", "ok", "fail", "info"]

TYPES: Final[tuple[Type, ...]] = ("invoke", "ok", "fail", "info")
"""``fail`` means that it definitely did not happen; ``info`` that nobody knows."""

NEMESIS: Final = -1
"""The process number under which the nemesis' ops stand."""


@dataclass(frozen=True, slots=True)
class Op:
    """One line of a history.

    ``time`` is in nanoseconds since the run began; ``value`` is any scalar, or for a drain a list; ``data`` is what
    else is to be kept (a fault's groups and proof, say), JSON-able; ``offset`` is where in a stream a record was read.
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
