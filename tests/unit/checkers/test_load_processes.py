"""load-processes: a run whose load was not whole is never valid."""

from __future__ import annotations

from typing import Any

from jepsenvm.checkers.load_processes import load_processes
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.nemesis_records import LOAD_PROCESS, START
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops


def record(number: int, time: int = 0, **data: Any) -> Op:
    return Op(
        "info",
        LOAD_PROCESS,
        process=NEMESIS,
        time=time,
        data={"load-process": number, "of": 2, **data},
    )


DEATH = record(2, 12_340_000_000, **{"died": "killed by SIGKILL", "in-flight": 17})


def test_all_ended() -> None:
    result = load_processes(from_ops([record(1), record(2)]), processes=2)
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert result.figures == {"process-count": 2, "ended-count": 2, "died-count": 0}


def test_one_died() -> None:
    result = load_processes(from_ops([DEATH, record(1)]), processes=2)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "load process 2 of 2 died at 12.3 s: killed by SIGKILL; 17 operations in flight are in "
        "doubt, and its clients were missing from then on",
    )
    assert result.figures["died-count"] == 1


def test_no_record() -> None:
    other = Op("info", START, process=NEMESIS, data={"load-process": 2})
    result = load_processes(from_ops([record(1), other]), processes=3)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "it is not recorded how the load ended in load processes 2 and 3 of 3",
    )
    result = load_processes(from_ops([record(1)]), processes=2)
    assert result.reasons == ("it is not recorded how the load ended in load process 2 of 2",)
