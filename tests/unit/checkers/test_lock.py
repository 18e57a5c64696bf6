"""lock: planted violations, similar legal histories, and agreement with the definition.

The fast path of mutual exclusion must also agree with the search.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.client_calls import client_calls
from jepsenvm.checkers.linearizable import Bounds, linearize
from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.mutual_exclusion import MUTEX, mutual_exclusion
from jepsenvm.checkers.verdict import Result, Verdict, graded
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit import builders
from tests.unit.builders import op_at, operation
from tests.unit.checkers.linearizability import by_definition, histories, step_mutex

OPERATIONS = [("acquire", None), ("release", None)]


def checked(*parts: list[Op], fenced: bool = False) -> Result:
    return lock(builders.history(*parts), fenced=fenced)


def held(process: int, token: int | None = None) -> list[Op]:
    """Return an ok acquire with this token and its ok release."""
    return [
        Op("invoke", "acquire", None, process),
        Op("ok", "acquire", token, process),
        *operation(process, "release"),
    ]


def many_holds(number: int, processes: int = 20, seed: int = 1) -> list[Op]:
    """Return a legal history of many holds, while all other processes wait.

    Some releases are in doubt; their processes retire.
    """
    rng = random.Random(seed)
    waiting = list(range(processes))
    ops = [Op("invoke", "acquire", None, process, 0) for process in waiting]
    for hold in range(number):
        process = waiting.pop(rng.randrange(len(waiting)))
        doubt = rng.random() < 0.01
        ops.append(Op("ok", "acquire", hold, process, 4 * hold))
        ops.append(Op("invoke", "release", None, process, 4 * hold + 1))
        ops.append(Op("info" if doubt else "ok", "release", None, process, 4 * hold + 2))
        waiting.append(process + processes if doubt else process)
        ops.append(Op("invoke", "acquire", None, waiting[-1], 4 * hold + 3))
    return ops


def test_holds_one_after_the_other_are_valid() -> None:
    result = checked(held(1), held(2), held(1))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert (
        result.figures["acquire-count"],
        result.figures["doubled-count"],
        result.figures["violation"],
    ) == (3, 0, [])


def test_two_holders_are_described_with_nodes_and_times() -> None:
    result = checked(
        [
            op_at(12.0, 3, "invoke", "acquire", node="n1"),
            op_at(12.3, 3, "ok", "acquire", node="n1"),
            op_at(12.5, 7, "invoke", "acquire", node="n4"),
            op_at(13.1, 7, "ok", "acquire", node="n4"),
            op_at(15.0, 3, "invoke", "release", node="n1"),
            op_at(15.2, 3, "ok", "release", node="n1"),
        ]
    )
    assert result.verdict is Verdict.INVALID
    assert result.reasons == (
        "the lock was held twice at once (1 pair of holds overlaps); first, process 3 on n1 held "
        "the lock from 12.300 s (acquire ok) until 15.000 s (release invoked), and process 7 on n4 "
        "acquired it at 13.100 s",
    )
    violation = [
        (op["process"], op["node"], op["f"], op["type"], op["from"], op["to"])
        for op in result.figures["violation"]
    ]
    assert violation == [
        (3, "n1", "acquire", "ok", 12.0, 12.3),
        (7, "n4", "acquire", "ok", 12.5, 13.1),
        (3, "n1", "release", "ok", 15.0, 15.2),
    ]
    assert result.figures["longest-hold-s"] == 2.7


def test_a_lock_may_pass_on_between_the_invocation_and_the_ok_of_its_release() -> None:
    first = [
        *operation(3, "acquire"),
        Op("invoke", "acquire", None, 7),
        Op("invoke", "release", None, 3),
    ]
    assert (
        checked(first, [Op("ok", "acquire", None, 7), Op("ok", "release", None, 3)]).verdict
        is Verdict.VALID
    )


def test_overlapping_holds_are_counted() -> None:
    result = checked(
        operation(1, "acquire"),
        operation(2, "acquire"),
        operation(3, "acquire"),
        operation(1, "release"),
        held(4),
    )
    counted = [
        result.figures[key] for key in ("doubled-count", "overlapping-count", "most-holders")
    ]
    assert (result.verdict, counted) == (Verdict.INVALID, [5, 4, 3])
    assert "(5 pairs of holds overlap); first, " in result.reasons[0]


@pytest.mark.parametrize(
    ("verdict", "history"),
    [
        (Verdict.INVALID, [*operation(1, "acquire"), *held(2)]),
        (
            Verdict.INVALID,
            [*operation(1, "acquire"), *operation(1, "release", None, "invoke", "fail"), *held(2)],
        ),
        (
            Verdict.VALID,
            [*operation(1, "acquire"), *operation(1, "release", None, "invoke", "info"), *held(2)],
        ),
        (
            Verdict.VALID,
            [*operation(1, "acquire"), *operation(1, "release", None, "invoke"), *held(2)],
        ),
        (Verdict.VALID, [*operation(1, "acquire", None, "invoke", "info"), *held(2)]),
        (Verdict.VALID, [*operation(1, "acquire", None, "invoke", "fail"), *held(2)]),
        (Verdict.INVALID, [*operation(1, "acquire"), *operation(1, "acquire")]),
        (Verdict.INVALID, [*held(2), *operation(1, "release")]),
        (Verdict.INVALID, [*held(1), *operation(1, "release")]),
        (Verdict.VALID, [*held(1), *operation(1, "release", None, "invoke", "fail")]),
        (Verdict.VALID, [*held(1), *operation(2, "release", None, "invoke", "info")]),
        # A process acts after its call in doubt, so the search decides.
        (
            Verdict.VALID,
            [*held(2), *operation(1, "acquire", None, "invoke", "info"), *operation(1, "release")],
        ),
        (
            Verdict.VALID,
            [
                *operation(1, "acquire"),
                *operation(1, "release", None, "invoke", "info"),
                *operation(1, "acquire"),
            ],
        ),
        (
            Verdict.VALID,
            [
                *operation(1, "acquire"),
                *operation(1, "release", None, "invoke", "info"),
                *held(1),
                *held(2),
            ],
        ),
        (
            Verdict.INVALID,
            [
                *operation(1, "acquire"),
                *operation(1, "release", None, "invoke", "info"),
                *held(2),
                *operation(1, "release"),
            ],
        ),
        (
            Verdict.INVALID,
            [
                *operation(1, "acquire"),
                *operation(1, "release", None, "invoke", "info"),
                *operation(1, "acquire"),
                *operation(1, "acquire"),
            ],
        ),
    ],
)
def test_an_op_in_doubt_may_or_may_not_have_happened(verdict: Verdict, history: list[Op]) -> None:
    result = checked(history)
    assert result.verdict is verdict
    assert bool(result.reasons) == bool(result.figures["violation"]) == (verdict is Verdict.INVALID)


def test_a_release_of_a_lock_that_another_holds_names_the_holder() -> None:
    doubt = [*operation(1, "acquire"), *operation(1, "release", None, "invoke", "info")]
    result = checked(doubt, held(2), operation(3, "acquire"), operation(1, "release"))
    assert "the release of process 1" in result.reasons[0]
    assert "only process 3 could hold the lock then" in result.reasons[0]


@pytest.mark.parametrize("retire", [True, False])
def test_mutual_exclusion_agrees_with_the_definition(*, retire: bool) -> None:
    verdicts = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(histories(OPERATIONS, [None], retire=retire, most=5))
    def agrees(history: list[Op]) -> None:
        all_calls = client_calls(from_ops(history), *MUTEX_FS)[0]
        happened = [call for call in all_calls if call.type != "fail"]
        verdict = mutual_exclusion(happened).verdict
        assert verdict is (
            Verdict.VALID if by_definition(happened, step_mutex) else Verdict.INVALID
        )
        verdicts.add(verdict)

    agrees()
    assert verdicts == {Verdict.VALID, Verdict.INVALID}


MUTEX_FS = ("acquire", "release")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 6))
def test_the_fast_path_agrees_with_the_search_on_longer_histories(
    seed: int, broken: int, disorder: int
) -> None:
    history = many_holds(30, 4, seed)
    history[broken : broken + disorder] = sorted(
        history[broken : broken + disorder], key=lambda op: op.process
    )
    all_calls, orphans = client_calls(from_ops(history), *MUTEX_FS)
    if not orphans:
        assert mutual_exclusion(all_calls).verdict is linearize(all_calls, MUTEX).verdict


def test_twenty_thousand_ops_of_twenty_processes() -> None:
    history = many_holds(5_000)
    assert len(history) == 20_020
    assert lock(from_ops(history)).verdict is Verdict.VALID
    # The release of a hold in the middle is removed, so its holder holds the lock to the end.
    number = next(number for number in range(10_000, 20_000) if history[number].f == "release")
    holder = history[number].process
    broken = [op for row, op in enumerate(history) if row < number or op.process != holder]
    result = lock(from_ops(broken))
    assert (result.verdict, result.figures["most-holders"]) == (Verdict.INVALID, 2)
    assert f"process {holder} held the lock" in result.reasons[0]
    assert "and never released it" in result.reasons[0]


def test_the_search_reads_long_histories() -> None:
    history = [
        *many_holds(500),
        *operation(90_000, "acquire", None, "invoke", "info"),
        *operation(90_000, "release", None, "invoke", "info"),
    ]
    assert lock(from_ops(history)).verdict is Verdict.VALID


def test_a_violation_is_found_although_many_processes_act_after_doubts() -> None:
    """No process retires here, so the search decides, and each doubt allows many orders."""
    history = [
        Op(op.type, op.f, op.value, op.process % 20, op.time) for op in many_holds(800, seed=2)
    ]
    assert sum(op.type == "info" for op in history) > 5
    assert lock(from_ops(history)).verdict is Verdict.VALID
    result = lock(from_ops([*history, *operation(777, "release")]))
    assert result.verdict is Verdict.INVALID
    assert [(op["process"], op["f"]) for op in result.figures["violation"]] == [(777, "release")]


def test_a_search_that_reached_its_bounds_is_unknown() -> None:
    history = [
        *operation(1, "acquire"),
        *operation(1, "release", None, "invoke", "info"),
        *held(1),
        *held(2),
    ]
    result = lock(from_ops(history), bounds=Bounds(configurations=1))
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "mutual exclusion is undecided: the search ended after 1 configuration",
    )


@pytest.mark.parametrize(
    ("verdict", "history"),
    [
        (Verdict.UNKNOWN, []),
        (Verdict.UNKNOWN, operation(1, "acquire", None, "invoke", "fail")),
        (Verdict.UNKNOWN, [Op("ok", "acquire", 1, 1), *held(2)]),
        (
            Verdict.INVALID,
            [Op("ok", "acquire", 1, 1), *operation(2, "acquire"), *operation(3, "acquire")],
        ),
        (Verdict.VALID, [Op("info", "acquire", None, NEMESIS), *held(2)]),
    ],
    ids=["empty", "all failed", "no invocation", "no invocation and a violation", "nemesis"],
)
def test_an_untested_lock_is_not_valid(verdict: Verdict, history: list[Op]) -> None:
    assert checked(history).verdict is verdict


@pytest.mark.parametrize(
    ("left", "verdict", "lost", "doubled"),
    [
        (0, Verdict.INVALID, True, False),
        (1, Verdict.VALID, False, False),
        (2, Verdict.INVALID, False, True),
        ("many", Verdict.UNKNOWN, False, False),
        (True, Verdict.UNKNOWN, False, False),
    ],
)
def test_a_token_can_be_lost_or_doubled(
    left: Any, verdict: Verdict, *, lost: bool, doubled: bool
) -> None:
    result = checked(held(1), operation(2, "tokens", left))
    assert (result.verdict, result.figures["token-lost"], result.figures["token-doubled"]) == (
        verdict,
        lost,
        doubled,
    )


def test_tokens_that_could_not_be_counted_are_unknown() -> None:
    assert (
        checked(held(1), operation(2, "tokens", None, "invoke", "info")).verdict is Verdict.UNKNOWN
    )


def test_fencing_allows_two_holders_but_no_repeated_token() -> None:
    def two_acquires(first: int | None, second: int | None) -> Result:
        return checked(
            [Op("invoke", "acquire", None, 1), Op("ok", "acquire", first, 1)],
            held(2, second),
            fenced=True,
        )

    assert (two_acquires(1, 2).verdict, two_acquires(1, 2).figures["doubled-count"]) == (
        Verdict.VALID,
        1,
    )
    assert two_acquires(1, None).verdict is Verdict.UNKNOWN
    assert (two_acquires(1, 1).verdict, two_acquires(1, 1).figures["token-repeated-count"]) == (
        Verdict.INVALID,
        1,
    )
    late = two_acquires(2, 1)
    assert (late.verdict, late.figures["token-late-count"]) == (Verdict.INVALID, 1)
    assert [op["value"] for op in late.figures["violation"]] == [2, 1]
    assert "process 1 got 2" in late.reasons[0]


def test_concurrent_acquires_may_get_tokens_in_any_order() -> None:
    invokes = [Op("invoke", "acquire", None, process) for process in (1, 2)]
    oks = [Op("ok", "acquire", 2, 1), Op("ok", "acquire", 1, 2)]
    assert checked(invokes, oks, fenced=True).verdict is Verdict.VALID


TOKENS = [("acquire", None)]


@settings(max_examples=50, deadline=None)
@given(
    histories(TOKENS, [None], retire=False, most=8),
    st.lists(st.integers(0, 4), min_size=8, max_size=8),
)
def test_fencing_agrees_with_its_definition(history: list[Op], tokens: list[int]) -> None:
    next_tokens = iter(tokens)
    numbered = [
        Op("ok", "acquire", next(next_tokens), op.process) if op.type == "ok" else op
        for op in history
    ]
    acquired = [
        call for call in client_calls(from_ops(numbered), "acquire")[0] if call.type == "ok"
    ]
    bad = any(
        first is not second
        and (
            first.answered == second.answered
            or ((first.returned or 0) < second.invoked and first.answered > second.answered)
        )
        for first in acquired
        for second in acquired
    )
    expected = graded(invalid=bad, unknown=not acquired)
    assert lock(from_ops(numbered), fenced=True).verdict is expected
