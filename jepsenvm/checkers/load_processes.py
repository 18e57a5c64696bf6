"""load-processes: whether each process of the load did its work to the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.history.nemesis_records import LOAD_PROCESS
from jepsenvm.history.op import Op
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND


def load_processes(history: History, *, processes: int) -> Result:
    """Require the record of each of the load's ``processes`` that its load has ended.

    A process that died, or of which nothing is recorded, makes it unknown: its clients were missing
    for some of the load.
    """
    ended = set[int]()
    died: list[Op] = []
    for op in history.nemesis_ops():
        if op.f != LOAD_PROCESS or not isinstance(op.data, Mapping):
            continue
        if "died" in op.data:
            died.append(op)
        else:
            ended.add(op.data["load-process"])
    unrecorded = set(range(1, processes + 1)) - ended - {op.data["load-process"] for op in died}
    reasons = [*map(_death, died), *_unrecorded(unrecorded, processes)]
    figures: dict[str, Any] = {
        "process-count": processes,
        "ended-count": len(ended),
        "died-count": len(died),
    }
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons), figures)


def _death(op: Op) -> str:
    in_flight = counted(op.data["in-flight"], "operation in flight is", "operations in flight are")
    return (
        f"load process {op.data['load-process']} of {op.data['of']} died at "
        f"{op.time / SECOND:.1f} s: {op.data['died']}; {in_flight} in doubt, and its clients were "
        "missing from then on"
    )


def _unrecorded(numbers: set[int], processes: int) -> Iterator[str]:
    if numbers:
        names = listed(str(number) for number in numbers)
        noun = "process" if len(numbers) == 1 else "processes"
        yield f"it is not recorded how the load ended in load {noun} {names} of {processes}"
