"""lock: planted faults and their innocent twins, agreement with the definition and of the fast path with the engine."""

from __future__ import annotations

import random
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.calls import calls
from jepsenvm.checkers.linearizable import Bounds, linearize
from jepsenvm.checkers.lock import MUTEX, exclusion, lock
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit.checkers.linear import by_definition, histories, ops, seconds

ASKED = [("acquire", None), ("release", None)]


def checked(*parts: list[Op], fenced: bool = False) -> Result:
    return lock(from_ops(chain.from_iterable(parts)), fenced=fenced)


def held(process: int, token: int | None = None) -> list[Op]:
    """A hold from an acquire to its release; the second half releases it."""
    return [
        Op("invoke", "acquire", None, process),
        Op("ok", "acquire", token, process),
        *ops(process, "release"),
    ]


def many_holds(number: int, processes: int = 20, seed: int = 1) -> list[Op]:
    """A legal history: all others wait while one holds it; some releases are in doubt, and their processes retire."""
    rng = random.Random(seed)
    waiting = list(range(processes))
    found = [Op("invoke", "acquire", None, process, 0) for process in waiting]
    for hold in range(number):
        process = waiting.pop(rng.randrange(len(waiting)))
        doubt = rng.random() < 0.01
        found.append(Op("ok", "acquire", hold, process, 4 * hold))
        found.append(Op("invoke", "release", None, process, 4 * hold + 1))
        found.append(Op("info" if doubt else "ok", "release", None, process, 4 * hold + 2))
        waiting.append(process + processes if doubt else process)
        found.append(Op("invoke", "acquire", None, waiting[-1], 4 * hold + 3))
    return found


def test_one_after_the_other_is_valid() -> None:
    found = checked(held(1), held(2), held(1))
    assert (found.verdict, found.reasons) == (Verdict.VALID, ())
    assert (
        found.figures["acquire-count"],
        found.figures["doubled-count"],
        found.figures["violation"],
    ) == (3, 0, [])


def test_two_holders_are_told_as_a_story() -> None:
    found = checked(
        [
            seconds(3, "invoke", "acquire", 12.0, node="n1"),
            seconds(3, "ok", "acquire", 12.3, node="n1"),
            seconds(7, "invoke", "acquire", 12.5, node="n4"),
            seconds(7, "ok", "acquire", 13.1, node="n4"),
            seconds(3, "invoke", "release", 15.0, node="n1"),
            seconds(3, "ok", "release", 15.2, node="n1"),
        ]
    )
    assert found.verdict is Verdict.INVALID
    assert found.reasons == (
        "two held the lock at once, once: process 3 on n1 held the lock from 12.300 s (acquire ok) until 15.000 s "
        "(release invoked), and process 7 on n4 acquired it at 13.100 s",
    )
    told = [
        (op["process"], op["node"], op["f"], op["type"], op["from"], op["to"])
        for op in found.figures["violation"]
    ]
    assert told == [
        (3, "n1", "acquire", "ok", 12.0, 12.3),
        (7, "n4", "acquire", "ok", 12.5, 13.1),
        (3, "n1", "release", "ok", 15.0, 15.2),
    ]
    assert found.figures["longest-hold-s"] == 2.7


def test_a_lock_that_passes_on_while_its_release_is_under_way_is_valid() -> None:
    first = [*ops(3, "acquire"), Op("invoke", "acquire", None, 7), Op("invoke", "release", None, 3)]
    assert (
        checked(first, [Op("ok", "acquire", None, 7), Op("ok", "release", None, 3)]).verdict
        is Verdict.VALID
    )


def test_holders_and_pairs_are_counted() -> None:
    found = checked(
        ops(1, "acquire"), ops(2, "acquire"), ops(3, "acquire"), ops(1, "release"), held(4)
    )
    counted = [found.figures[key] for key in ("doubled-count", "overlapping-count", "most-holders")]
    assert (found.verdict, counted) == (Verdict.INVALID, [5, 4, 3])
    assert "5 times, the first of them" in found.reasons[0]


