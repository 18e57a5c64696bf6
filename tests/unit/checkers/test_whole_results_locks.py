"""Locks: everything that the checker says about each kind of history."""

from __future__ import annotations

from functools import partial
from typing import Any

from jepsenvm.checkers.linearizable import Bounds
from jepsenvm.checkers.lock import lock
from jepsenvm.history.op import Op
from tests.unit.builders import op_at as at
from tests.unit.builders import operation
from tests.unit.checkers.whole_results import whole

fenced = partial(lock, fenced=True)


def call(
    f: str,
    process: int,
    began: float,
    ended: float | None,
    value: Any = None,
    type_: Any = "ok",
    node: str | None = None,
) -> list[Op]:
    """Return a call between two times in seconds; without an end, it never completes."""
    ops = [at(began, process, "invoke", f, None, node)]
    if ended is not None:
        ops.append(at(ended, process, type_, f, value, node))
    return ops


def by_time(*parts: list[Op]) -> list[Op]:
    return sorted((op for part in parts for op in part), key=lambda op: op.time)


def judged(*parts: list[Op]) -> Any:
    return whole(lock, by_time(*parts))


def test_a_valid_lock() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, node="n1"),
        call("release", 1, 2.5, 2.6, node="n1"),
        call("acquire", 2, 1.5, 2.55),
        call("release", 2, 3, 3.1, type_="info"),
        call("acquire", 3, 3, 4, type_="fail"),
        call("acquire", 4, 5, None),
        [at(6, 9, "invoke", "tokens"), at(7, 9, "ok", "tokens", 1)],
    ) == (
        "valid",
        [],
        {
            "acquire-count": 2,
            "release-count": 1,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 1,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 1.4,
            "fenced": False,
            "violation": [],
            "tokens": 1,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_lock_held_twice() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, node="n1"),
        call("acquire", 2, 1, 2.25, node="n2"),
        call("acquire", 3, 2, 2.5),
        call("release", 1, 3.1234567, 4, node="n1"),
        call("release", 2, 3.5, 4, node="n2"),
    ) == (
        "invalid",
        [
            "the lock was held twice at once (3 pairs of holds overlap); first, "
            "process 1 on n1 held the lock from 1.100 s (acquire ok) until 3.123 s "
            "(release invoked), and process 2 on n2 acquired it at 2.250 s"
        ],
        {
            "acquire-count": 3,
            "release-count": 2,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 3,
            "overlapping-count": 3,
            "most-holders": 3,
            "longest-hold-s": 2.023457,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 1.0,
                    "to": 1.1,
                },
                {
                    "process": 2,
                    "node": "n2",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 1.0,
                    "to": 2.25,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 3.123457,
                    "to": 4.0,
                },
                {
                    "process": 2,
                    "node": "n2",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 3.5,
                    "to": 4.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_lock_held_twice_by_one_process() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, node="n1"),
        call("acquire", 1, 2, 2.2, node="n1"),
        call("release", 1, 3, 4, node="n1"),
    ) == (
        "invalid",
        [
            "the lock was held twice at once (1 pair of holds overlaps); first, "
            "process 1 on n1 held the lock from 1.100 s (acquire ok) until 3.000 s "
            "(release invoked), and acquired it at 2.200 s once more"
        ],
        {
            "acquire-count": 2,
            "release-count": 1,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 1,
            "overlapping-count": 2,
            "most-holders": 2,
            "longest-hold-s": 1.9,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 1.0,
                    "to": 1.1,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 2.0,
                    "to": 2.2,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 3.0,
                    "to": 4.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_lock_that_was_never_released_and_is_granted_again() -> None:
    assert judged(call("acquire", 1, 1, 1.1), call("acquire", 2, 2, 2.2)) == (
        "invalid",
        [
            "the lock was held twice at once (1 pair of holds overlaps); first, "
            "process 1 held the lock from 1.100 s (acquire ok) and never released "
            "it, and process 2 acquired it at 2.200 s"
        ],
        {
            "acquire-count": 2,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 1,
            "overlapping-count": 2,
            "most-holders": 2,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 1.0,
                    "to": 1.1,
                },
                {
                    "process": 2,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 2.0,
                    "to": 2.2,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_three_pairs_of_holds_of_which_the_second_began_last() -> None:
    assert judged(
        call("acquire", 1, 1, 2),
        call("release", 1, 2.5, 2.6),
        call("acquire", 2, 3, 4),
        call("release", 2, 5, 6),
        call("acquire", 3, 3, 4.5),
        call("release", 3, 7, 8),
        call("acquire", 4, 6, 6.5),
        call("release", 4, 7.5, 8),
    ) == (
        "invalid",
        [
            "the lock was held twice at once (2 pairs of holds overlap); first, "
            "process 2 held the lock from 4.000 s (acquire ok) until 5.000 s "
            "(release invoked), and process 3 acquired it at 4.500 s"
        ],
        {
            "acquire-count": 4,
            "release-count": 4,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 2,
            "overlapping-count": 3,
            "most-holders": 2,
            "longest-hold-s": 2.5,
            "fenced": False,
            "violation": [
                {
                    "process": 2,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 3.0,
                    "to": 4.0,
                },
                {
                    "process": 3,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 3.0,
                    "to": 4.5,
                },
                {
                    "process": 2,
                    "node": None,
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 5.0,
                    "to": 6.0,
                },
                {
                    "process": 3,
                    "node": None,
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 7.0,
                    "to": 8.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_release_without_a_hold() -> None:
    assert judged(
        call("acquire", 1, 0.1, 0.2, node="n1"),
        call("release", 1, 0.3, 0.4, node="n1"),
        call("acquire", 1, 1, 1.1, node="n1"),
        call("release", 1, 2, 2.5, node="n1"),
        call("release", 1, 3, 3.5, node="n1"),
        call("release", 2, 4, 4.5),
    ) == (
        "invalid",
        [
            "a process released the lock without holding it (2 releases); first, "
            "process 1 on n1 from 3.000 s to 3.500 s"
        ],
        {
            "acquire-count": 2,
            "release-count": 4,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.9,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 1.0,
                    "to": 1.1,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 2.0,
                    "to": 2.5,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 3.0,
                    "to": 3.5,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_release_without_any_call_before_it() -> None:
    assert judged(
        call("release", 2, 0.5, 0.6, node="n2"),
        call("acquire", 1, 1, 1.1),
        call("release", 1, 2, 2.5, type_="info"),
    ) == (
        "invalid",
        [
            "a process released the lock without holding it (1 release); first, "
            "process 2 on n2 from 0.500 s to 0.600 s"
        ],
        {
            "acquire-count": 1,
            "release-count": 1,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 1,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.9,
            "fenced": False,
            "violation": [
                {
                    "process": 2,
                    "node": "n2",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 0.5,
                    "to": 0.6,
                }
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_grant_that_no_order_explains() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, node="n1"),
        call("release", 1, 2, 2.1, type_="info", node="n1"),
        call("acquire", 2, 2.5, 3, node="n2"),
        call("acquire", 1, 3.5, 4, node="n1"),
        call("release", 2, 5, 6, node="n2"),
        call("acquire", 3, 1, None),
    ) == (
        "invalid",
        [
            "no order of the operations explains the acquire of process 1 on n1 from "
            "3.500 s to 4.000 s: only process 2 could hold the lock then"
        ],
        {
            "acquire-count": 3,
            "release-count": 1,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 1,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 2.0,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "info",
                    "value": None,
                    "from": 2.0,
                    "to": None,
                },
                {
                    "process": 2,
                    "node": "n2",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 2.5,
                    "to": 3.0,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": None,
                    "from": 3.5,
                    "to": 4.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_grant_after_a_doubtful_release_that_took_effect() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1),
        call("release", 1, 2, 2.1, type_="info"),
        call("acquire", 1, 2.5, 3),
        call("release", 1, 5, 6),
        call("acquire", 2, 5.5, 7),
    ) == (
        "valid",
        [],
        {
            "acquire-count": 3,
            "release-count": 1,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 1,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.9,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_release_after_a_doubtful_acquire() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, type_="info"),
        call("release", 1, 2, 2.1),
        call("acquire", 2, 3, 3.1),
        call("release", 2, 4, 4.1),
    ) == (
        "valid",
        [],
        {
            "acquire-count": 1,
            "release-count": 2,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.9,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_release_that_no_order_explains() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, type_="info", node="n1"),
        call("release", 1, 2, 2.1, node="n1"),
        call("release", 1, 3, 3.1, node="n1"),
        call("acquire", 2, 4, 4.1),
    ) == (
        "invalid",
        [
            "no order of the operations explains the release of process 1 on n1 from "
            "3.000 s to 3.100 s: no process could hold the lock then"
        ],
        {
            "acquire-count": 1,
            "release-count": 2,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "info",
                    "value": None,
                    "from": 1.0,
                    "to": None,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "release",
                    "type": "ok",
                    "value": None,
                    "from": 3.0,
                    "to": 3.1,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_search_that_reaches_its_bounds() -> None:
    assert whole(
        partial(lock, bounds=Bounds(steps=2)),
        operation(1, "acquire", None, "invoke", "info"),
        operation(1, "release"),
        operation(2, "acquire"),
        operation(2, "release"),
    ) == (
        "unknown",
        ["mutual exclusion is undecided: the search ended after 1 configuration"],
        {
            "acquire-count": 1,
            "release-count": 2,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_a_lock_that_nobody_acquired() -> None:
    assert judged(
        call("acquire", 1, 1, 2, type_="info"), call("acquire", 2, 1, 2, type_="fail")
    ) == (
        "unknown",
        ["no process acquired the lock, so it was not tested"],
        {
            "acquire-count": 0,
            "release-count": 0,
            "acquire-in-doubt-count": 1,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 0,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )
    assert judged() == (
        "unknown",
        ["no process acquired the lock, so it was not tested"],
        {
            "acquire-count": 0,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 0,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_completions_of_a_lock_without_an_invocation() -> None:
    assert judged(
        call("acquire", 2, 1, 2),
        [at(3.5, 2, "ok", "release")],
        [at(4, 1, "info", "acquire", None, "n1")],
        [at(4, 1, "fail", "acquire")],
    ) == (
        "unknown",
        [
            "2 completions have no invocation, so nobody knows when the operation "
            "began; the first is the release of process 2 at 3.500 s"
        ],
        {
            "acquire-count": 1,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 0,
            "overlapping-count": 0,
            "most-holders": 1,
            "longest-hold-s": 0.0,
            "fenced": False,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def tokens(value: Any, checker: Any = lock) -> Any:
    """Return the verdict, the reasons and the figures about the tokens left."""
    count = [Op("invoke", "tokens", None, 9), Op("ok", "tokens", value, 9)]
    verdict, reasons, figures = whole(
        checker,
        [Op("invoke", "acquire", None, 1), Op("ok", "acquire", 7, 1)],
        operation(1, "release"),
        count,
    )
    return verdict, reasons, [figures[key] for key in ("tokens", "token-lost", "token-doubled")]


def test_the_tokens_left_at_the_end() -> None:
    assert [
        tokens(1),
        tokens(0),
        tokens(2),
        tokens(1234, fenced),
        tokens(True),
        tokens("1"),
        tokens(None),
        tokens(-1, fenced),
        tokens([1]),
    ] == [
        ("valid", [], [1, False, False]),
        (
            "invalid",
            ["the token is lost: no process can ever acquire the lock again"],
            [0, True, False],
        ),
        (
            "invalid",
            ["the token is doubled: 2 were left, so 2 processes can hold the lock at once"],
            [2, False, True],
        ),
        (
            "valid",
            ["the token is doubled: 1,234 were left, so 1,234 processes can hold the lock at once"],
            [1234, False, True],
        ),
        ("unknown", ["the number of tokens left is not an integer: True"], [None, False, False]),
        ("unknown", ["the number of tokens left is not an integer: '1'"], [None, False, False]),
        ("unknown", ["the tokens left in the queue could not be counted"], [None, False, False]),
        (
            "invalid",
            ["the token is lost: no process can ever acquire the lock again"],
            [-1, True, False],
        ),
        ("unknown", ["the number of tokens left is not an integer: [1]"], [None, False, False]),
    ]


def test_the_last_count_of_the_tokens_counts() -> None:
    counts = [
        Op("invoke", "tokens", None, 9),
        Op("ok", "tokens", 0, 9),
        Op("invoke", "tokens", None, 9),
        Op("ok", "tokens", 1, 9),
    ]
    assert whole(lock, operation(1, "acquire"), counts)[:2] == ("valid", [])


def test_tokens_that_were_never_counted() -> None:
    count = [Op("invoke", "tokens", None, 9), Op("info", "tokens", None, 9)]
    assert whole(lock, operation(1, "acquire"), count)[:2] == (
        "unknown",
        ["the tokens left in the queue could not be counted"],
    )


def test_fencing_tokens_that_are_safe() -> None:
    assert whole(
        fenced,
        by_time(
            call("acquire", 1, 1, 2, 5),
            call("acquire", 2, 1.5, 1.8, 7),
            call("acquire", 3, 2.5, 3, 8),
        ),
    ) == (
        "valid",
        [],
        {
            "acquire-count": 3,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 3,
            "overlapping-count": 3,
            "most-holders": 3,
            "longest-hold-s": 0.0,
            "fenced": True,
            "token-repeated-count": 0,
            "token-late-count": 0,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_fencing_tokens_that_were_granted_twice() -> None:
    assert whole(
        fenced,
        by_time(
            call("acquire", 1, 1, 2, 5, node="n1"),
            call("acquire", 2, 1.5, 1.8, 5, node="n2"),
            call("acquire", 3, 2.5, 3, 5),
            call("acquire", 3, 4, 5, 4),
        ),
    ) == (
        "invalid",
        [
            "2 acquires got a token that was already granted: process 2 on n2 got 5 "
            "at 1.800 s, and process 1 on n1 got 5 at 2.000 s",
            "1 acquire got a token smaller than an earlier one: process 2 on n2 got "
            "5 at 1.800 s, and then process 3 got 4 at 5.000 s",
        ],
        {
            "acquire-count": 4,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 6,
            "overlapping-count": 4,
            "most-holders": 4,
            "longest-hold-s": 0.0,
            "fenced": True,
            "token-repeated-count": 2,
            "token-late-count": 1,
            "violation": [
                {
                    "process": 2,
                    "node": "n2",
                    "f": "acquire",
                    "type": "ok",
                    "value": 5,
                    "from": 1.5,
                    "to": 1.8,
                },
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": 5,
                    "from": 1.0,
                    "to": 2.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_one_fencing_token_smaller_than_an_earlier_one() -> None:
    assert whole(
        fenced,
        by_time(
            call("acquire", 1, 1, 2, 5, node="n1"),
            call("acquire", 2, 2.5, 3, 4, node="n2"),
        ),
    ) == (
        "invalid",
        [
            "1 acquire got a token smaller than an earlier one: process 1 on n1 got "
            "5 at 2.000 s, and then process 2 on n2 got 4 at 3.000 s"
        ],
        {
            "acquire-count": 2,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 1,
            "overlapping-count": 2,
            "most-holders": 2,
            "longest-hold-s": 0.0,
            "fenced": True,
            "token-repeated-count": 0,
            "token-late-count": 1,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "acquire",
                    "type": "ok",
                    "value": 5,
                    "from": 1.0,
                    "to": 2.0,
                },
                {
                    "process": 2,
                    "node": "n2",
                    "f": "acquire",
                    "type": "ok",
                    "value": 4,
                    "from": 2.5,
                    "to": 3.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_fencing_tokens_smaller_than_earlier_ones() -> None:
    assert whole(
        fenced,
        by_time(
            call("acquire", 1, 1, 2, 5),
            call("acquire", 4, 1, 2.2, 9),
            call("acquire", 5, 1, 2.3, 6),
            call("acquire", 2, 2.5, 3, 4),
            call("acquire", 3, 2.6, 3.5, 3),
            call("acquire", 6, 3.9, 4, 10),
            call("release", 6, 4.5, 4.6, 1),
        ),
    ) == (
        "invalid",
        [
            "2 acquires got a token smaller than an earlier one: process 4 got 9 at "
            "2.200 s, and then process 2 got 4 at 3.000 s"
        ],
        {
            "acquire-count": 6,
            "release-count": 1,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 15,
            "overlapping-count": 6,
            "most-holders": 6,
            "longest-hold-s": 0.5,
            "fenced": True,
            "token-repeated-count": 0,
            "token-late-count": 2,
            "violation": [
                {
                    "process": 4,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": 9,
                    "from": 1.0,
                    "to": 2.2,
                },
                {
                    "process": 2,
                    "node": None,
                    "f": "acquire",
                    "type": "ok",
                    "value": 4,
                    "from": 2.5,
                    "to": 3.0,
                },
            ],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )


def test_grants_without_a_fencing_token() -> None:
    assert whole(
        fenced,
        by_time(
            call("acquire", 1, 1, 2),
            call("acquire", 2, 3, 4, True),
            call("acquire", 3, 5, 6, "7"),
        ),
    ) == (
        "unknown",
        ["3 acquires were ok without a token, so fencing cannot be judged"],
        {
            "acquire-count": 3,
            "release-count": 0,
            "acquire-in-doubt-count": 0,
            "release-in-doubt-count": 0,
            "doubled-count": 3,
            "overlapping-count": 3,
            "most-holders": 3,
            "longest-hold-s": 0.0,
            "fenced": True,
            "token-repeated-count": 0,
            "token-late-count": 0,
            "violation": [],
            "tokens": None,
            "token-lost": False,
            "token-doubled": False,
        },
    )
    assert whole(fenced, by_time(call("acquire", 1, 1, 2), call("acquire", 1, 3, 4, 1)))[1] == [
        "1 acquire was ok without a token, so fencing cannot be judged"
    ]


def test_only_the_calls_around_a_violation_are_shown() -> None:
    retired = [
        op
        for process in range(30)
        for op in (
            *operation(process, "acquire"),
            *operation(process, "release", None, "invoke", "info"),
        )
    ]
    verdict, reasons, figures = whole(
        lock,
        retired,
        operation(40, "acquire"),
        operation(40, "release", None, "invoke", "info"),
        operation(40, "acquire"),
        operation(40, "release"),
        operation(40, "release"),
    )
    assert (verdict, reasons) == (
        "invalid",
        [
            "no order of the operations explains the release of process 40 from "
            "0.000 s to 0.000 s: no process could hold the lock then"
        ],
    )
    assert [shown["process"] for shown in figures["violation"]] == [40, 40]


def test_failed_calls_did_not_happen() -> None:
    assert judged(
        call("acquire", 1, 1, 1.1, type_="fail"),
        call("release", 1, 2, 2.1),
        call("acquire", 2, 3, 3.1),
        call("release", 2, 4, 4.1, type_="fail"),
        call("acquire", 3, 5, 5.1),
    )[:2] == (
        "invalid",
        [
            "the lock was held twice at once (1 pair of holds overlaps); first, "
            "process 2 held the lock from 3.100 s (acquire ok) and never released "
            "it, and process 3 acquired it at 5.100 s"
        ],
    )


def test_one_fencing_token_that_was_granted_twice() -> None:
    assert whole(fenced, by_time(call("acquire", 1, 1, 2, 5), call("acquire", 2, 2.5, 3, 5)))[
        1
    ] == [
        "1 acquire got a token that was already granted: process 1 got 5 at 2.000 "
        "s, and process 2 got 5 at 3.000 s"
    ]


def test_a_failed_acquire_gives_nothing_to_release() -> None:
    assert judged(call("acquire", 1, 1, 1.1, type_="fail"), call("release", 1, 2, 2.1))[:2] == (
        "invalid",
        [
            "no process acquired the lock, so it was not tested",
            "a process released the lock without holding it (1 release); first, "
            "process 1 from 2.000 s to 2.100 s",
        ],
    )
