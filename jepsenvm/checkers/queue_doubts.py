"""Doubts about several queues: which of them jepsenvm or somebody else may have emptied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jepsenvm.checkers.copies import Copies
from jepsenvm.checkers.drain import ok_drains
from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.op_columns import all_ops
from jepsenvm.checkers.own_restarts import recovery_records, restarted_by_recovery
from jepsenvm.checkers.total_queue import LossDoubt
from jepsenvm.checkers.vanished_queue import may_explain
from jepsenvm.checkers.wording import listed, listed_numbers
from jepsenvm.history.nemesis_records import RESTARTED_QUEUES
from jepsenvm.history.table import Ints, Mask


def doubt_of_queues(view: Copies) -> LossDoubt | None:
    """Return which queues the broker may not be to blame for; None if there are none."""
    restarted, logged = set(_restarted(view)), set(_drained(view, "deleted-queues"))
    deleted = set(_perhaps_deleted(view)) - logged
    reasons = []
    if logged:
        them = "it" if len(logged) == 1 else "them"
        reasons.append(f"{_queues(logged)} disappeared: a log shows that a client deleted {them}")
    if restarted:
        nodes = listed(restarted_by_recovery(view))
        reasons.append(
            f"jepsenvm restarted every node that may have a replica of {_queues(restarted)} "
            f"({nodes}) before the drain"
        )
    if deleted:
        reasons.append(
            f"{_queues(deleted)} disappeared while no fault was in force, so somebody may have "
            "deleted it"
            if len(deleted) == 1
            else f"{_queues(deleted)} disappeared while no fault was in force, so somebody may "
            "have deleted them"
        )
    if not reasons:
        return None
    doubtful = np.array(sorted(restarted | logged | deleted), dtype=np.int64)

    def applies_to(values: Ints) -> Mask:
        return np.isin(view.queues_of(values), doubtful)

    return LossDoubt("; ".join(reasons), applies_to)


def gone_queues(view: Copies) -> list[int]:
    """Return the numbers of the queues that no node knew any more when the drain ended."""
    return _drained(view, "gone-queues")


def _drained(view: Copies, key: str) -> list[int]:
    """Return the numbers of queues that the ends of the drain list under a key of their data."""
    found = [op.data.get(key) for op in ok_drains(view) if isinstance(op.data, dict)]
    numbers = {number for listed_ in found if isinstance(listed_, list) for number in listed_}
    return sorted(number for number in numbers if _is_queue(number, view.routing.queues))


def _queues(numbers: set[int]) -> str:
    return f"{'queue' if len(numbers) == 1 else 'queues'} {listed_numbers(numbers)}"


def _restarted(view: Copies) -> Iterator[int]:
    """Yield the queues of which jepsenvm may have restarted every replica."""
    if not restarted_by_recovery(view):
        return
    queues = view.routing.queues
    recorded = recovery_records(view)[-1].get(RESTARTED_QUEUES) if queues > 1 else None
    # What is not recorded is not known.
    numbers: Any = recorded if isinstance(recorded, list) else range(queues)
    yield from (number for number in numbers if _is_queue(number, queues))


def _perhaps_deleted(view: Copies) -> Iterator[int]:
    """Yield the queues that disappeared although the broker had no reason to lose them."""
    gone = gone_queues(view)
    if not gone or restarted_by_recovery(view):
        return
    intervals = fault_intervals(view)
    begins, ends = _windows(view)
    for number in gone:
        begin, end = int(begins[number]), int(ends[number])
        if not any(may_explain(interval, begin, end) for interval in intervals):
            yield number


def _windows(view: Copies) -> tuple[Ints, Ints]:
    """Return the times between which each queue disappeared, if it did.

    It existed when it delivered a message, and if messages have one copy, also when it confirmed
    one. It was gone when a publish failed since, or else when the drain ended. If messages have
    several copies, a confirm or a failure does not show which of their queues there were.
    """
    drains = all_ops(view, "drain").time
    begins = np.zeros(view.routing.queues, dtype=np.int64)
    ends = np.full(view.routing.queues, drains.max() if len(drains) else 0, dtype=np.int64)
    one_copy = view.routing.fan_out == 1
    for chunk in view:
        served = view.mask(chunk, "ok", "dequeue")
        if one_copy:
            served |= view.mask(chunk, "ok", "enqueue")
        queues, times = _of_messages(view, chunk.value, chunk.time, served & chunk.has_value)
        np.maximum.at(begins, queues, times)
    for chunk in view if one_copy else ():
        failed = view.mask(chunk, "fail", "enqueue") & chunk.has_value
        queues, times = _of_messages(view, chunk.value, chunk.time, failed)
        later = times > begins[queues]
        np.minimum.at(ends, queues[later], times[later])
    return begins, ends


def _of_messages(view: Copies, values: Ints, times: Ints, rows: Mask) -> tuple[Ints, Ints]:
    queues = view.queues_of(values[rows])
    return queues[queues >= 0], times[rows][queues >= 0]


def _is_queue(number: Any, queues: int) -> bool:
    return type(number) is int and 0 <= number < queues