@pytest.mark.parametrize(
    ("verdict", "history"),
    [
        (Verdict.INVALID, [*ops(1, "acquire"), *held(2)]),
        (
            Verdict.INVALID,
            [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "fail"), *held(2)],
        ),
        (Verdict.VALID, [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "info"), *held(2)]),
        (Verdict.VALID, [*ops(1, "acquire"), *ops(1, "release", None, "invoke"), *held(2)]),
        (Verdict.VALID, [*ops(1, "acquire", None, "invoke", "info"), *held(2)]),
        (Verdict.VALID, [*ops(1, "acquire", None, "invoke", "fail"), *held(2)]),
        (Verdict.INVALID, [*ops(1, "acquire"), *ops(1, "acquire")]),
        (Verdict.INVALID, [*held(2), *ops(1, "release")]),
        (Verdict.INVALID, [*held(1), *ops(1, "release")]),
        (Verdict.VALID, [*held(1), *ops(1, "release", None, "invoke", "fail")]),
        (Verdict.VALID, [*held(1), *ops(2, "release", None, "invoke", "info")]),
        # A process that goes on after its doubt: here the engine decides.
        (Verdict.VALID, [*held(2), *ops(1, "acquire", None, "invoke", "info"), *ops(1, "release")]),
        (
            Verdict.VALID,
            [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "info"), *ops(1, "acquire")],
        ),
        (
            Verdict.VALID,
            [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "info"), *held(1), *held(2)],
        ),
        (
            Verdict.INVALID,
            [
                *ops(1, "acquire"),
                *ops(1, "release", None, "invoke", "info"),
                *held(2),
                *ops(1, "release"),
            ],
        ),
        (
            Verdict.INVALID,
            [
                *ops(1, "acquire"),
                *ops(1, "release", None, "invoke", "info"),
                *ops(1, "acquire"),
                *ops(1, "acquire"),
            ],
        ),
    ],
)
def test_what_is_in_doubt_may_have_happened(verdict: Verdict, history: list[Op]) -> None:
    found = checked(history)
    assert found.verdict is verdict
    assert bool(found.reasons) == bool(found.figures["violation"]) == (verdict is Verdict.INVALID)


def test_a_release_of_a_lock_that_another_holds_names_the_holder() -> None:
    doubt = [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "info")]
    found = checked(doubt, held(2), ops(3, "acquire"), ops(1, "release"))
    assert "the release of process 1" in found.reasons[0]
    assert "only process 3 could have it then" in found.reasons[0]


@pytest.mark.parametrize("retire", [True, False])
def test_it_agrees_with_the_definition_and_with_the_engine(*, retire: bool) -> None:
    verdicts = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(histories(ASKED, [None], retire=retire, most=5))
    def agrees(history: list[Op]) -> None:
        found = calls(from_ops(history), *MUTEX_FS)[0]
        happened = [call for call in found if call.type != "fail"]
        verdict = exclusion(happened).verdict
        assert verdict is (Verdict.VALID if by_definition(happened, MUTEX) else Verdict.INVALID)
        verdicts.add(verdict)

    agrees()
    assert verdicts == {Verdict.VALID, Verdict.INVALID}


MUTEX_FS = ("acquire", "release")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 6))
def test_the_fast_path_agrees_with_the_engine_on_longer_histories(
    seed: int, broken: int, disorder: int
) -> None:
    history = many_holds(30, 4, seed)
    history[broken : broken + disorder] = sorted(
        history[broken : broken + disorder], key=lambda op: op.process
    )
    found, orphans = calls(from_ops(history), *MUTEX_FS)
    if not orphans:
        assert exclusion(found).verdict is linearize(found, MUTEX).verdict


def test_twenty_thousand_ops_of_twenty_processes() -> None:
    history = many_holds(5_000)
    assert len(history) == 20_020
    assert lock(from_ops(history)).verdict is Verdict.VALID
    # The release of a hold in the middle never happened: its holder has it to the end.
    number = next(number for number in range(10_000, 20_000) if history[number].f == "release")
    holder = history[number].process
    broken = [op for row, op in enumerate(history) if row < number or op.process != holder]
    found = lock(from_ops(broken))
    assert (found.verdict, found.figures["most-holders"]) == (Verdict.INVALID, 2)
    assert f"process {holder} held the lock" in found.reasons[0]
    assert "and never released it" in found.reasons[0]


