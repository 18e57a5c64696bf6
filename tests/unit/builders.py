"""Builders of histories for the unit tests of histories, checkers and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from jepsenvm.checkers.verdict import Result
from jepsenvm.history.nemesis_records import (
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    RECOVER,
    SCHEDULE,
)
from jepsenvm.history.op import NEMESIS, Op, Type
from jepsenvm.history.table import History, from_ops
from jepsenvm.history.units import SECOND

DRAINER: Final = 99
"""The process of DRAIN."""

DRAIN: Final = [
    Op("invoke", "drain", process=DRAINER),
    Op("ok", "drain", process=DRAINER, data={"received": 0}),
]
"""A finished drain. Its deliveries, if there are any, are ops of their own."""

UNPROVEN_DRAINS: Final[list[list[Op]]] = [
    [],
    DRAIN[:1],
    [DRAIN[0], Op("info", "drain", process=DRAINER)],
]
"""No drain, an unfinished drain and a crashed drain: the queue is not proven to be empty."""


def history(*parts: Iterable[Op]) -> History:
    """Return the parts, one after the other, as a history."""
    return from_ops(chain.from_iterable(parts))


def history_by_time(*parts: Iterable[Op]) -> History:
    """Return the ops of all parts as a history, sorted by their times."""
    return from_ops(sorted(chain.from_iterable(parts), key=lambda op: op.time))


def with_verdict(result: Result) -> dict[str, Any]:
    """Return the figures of a result together with its verdict and reasons."""
    return {"verdict": result.verdict, "reasons": result.reasons, **result.figures}


def operation(
    process: int, f: str, value: Any = None, *types: Type, node: str | None = None
) -> list[Op]:
    """Return one op for each type, by default an invoke and an ok, all with the same value."""
    return [Op(type_, f, value, process, node=node) for type_ in types or ("invoke", "ok")]


def op_at(
    second: float, process: int, type_: Type, f: str, value: Any = None, node: str | None = None
) -> Op:
    """Return one op at a time in seconds since the run began."""
    return Op(type_, f, value, process, int(second * SECOND), node)


def published(
    *values: Any, process: int = 0, end: Type = "ok", node: str | None = None
) -> list[Op]:
    """Return an enqueue of each value that ends with this type."""
    return [
        op
        for value in values
        for op in operation(process, "enqueue", value, "invoke", end, node=node)
    ]


def delivered(*values: Any, data: Any = None) -> list[Op]:
    """Return an ok dequeue of each value, with this data."""
    return [Op("ok", "dequeue", value, data=data) for value in values]


def nemesis_record(
    phase: str,
    time: int = 0,
    *,
    number: int = 1,
    fault: Mapping[str, Any] | None = None,
    error: str | None = None,
    **data: Any,
) -> Op:
    """Return the nemesis' record of one phase of a fault; ``time`` is in nanoseconds."""
    content = {"phase": phase, "window": number, "fault": fault or {}, **data}
    return Op("info", "start", process=NEMESIS, time=time, error=error, data=content)


def fault_records(
    times: Mapping[str, int],
    *,
    number: int = 1,
    fault: Mapping[str, Any] | None = None,
    **data: Any,
) -> list[Op]:
    """Return one record per phase of a fault; ``times`` in nanoseconds by the phase."""
    return [
        nemesis_record(phase, time, number=number, fault=fault, **data)
        for phase, time in times.items()
    ]


PARTITION: Final = {"name": "partition-random-halves", "text": "n1 | n2 n3"}
"""A fault as a record has it, with just the keys that reasons show."""


def acknowledged(value: int, time: int, node: str = "n1") -> Op:
    """Return an ok enqueue; ``time`` is in nanoseconds."""
    return Op("ok", "enqueue", value, time=time, node=node)


def enqueued(value: int, began: int, ended: int, node: str = "n1") -> list[Op]:
    """Return an acknowledged enqueue by a process of its own; times are in nanoseconds."""
    return [
        Op("invoke", "enqueue", value, value, began, node),
        Op("ok", "enqueue", value, value, ended, node),
    ]


def schedule(planned: int) -> Op:
    """Return the record that this many faults were planned."""
    return Op("info", SCHEDULE, process=NEMESIS, data=[{"fault": PARTITION}] * planned)


def proven_fault() -> list[Op]:
    """Return a proven fault, with one enqueue before it and one while it is in force."""
    injected, began, heal_began, healed = fault_records(
        {INJECT: 10, IN_FORCE: 20, HEAL: 40, HEALED: 50}, fault=PARTITION
    )
    return [
        *enqueued(0, 4, 5),
        injected,
        began,
        *enqueued(1, 29, 30, "n2"),
        heal_began,
        healed,
    ]


def recovery_record(second: float = 0, **data: Any) -> Op:
    """Return the record of a recovery; ``data`` replaces that of a recovery without trouble."""
    content = {"seconds": 3.0, "deadline": 120, "restarted": [], "troubles": {}, **data}
    return Op("info", RECOVER, process=NEMESIS, time=int(second * SECOND), data=content)
