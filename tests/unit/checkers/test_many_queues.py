"""Many queues: each copy of a message must come out of its queue, and losses name their queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.many_queues import many_queues
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.export import write_edn, write_jsonl
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import (
    BINDINGS,
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    RESTARTED_QUEUES,
)
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, from_ops
from jepsenvm.history.units import SECOND
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.routing import ExchangeType, Routing
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit.builders import (
    DRAINER,
    fault_records,
    history_by_time,
    op_at,
    published,
    recovery_record,
)

MESSAGES = 12
EXCHANGES: list[ExchangeType] = ["direct", "topic", "fanout", "headers"]
FAULT = fault_records(
    {INJECT: 10 * SECOND, IN_FORCE: 11 * SECOND, HEAL: 19 * SECOND, HEALED: 20 * SECOND}
)
BASE = "jepsenvm.classic.x"


def routing(exchange: ExchangeType = "topic", queues: int = 6, fan_out: int = 3) -> Routing:
    return Routing(queues, fan_out, exchange)


def copies(of: Routing, messages: int = MESSAGES) -> list[tuple[int, int]]:
    """Return the message and the queue of each copy."""
    return [
        (value, queue)
        for value in range(messages)
        for queue in of.queues_of_group(of.group_of(value))
    ]


def deliveries(came: Iterable[tuple[Any, int]], **data: Any) -> list[Op]:
    """Return dequeues: one process for each queue, whose first invocation names the queue."""
    ops, named = [], set[int]()
    for value, queue in came:
        process = 100 + queue
        first = {"queue": queue} if queue not in named else None
        named.add(queue)
        ops.append(Op("invoke", "dequeue", process=process, data=first))
        ops.append(Op("ok", "dequeue", value, process=process, data=data or None))
    return ops


def drain(*gone: int, deleted: Sequence[int] = ()) -> list[Op]:
    data: dict[str, Any] = {"received": 0, "broker": "..."}
    if gone:
        data |= {"gone": [name(number) for number in gone], "gone-queues": list(gone)}
    if deleted:
        data |= {"deleted": [name(number) for number in deleted], "deleted-queues": list(deleted)}
    return [
        Op("invoke", "drain", process=DRAINER),
        Op("ok", "drain", process=DRAINER, data=data),
    ]


def name(number: int) -> str:
    return f"{BASE}.{number}" if number else BASE


def bindings(*missing: int, silent: str = "") -> list[Op]:
    entries = [
        {"queue": name(number), "exchange": BASE, "key": "*.0.#", "nodes": ["n2"]}
        for number in missing
    ]
    data = {
        "declared": 6,
        "missing-count": len(missing),
        "missing": entries,
        "silent": {silent: "no answer"} if silent else {},
    }
    return [Op("info", BINDINGS, process=NEMESIS, data=data)]


def judged(of: Routing, *parts: Iterable[Op]) -> Result:
    ops = [op for part in parts for op in part]
    return many_queues(from_ops(ops), routing=of)


def run(
    of: Routing, came: Sequence[tuple[Any, int]], *more: Iterable[Op], messages: int = MESSAGES
) -> Result:
    return judged(of, published(*range(messages)), deliveries(came), drain(), bindings(), *more)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_copy_that_came_out_of_its_queue_is_valid(exchange: ExchangeType) -> None:
    of = routing(exchange)
    result = run(of, copies(of))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    counts = ("acknowledged", "ok", "lost", "duplicated", "unexpected", "misrouted")
    assert [result.figures[f"{kind}-count"] for kind in counts] == [36, 36, 0, 0, 0, 0]
    assert (result.figures["queue-count"], result.figures["fan-out"]) == (6, 3)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_copy_lost_in_one_of_its_queues_is_lost(exchange: ExchangeType) -> None:
    of = routing(exchange)
    result = run(of, [copy for copy in copies(of) if copy != (7, 1)], messages=MESSAGES)
    lost = (7, 1) if (7, 1) in copies(of) else None
    assert lost is not None
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost"] == [[7, 1]]
    assert result.figures["lost-by-queue"] == [{"queue": 1, "count": 1, "sample": [7]}]
    assert any(
        "1 message was lost" in text and "1 in queue 1 (such as 7)" in text
        for text in result.reasons
    )


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_copy_delivered_twice_is_a_duplicate_and_replaces_no_other(
    exchange: ExchangeType,
) -> None:
    of = routing(exchange)
    came = copies(of)
    result = run(of, [*came, came[4]])
    assert result.verdict is Verdict.VALID
    assert result.figures["duplicated"] == [list(came[4])]
    # The same copy again, and another one not at all: the sum is right, and yet one is lost.
    result = run(of, [came[4], *came[:5], *came[6:]])
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost"] == [list(came[5])]
    assert result.figures["duplicated"] == [list(came[4])]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_copy_from_a_queue_to_which_it_was_not_routed_is_unexpected(
    exchange: ExchangeType,
) -> None:
    of = routing(exchange)
    elsewhere = next((0, q) for q in range(6) if (0, q) not in copies(of))
    result = run(of, [*copies(of), elsewhere])
    assert result.verdict is Verdict.INVALID
    assert result.figures["unexpected"] == [list(elsewhere)]
    assert result.figures["misrouted-count"] == 1
    assert any(f"such as 0 in queue {elsewhere[1]}" in reason for reason in result.reasons)


def test_a_message_in_the_wrong_queue_is_lost_in_its_own() -> None:
    of = Routing(queues=4)
    came = [(value, queue if value != 2 else 3) for value, queue in copies(of)]
    result = judged(of, published(*range(MESSAGES)), deliveries(came), drain())
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost"] == [2]
    assert result.figures["unexpected"] == [[2, 3]]


def test_a_value_that_nobody_sent_is_unexpected_in_any_queue() -> None:
    of = routing()
    result = run(of, [*copies(of), (10**6, 0), (2**62, 5), (2**62, 5)])
    assert result.verdict is Verdict.INVALID
    assert result.figures["unexpected-count"] == 3
    assert [value for value in result.figures["unexpected"] if value == 2**62] == [2**62, 2**62]
    assert result.figures["lost-count"] == 0


def test_corrupted_copies_are_corrupted_and_lost() -> None:
    of = routing()
    came = copies(of)
    corrupted = deliveries([(-5, came[0][1])], corrupted=True, problem="at byte 4")
    result = judged(
        of, published(*range(MESSAGES)), corrupted, deliveries(came[1:]), drain(), bindings()
    )
    assert result.verdict is Verdict.INVALID
    assert (result.figures["corrupted-count"], result.figures["lost"]) == (1, [list(came[0])])
    assert result.figures["unexpected-count"] == 0


def test_a_copy_that_was_delivered_but_never_acknowledged_is_lost_in_its_queue() -> None:
    of = routing()
    came = copies(of)
    value, queue = came[3]
    given_back = [
        Op("invoke", "dequeue", process=100 + queue),
        Op("fail", "dequeue", value, process=100 + queue, data={"unacknowledged": True}),
    ]
    result = run(of, came, given_back)
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost"] == [[value, queue]]
    again = deliveries([(value, queue)])
    assert run(of, came, given_back, again).verdict is Verdict.VALID


@pytest.mark.parametrize("end", ["fail", "info"])
def test_copies_of_a_message_without_confirm_may_come_or_not(end: Any) -> None:
    of = routing()
    sent = [*published(*range(MESSAGES)), *published(MESSAGES, process=1, end=end)]
    some = copies(of, MESSAGES + 1)[:-1]
    result = judged(of, sent, deliveries(some), drain(), bindings())
    assert (result.verdict, result.figures["recovered-count"]) == (Verdict.VALID, 2)


def test_a_queue_without_any_confirmed_message_is_not_tested() -> None:
    of = Routing(queues=4)
    sent = [*published(0, 1, 2), *published(3, process=1, end="fail")]
    result = judged(of, sent, deliveries(copies(of, 3)), drain())
    assert result.verdict is Verdict.UNKNOWN
    assert "queue 3 got no confirmed message, so it was not tested" in result.reasons


@pytest.mark.parametrize("data", [None, {}, {"queue": 6}, {"queue": True}, {"queue": "0"}, ["x"]])
def test_a_delivery_that_does_not_say_its_queue_proves_nothing(data: Any) -> None:
    of = routing()
    came = copies(of)
    unnamed = [
        Op("invoke", "dequeue", process=500, data=data),
        Op("ok", "dequeue", came[0][0], process=500),
    ]
    result = run(of, came[1:], unnamed)
    assert result.verdict is Verdict.UNKNOWN
    assert (result.figures["lost-count"], result.figures["undecided-count"]) == (0, 1)
    assert any("1 delivery does not say" in reason for reason in result.reasons)


def test_a_process_that_names_two_queues_proves_nothing() -> None:
    of = Routing(queues=2)
    twice = [op for number in (0, 1) for op in [*deliveries([(number, 0)])]]
    twice[2] = Op("invoke", "dequeue", process=100, data={"queue": 1})
    result = judged(of, published(0, 1), twice, drain())
    assert result.verdict is Verdict.UNKNOWN


# Queues that disappeared.


def at(second: int, *parts: Iterable[Op]) -> list[Op]:
    return [
        Op(op.type, op.f, op.value, op.process, second * SECOND, op.node, op.error, op.data)
        for part in parts
        for op in part
    ]


def vanished(
    of: Routing,
    came: Sequence[tuple[int, int]],
    *gone: int,
    faults: Sequence[Op] = (),
    more: Sequence[Op] = (),
    deleted: Sequence[int] = (),
) -> Result:
    """Judge a load at 1 s that was drained at 200 s, when some queues were gone."""
    ops = [
        *at(1, published(*range(MESSAGES))),
        *faults,
        *more,
        *at(199, deliveries(came)),
        *at(200, drain(*gone, deleted=deleted), bindings() if of.exchange != "default" else []),
    ]
    return many_queues(history_by_time(ops), routing=of)


@pytest.mark.parametrize("of", [Routing(queues=4), routing(queues=4, fan_out=2)])
def test_a_queue_that_the_broker_lost_is_named_with_its_messages(of: Routing) -> None:
    came = [copy for copy in copies(of) if copy[1] != 2]
    count_ = len(copies(of)) - len(came)
    result = vanished(of, came, 2, faults=FAULT)
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost-count"] == count_
    assert result.figures["gone-queues"] == [name(2)]
    assert [entry["queue"] for entry in result.figures["lost-by-queue"]] == [2]
    expected = f"1 queue disappeared, with {count_} of the lost messages: no node knows {name(2)}"
    assert any(expected in reason for reason in result.reasons)


def test_a_queue_that_disappeared_without_messages_is_named_and_valid() -> None:
    of = Routing(queues=4)
    result = vanished(of, copies(of), 2, faults=FAULT)
    assert result.verdict is Verdict.VALID
    assert any(name(2) in reason for reason in result.reasons)


def test_a_queue_that_somebody_may_have_deleted_leaves_a_doubt_about_its_messages_only() -> None:
    of = Routing(queues=4)
    came = [copy for copy in copies(of) if copy[1] != 2]
    result = vanished(of, came, 2)
    assert result.verdict is Verdict.UNKNOWN
    assert result.figures["undecided-count"] == 3
    assert any("queue 2 disappeared while no fault was in force" in r for r in result.reasons)
    # What another queue lost is lost all the same.
    result = vanished(of, came[1:], 2)
    assert result.verdict is Verdict.INVALID
    assert (result.figures["lost"], result.figures["undecided-count"]) == ([0], 3)


def test_a_queue_whose_deletion_was_logged_leaves_a_doubt_also_under_a_fault() -> None:
    of = Routing(queues=4)
    came = [copy for copy in copies(of) if copy[1] not in (1, 2)]
    result = vanished(of, came, 1, 2, faults=FAULT, deleted=[2])
    assert result.verdict is Verdict.INVALID
    assert {entry["queue"] for entry in result.figures["lost-by-queue"]} == {1}
    assert result.figures["undecided-count"] == 3
    assert any("queue 2 disappeared: a log shows that a client" in r for r in result.reasons)


def test_each_queue_has_its_own_time_of_disappearance() -> None:
    of = Routing(queues=4)
    came = [copy for copy in copies(of) if copy[1] not in (1, 2)]
    # A publish to queue 1 failed at 5 s, before the fault. Value 13 goes to queue 0.
    value = next(v for v in range(12, 30) if of.group_of(v) == 1)
    failed = [op_at(5, 9, "invoke", "enqueue", value), op_at(5.1, 9, "fail", "enqueue", value)]
    result = vanished(of, came, 1, 2, faults=FAULT, more=failed)
    assert result.verdict is Verdict.INVALID
    assert {entry["queue"] for entry in result.figures["lost-by-queue"]} == {2}
    assert result.figures["undecided-count"] == 3
    assert any("queue 1 disappeared while no fault" in reason for reason in result.reasons)


def test_queues_whose_replicas_jepsenvm_restarted_leave_a_doubt() -> None:
    of = Routing(queues=4)
    came = [copy for copy in copies(of) if copy[1] not in (1, 2)]
    data = {"restarted": ["n2"], "replicas": ["n1"]}
    recovered = recovery_record(100, **data, **{RESTARTED_QUEUES: [1]})
    result = vanished(of, came, faults=FAULT, more=[recovered])
    assert result.verdict is Verdict.INVALID
    assert {entry["queue"] for entry in result.figures["lost-by-queue"]} == {2}
    assert any("a replica of queue 1 (n2) before the drain" in r for r in result.reasons)
    result = vanished(of, came, faults=FAULT, more=[recovery_record(100, **data)])
    assert (result.figures["lost-count"], result.verdict) == (0, Verdict.UNKNOWN)


# Bindings.


def test_a_missing_binding_is_named() -> None:
    of = routing()
    parts = [published(*range(MESSAGES)), deliveries(copies(of)), drain()]
    result = judged(of, FAULT, *parts, bindings(3))
    assert result.verdict is Verdict.INVALID
    assert any(
        f"1 confirmed binding is missing: {name(3)} to {BASE} with key '*.0.#' (not on n2)" in text
        for text in result.reasons
    )
    assert result.figures["missing-binding-count"] == 1
    assert judged(of, *parts, bindings(3)).verdict is Verdict.UNKNOWN  # without a fault
    assert judged(of, *parts).verdict is Verdict.UNKNOWN  # nobody looked
    assert judged(of, *parts, bindings(silent="n3")).verdict is Verdict.UNKNOWN
    assert judged(of, *parts, bindings()).verdict is Verdict.VALID


def test_the_bindings_of_a_queue_that_disappeared_went_with_it() -> None:
    of = routing()
    parts = [published(*range(MESSAGES)), deliveries(copies(of)), drain(3)]
    assert judged(of, FAULT, *parts, bindings(3)).verdict is Verdict.VALID


# Against an oracle, and through every format.


@st.composite
def histories(draw: st.DrawFn) -> tuple[Routing, list[Op], dict[str, int]]:
    """Return ops of some queues, and how many copies of each kind they must give."""
    queues = draw(st.integers(1, 6))
    of = Routing(queues, draw(st.integers(1, queues)), "topic")
    ends = draw(st.lists(st.sampled_from(["ok", "fail", "info"]), min_size=1, max_size=20))
    every = [(value, queue) for value in range(len(ends) + 2) for queue in range(queues)]
    came = draw(st.lists(st.sampled_from(every), max_size=60))
    attempted = Counter(copies(of, len(ends)))
    acknowledged = Counter(copy for copy in attempted if ends[copy[0]] == "ok")
    received = Counter(came)
    unexpected = sum(number for copy, number in received.items() if copy not in attempted)
    figures = {
        "lost": (acknowledged - received).total(),
        "duplicated": (received - attempted).total() - unexpected,
        "unexpected": unexpected,
        "recovered": ((attempted & received) - acknowledged).total(),
        "misrouted": sum(
            number
            for (value, queue), number in received.items()
            if queue not in of.queues_of_group(of.group_of(value))
        ),
    }
    ops = [op for value, end in enumerate(ends) for op in published(value, process=value, end=end)]  # type: ignore[arg-type]  # drawn
    return of, [*ops, *deliveries(came), *drain(), *bindings()], figures


@given(histories())
def test_the_figures_are_those_of_multisets(
    drawn: tuple[Routing, list[Op], dict[str, int]],
) -> None:
    of, ops, expected = drawn
    figures = judged(of, ops).figures
    assert {kind: figures[f"{kind}-count"] for kind in expected} == expected
    if of.queues > 1 or of.fan_out == 1:
        assert sum(entry["count"] for entry in figures["lost-by-queue"]) == expected["lost"]


@given(histories())
def test_one_queue_is_judged_like_total_queue(
    drawn: tuple[Routing, list[Op], dict[str, int]],
) -> None:
    _, ops, _ = drawn
    plain = [
        Op(op.type, op.f, op.value, op.process, data=None if op.f == "dequeue" else op.data)
        for op in ops
        if op.f != BINDINGS
    ]
    one = judged(Routing(), plain)
    total = total_queue(from_ops(plain), drain_required=True)
    # Values of a history that is no journal are codes there, in the order of their first ops.
    assert [ordered(one.figures[key]) for key in total.figures] == [
        ordered(figure) for figure in total.figures.values()
    ]


def ordered(figure: Any) -> Any:
    return sorted(figure) if isinstance(figure, list) else figure


def journal_of(folder: Path, ops: Iterable[Op]) -> Path:
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))
    for op in ops:
        journal.append(
            op.type, op.f, op.value, process=op.process, node="n1", error=op.error, data=op.data
        )
    journal.close()
    return folder / "history.arrow"


@pytest.mark.parametrize(
    ("ending", "write"), [("arrow", None), ("edn", write_edn), ("jsonl", write_jsonl)]
)
def test_the_copies_are_the_same_in_every_format(
    tmp_path: Path, ending: str, write: Callable[[History, Any], None] | None
) -> None:
    of = routing()
    came = copies(of)
    ops = [
        *published(*range(MESSAGES)),
        *deliveries([*came[:5], *came[6:], came[0], (0, 4), (0, 5), (-3, 1), (2**61, 2)]),
        *drain(),
        *bindings(),
    ]
    path = journal_of(tmp_path, ops)
    if write is not None:
        with (tmp_path / f"history.{ending}").open("wb") as file:
            write(open_history(path), file)
    result = many_queues(open_history(tmp_path / f"history.{ending}"), routing=of)
    assert result.figures["lost"] == [list(came[5])]
    assert result.figures["duplicated"] == [list(came[0])]
    unexpected = result.figures["unexpected"]
    assert sorted(map(str, unexpected)) == sorted(map(str, [-3, [0, 4], [0, 5], 2**61]))


def test_a_run_with_several_queues_is_checked_for_copies() -> None:
    workload = WORKLOADS["queue"]
    of = routing()
    plan = Plan(queues=of.queues, fan_out=of.fan_out, exchange=of.exchange)
    checker = workload.exercised_checkers(plan)[workload.main_checker]
    ops = [*published(*range(MESSAGES)), *deliveries(copies(of)), *drain(), *bindings()]
    result = checker(from_ops(ops))
    assert result.verdict is Verdict.VALID
    assert workload.headline(result.figures).endswith("(6 queues, 3 copies of each message)")
    plain = workload.checkers(Plan())[workload.main_checker]
    assert isinstance(plain, partial)
    assert plain.func is total_queue
