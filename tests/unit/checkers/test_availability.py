"""availability: silence by node, the first ok after each fault, and the limit of recovery."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import history_by_time, nemesis_record, recovery_record

PROCESSES = {"n1": 1, "n2": 2, "n3": 3}


def op(node: str, began: float, ended: float, type_: Any = "ok", f: str = "enqueue") -> list[Op]:
    process, begin, end = PROCESSES[node], int(began * SECOND), int(ended * SECOND)
    return [
        Op("invoke", f, process=process, node=node, time=begin),
        Op(type_, f, process=process, node=node, time=end),
    ]


def fault(number: int = 1, injected: int = 10, healed: int = 20) -> list[Op]:
    """Return a fault that was in force 1 s after its injection and undone 2 s before ``healed``."""
    phases = [
        (INJECT, injected, None),
        (IN_FORCE, injected + 2, injected + 1),
        (HEAL, healed - 4, None),
        (HEALED, healed, healed - 2),
    ]
    return [
        nemesis_record(
            phase,
            second * SECOND,
            number=number,
            fired={} if acted is None else {"n1": acted * SECOND},
        )
        for phase, second, acted in phases
    ]


def recover(at: float, seconds: float, **data: Any) -> list[Op]:
    return [recovery_record(at, seconds=seconds, **data)]


def judged(*parts: list[Op], within: float | None = None) -> Result:
    return availability(history_by_time(*parts), within=within)


def test_the_silence_of_each_node() -> None:
    result = judged(
        op("n1", 0, 0.5),
        op("n1", 1, 1.5),
        op("n1", 40, 41.5),
        op("n1", 44, 45),
        op("n2", 0, 5),
        op("n2", 6, 50, "info"),
    )
    assert result.figures["nodes"] == {
        "n1": {"longest-gap-seconds": 40.0, "without-ok-seconds": 48.5},  # 1.5 to 41.5 to 45 to 50
        "n2": {"longest-gap-seconds": 45.0, "without-ok-seconds": 50.0},
    }
    assert result.verdict is Verdict.VALID


@given(
    st.lists(
        st.tuples(st.sampled_from(["n1", "n2"]), st.integers(0, 40), st.booleans()), min_size=1
    )
)
def test_silence_agrees_with_a_plain_loop(ops: list[tuple[str, int, bool]]) -> None:
    ops = sorted(ops, key=lambda op: op[1])
    found = judged(
        *(op(node, at / 2, at / 2, "ok" if ok else "fail") for node, at, ok in ops)
    ).figures["nodes"]
    begin, end = ops[0][1] / 2, ops[-1][1] / 2
    for node in {node for node, _, _ in ops}:
        longest, silent, last = 0.0, 0.0, begin
        for at in [*(at / 2 for other, at, ok in ops if ok and other == node), end]:
            longest = max(longest, at - last)
            silent += at - last if at - last > 1 else 0
            last = at
        assert found[node] == {"longest-gap-seconds": longest, "without-ok-seconds": silent}


def test_deliveries_and_the_drain_do_not_end_a_silence() -> None:
    load = [op("n1", 0, 1), op("n2", 0, 1), op("n2", 19, 20)]
    more = [
        op("n1", 10, 10, f="dequeue"),
        op("n1", 30, 60, f="drain"),
        op("n1", 31, 31, f="dequeue"),
    ]
    assert judged(*load, *more).figures == judged(*load).figures
    assert judged(*load).figures["nodes"]["n1"]["longest-gap-seconds"] == 19.0


def test_a_first_ok_is_of_an_op_invoked_since() -> None:
    # The fault is in force from 11 s on and undone at 18 s. The op that was in flight at 11 s shows
    # nothing.
    ops = [
        op("n1", 10, 12),
        op("n1", 13, 14),
        op("n1", 18, 18.5),
        op("n2", 11, 19),
        op("n2", 19, 21),
        op("n3", 1, 2),
    ]
    (window,) = judged(*ops, fault()).figures["windows"]
    assert window["nodes"] == {
        "n1": {"in-force-to-ok-seconds": 3.0, "heal-to-ok-seconds": 0.5},
        "n2": {"in-force-to-ok-seconds": 8.0, "heal-to-ok-seconds": 3.0},
        "n3": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
    }
    assert window["heal-to-recovered-seconds"] is None


def test_only_the_last_healing_has_a_recovery_time() -> None:
    result = judged(fault(1, 10, 20), fault(2, 30, 40), recover(50, 5))
    assert [window["heal-to-recovered-seconds"] for window in result.figures["windows"]] == [
        None,
        12.0,
    ]
    result = judged(fault(1, 10, 40), fault(2, 20, 30), recover(50, 5))
    assert [window["heal-to-recovered-seconds"] for window in result.figures["windows"]] == [
        12.0,
        None,
    ]


@pytest.mark.parametrize(
    ("parts", "verdict", "says"),
    [
        ([fault(), recover(28, 5)], Verdict.VALID, ""),
        (
            [fault(), recover(28.1, 5)],
            Verdict.UNKNOWN,
            "not known whether the cluster recovered by itself within 10 s of the last healing: "
            "the last observation of it was 10.1 s after the healing",
        ),
        # Observed from 20 s on, it was in trouble until 26 s, or 30 s: 8 s or 12 s after the healing.
        (
            [fault(), recover(31, 11, **{"trouble-seconds": 6.0})],
            Verdict.UNKNOWN,
            "is not known whether",
        ),
        (
            [fault(), recover(31, 11, **{"trouble-seconds": 10.0})],
            Verdict.INVALID,
            "still in trouble after 12.0 s",
        ),
        # It was not observed before 97 s, and was not in trouble then.
        (
            [fault(), recover(100, 3, **{"trouble-seconds": None})],
            Verdict.UNKNOWN,
            "was 82.0 s after the healing",
        ),
        # It was not observed before 97 s, and was in trouble then.
        (
            [fault(), recover(100, 3, **{"trouble-seconds": 0.0})],
            Verdict.INVALID,
            "still in trouble after 79.0 s",
        ),
        ([fault(), recover(140, 121, restarted=["n2"])], Verdict.INVALID, "n2 had to be restarted"),
        ([fault(), recover(21, 1, restarted=["n2"])], Verdict.INVALID, "n2 had to be restarted"),
        (
            [fault(), recover(140, 121, troubles={"n2": "is down"})],
            Verdict.INVALID,
            "still in trouble after 122.0 s",
        ),
        (
            [fault(), recover(21, 1, troubles={"n2": "is down"})],
            Verdict.UNKNOWN,
            "is not known whether",
        ),
        ([fault()], Verdict.UNKNOWN, "the run ended before"),
        (
            [fault(1), fault(2, 30, 40)[:3], recover(50, 1)],
            Verdict.UNKNOWN,
            "not every fault was healed",
        ),
        ([recover(50, 1)], Verdict.VALID, ""),
        ([], Verdict.VALID, ""),
    ],
)
def test_the_limit_of_recovery(parts: list[list[Op]], verdict: Verdict, says: str) -> None:
    result = judged(*parts, within=10)
    assert result.verdict is verdict
    assert says in "; ".join(result.reasons)
    assert bool(says) == bool(result.reasons)
    assert judged(*parts).verdict is Verdict.VALID
