"""Vanished queues: whether the broker or somebody else removed a queue before its drain."""

from __future__ import annotations

from typing import Final

from jepsenvm.checkers.drain import ok_drains
from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval, fault_intervals
from jepsenvm.checkers.op_columns import OpColumns, all_ops
from jepsenvm.checkers.own_restarts import restarted_by_recovery
from jepsenvm.checkers.wording import listed
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND

AFTERMATH: Final = 60 * SECOND
"""Nanoseconds after a healing in which a broker may still remove a queue because of the fault."""

LAST_OP_OF_LOCKS: Final = "tokens"
"""The op with which the drain of a lock ends."""


def vanished_queues(history: History) -> list[str]:
    """Return the queues that no node knew any more when the drain ended."""
    return _queues(history, "gone")


def _queues(history: History, key: str) -> list[str]:
    """Return the queues that the ends of the drain list under a key of their data."""
    ends = [*ok_drains(history), *ok_drains(history, LAST_OP_OF_LOCKS)]
    listed_names = (end.data.get(key) for end in ends if isinstance(end.data, dict))
    return sorted(
        {str(name) for names in listed_names if isinstance(names, list) for name in names}
    )


def vanished_queue_doubt(history: History) -> str | None:
    """Return why the broker may not be to blame for a queue that no longer exists, or None.

    The log of a broker may show that somebody deleted it. Otherwise the queue disappeared between
    the last operation that it served and the next failed operation. If no fault was in force then
    or shortly before, and jepsenvm restarted no node, the broker had no reason to lose it: somebody
    may have deleted it.
    """
    names = vanished_queues(history)
    if not names:
        return None
    if deleted := _queues(history, "deleted"):
        which, them = ("the queue", "it") if len(deleted) == 1 else ("the queues", "them")
        return f"{which} {listed(deleted)} disappeared: a log shows that a client deleted {them}"
    begin, end = _window(history)
    suspect = any(may_explain(interval, begin, end) for interval in fault_intervals(history))
    if suspect or restarted_by_recovery(history):
        return None
    which = "the queue" if len(names) == 1 else "the queues"
    return (
        f"{which} {listed(names)} disappeared while no fault was in force, "
        "so somebody may have deleted it"
    )


def may_explain(interval: FaultInterval, begin: int, end: int) -> bool:
    """Return whether a fault may be why something disappeared between two times."""
    aftermath_end = NEVER if interval.healed is None else interval.healed + AFTERMATH
    return interval.injected <= end and begin <= aftermath_end


def _window(history: History) -> tuple[int, int]:
    """Return the times between which the queue disappeared."""
    served = [all_ops(history, f) for f in ("enqueue", "dequeue", "acquire", "release")]
    begin = max(_last_time(ops.of_type("ok")) for ops in served)
    # An acquire fails whenever another client has the lock, so it does not show that it is gone.
    failed = served[0].of_type("fail")
    later = failed.time[failed.time > begin]
    ends = [_last_time(all_ops(history, f)) for f in ("drain", LAST_OP_OF_LOCKS)]
    return begin, int(later.min()) if len(later) else max(ends)


def _last_time(ops: OpColumns) -> int:
    return int(ops.time.max()) if len(ops) else 0