def test_the_engine_reads_long_histories_too() -> None:
    history = [
        *many_holds(500),
        *ops(90_000, "acquire", None, "invoke", "info"),
        *ops(90_000, "release", None, "invoke", "info"),
    ]
    assert lock(from_ops(history)).verdict is Verdict.VALID


def test_where_many_go_on_after_their_doubts_a_violation_is_still_found() -> None:
    """All of them keep their numbers here, so the engine decides, and each of the doubts could explain much."""
    history = [
        Op(op.type, op.f, op.value, op.process % 20, op.time) for op in many_holds(800, seed=2)
    ]
    assert sum(op.type == "info" for op in history) > 5
    assert lock(from_ops(history)).verdict is Verdict.VALID
    found = lock(from_ops([*history, *ops(777, "release")]))
    assert found.verdict is Verdict.INVALID
    assert [(op["process"], op["f"]) for op in found.figures["violation"]] == [(777, "release")]


def test_a_search_that_ended_is_unknown() -> None:
    history = [*ops(1, "acquire"), *ops(1, "release", None, "invoke", "info"), *held(1), *held(2)]
    found = lock(from_ops(history), bounds=Bounds(configurations=1))
    assert found.verdict is Verdict.UNKNOWN
    assert found.reasons == (
        "whether it was held by one at a time: search ended after 1 configurations",
    )


@pytest.mark.parametrize(
    ("verdict", "history"),
    [
        (Verdict.UNKNOWN, []),
        (Verdict.UNKNOWN, ops(1, "acquire", None, "invoke", "fail")),
        (Verdict.UNKNOWN, [Op("ok", "acquire", 1, 1), *held(2)]),
        (Verdict.INVALID, [Op("ok", "acquire", 1, 1), *ops(2, "acquire"), *ops(3, "acquire")]),
        (Verdict.VALID, [Op("info", "acquire", None, NEMESIS), *held(2)]),
    ],
    ids=["empty", "all failed", "no invocation", "no invocation, and a violation", "nemesis"],
)
def test_what_was_not_tested_is_not_valid(verdict: Verdict, history: list[Op]) -> None:
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
    found = checked(held(1), ops(2, "tokens", left))
    assert (found.verdict, found.figures["token-lost"], found.figures["token-doubled"]) == (
        verdict,
        lost,
        doubled,
    )


def test_a_count_of_tokens_that_never_came_is_unknown() -> None:
    assert checked(held(1), ops(2, "tokens", None, "invoke", "info")).verdict is Verdict.UNKNOWN


def test_fencing_allows_two_holders_but_no_token_twice() -> None:
    def two(first: int | None, second: int | None) -> Result:
        return checked(
            [Op("invoke", "acquire", None, 1), Op("ok", "acquire", first, 1)],
            held(2, second),
            fenced=True,
        )

    assert (two(1, 2).verdict, two(1, 2).figures["doubled-count"]) == (Verdict.VALID, 1)
    assert two(1, None).verdict is Verdict.UNKNOWN
    assert (two(1, 1).verdict, two(1, 1).figures["token-repeated-count"]) == (Verdict.INVALID, 1)
    late = two(2, 1)
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
    given_ = iter(tokens)
    numbered = [
        Op("ok", "acquire", next(given_), op.process) if op.type == "ok" else op for op in history
    ]
    acquired = [call for call in calls(from_ops(numbered), "acquire")[0] if call.type == "ok"]
    bad = any(
        first is not second
        and (
            first.answered == second.answered
            or ((first.returned or 0) < second.invoked and first.answered > second.answered)
        )
        for first in acquired
        for second in acquired
    )
    expected = Verdict.INVALID if bad else Verdict.VALID if acquired else Verdict.UNKNOWN
    assert lock(from_ops(numbered), fenced=True).verdict is expected
