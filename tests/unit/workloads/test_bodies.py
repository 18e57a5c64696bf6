"""Bodies of messages: what is sent is read back, and what is changed is found."""

from __future__ import annotations

import asyncio
import zlib
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jepsenvm.checkers.total_queue import END, total_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.plan.message_sizes import LEAST_BYTES
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery
from jepsenvm.workloads.bodies import (
    FIRST_CORRUPTED,
    PERIOD,
    UNREADABLE,
    BareIntegers,
    CheckedBodies,
    bodies_of,
)
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.reader import record_delivery

SIZES = (LEAST_BYTES, 300)
BODIES = CheckedBodies(7, SIZES, 15)

values = st.integers(0, 10**15 - 1) | st.just(END)


def is_corrupted(body: bytes, bodies: CheckedBodies = BODIES) -> bool:
    return bodies.value_in(body) <= FIRST_CORRUPTED


def test_a_body_is_its_header_and_its_filler() -> None:
    bodies = CheckedBodies(1, (1000, 1000), 15)
    body = bodies.of(17)
    fields, checksum, filler = body[:33], body[34:42], body[LEAST_BYTES:]
    assert fields == b"000002 0000000000000017 000001000"
    assert int(checksum, 16) == zlib.crc32(fields + filler)
    assert (len(body), len(filler)) == (1000, 1000 - LEAST_BYTES)
    assert len(set(filler)) > 200


def test_the_least_size_is_that_of_the_header() -> None:
    body = CheckedBodies(1, (LEAST_BYTES, LEAST_BYTES), 1).of(END)
    assert len(body) == LEAST_BYTES
    assert body.endswith(b" ")


@given(value=values, seed=st.integers(0, 2**63 - 1), publishers=st.integers(1, 1000))
def test_a_body_is_read_back(value: int, seed: int, publishers: int) -> None:
    body = CheckedBodies(seed, SIZES, publishers).of(value)
    again = CheckedBodies(seed, SIZES, publishers)
    assert SIZES[0] <= len(body) <= SIZES[1]
    assert (again.of(value), again.value_in(body)) == (body, value)


@pytest.mark.parametrize("size", [LEAST_BYTES + 1, PERIOD, PERIOD + LEAST_BYTES, 3 * PERIOD])
@pytest.mark.parametrize("value", [0, 1, PERIOD - 1, PERIOD, END])
def test_filler_of_any_length_begins_at_any_place(size: int, value: int) -> None:
    bodies = CheckedBodies(3, (size, size), 5)
    assert len(bodies.of(value)) == size
    assert bodies.value_in(bodies.of(value)) == value


def test_sizes_are_drawn_from_the_seed() -> None:
    few = CheckedBodies(7, (100, 103), 1)
    assert {few.size_of(value) for value in range(200)} == {100, 101, 102, 103}
    sizes = {
        seed: [CheckedBodies(seed, SIZES, 1).size_of(value) for value in range(50)]
        for seed in (7, 8)
    }
    assert sizes[7] == [BODIES.size_of(value) for value in range(50)]
    assert sizes[7] != sizes[8]


@given(value=values, place=st.integers(0, SIZES[1]), change=st.integers(1, 255))
def test_any_changed_byte_is_found(value: int, place: int, change: int) -> None:
    body = bytearray(BODIES.of(value))
    body[place % len(body)] ^= change
    assert is_corrupted(bytes(body))


def test_every_changed_byte_of_a_body_is_found() -> None:
    body = BODIES.of(17)
    for place in range(len(body)):
        for byte in range(256):
            changed = body[:place] + bytes([byte]) + body[place + 1 :]
            assert is_corrupted(changed) == (byte != body[place])


@given(value=values, other=values, cut=st.integers(0, SIZES[1]), extra=st.binary(min_size=1))
def test_another_length_is_found(value: int, other: int, cut: int, extra: bytes) -> None:
    body = BODIES.of(value)
    cut %= len(body)
    longer = (body + extra, extra + body, body + BODIES.of(other), body[:cut] + extra + body[cut:])
    assert all(map(is_corrupted, (body[:cut], *longer)))
    assert is_corrupted(body[cut + 1 :])


@given(value=values, other=values, cut=st.integers(1, SIZES[1]))
def test_a_body_with_the_end_of_another_one_is_found(value: int, other: int, cut: int) -> None:
    bodies = CheckedBodies(7, (200, 200), 15)
    body = bodies.of(value)
    mixed = body[:cut] + bodies.of(other)[cut:]
    assume(mixed not in (body, bodies.of(other)))
    assert is_corrupted(mixed, bodies)


@given(value=values, begin=st.integers(0, SIZES[1]), length=st.integers(1, SIZES[1]))
def test_bytes_that_became_zero_are_found(value: int, begin: int, length: int) -> None:
    body = BODIES.of(value)
    zeros = bytes(len(body[begin : begin + length]))
    changed = body[:begin] + zeros + body[begin + length :]
    assume(changed != body)
    assert is_corrupted(changed)


def test_a_body_of_another_run_is_found() -> None:
    body = BODIES.of(17)
    assert is_corrupted(body, CheckedBodies(8, SIZES, 15))
    assert is_corrupted(body, CheckedBodies(7, (SIZES[0], 301), 15))
    assert is_corrupted(b"17")


def test_a_body_is_read_back_with_another_number_of_publishers() -> None:
    """A run may be resumed with an inventory that lists other nodes."""
    assert CheckedBodies(7, SIZES, 3).value_in(BODIES.of(17)) == 17


def test_a_whole_body_that_nobody_sent_has_its_value() -> None:
    assert BODIES.value_in(BODIES.of(900_000_001)) == 900_000_001


def test_equal_bodies_have_equal_values() -> None:
    first, second = BODIES.of(1)[:-1], BODIES.of(2)[:-1]
    assert BODIES.value_in(first) == BODIES.value_in(bytes(first))
    assert BODIES.value_in(first) != BODIES.value_in(second)


@given(body=st.binary())
def test_a_corrupted_body_has_a_value_that_a_journal_can_keep(body: bytes) -> None:
    assert -(2**63) <= BODIES.value_in(body) <= FIRST_CORRUPTED
    assert BODIES.problem_of(body)["corrupted"] is True


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda body: body[:60] + b"\x00" + body[61:], "value 17: byte 60 of 100 differs"),
        (lambda body: body[:22] + b"8" + body[23:], "value 18: byte 34 of 100 differs"),
        (lambda body: b"1" + body[1:], "value 17: byte 34 of 100 differs"),
        (lambda body: body[:70], "value 17: 70 bytes instead of 100"),
        (lambda body: body + body, "value 17: 200 bytes instead of 100"),
        (lambda _: b"17", "2 bytes without a readable header"),
        (lambda _: b"", "0 bytes without a readable header"),
        (lambda body: body[:9] + b"-" + body[10:], "100 bytes without a readable header"),
    ],
)
def test_the_problem_says_where_a_body_differs(change: Any, problem: str) -> None:
    changed = change(CheckedBodies(1, (100, 100), 15).of(17))
    found = CheckedBodies(1, (100, 100), 15).problem_of(changed)
    assert found == {"corrupted": True, "problem": problem, "body": repr(changed[:200])}


@pytest.mark.parametrize("value", [0, 7, 10**15, END])
def test_a_bare_integer_is_read_back(value: int) -> None:
    assert BareIntegers().of(value) == str(value).encode()
    assert BareIntegers().value_in(str(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"\xff7", b" 7", b"7\n", b"+7", b"07", b"1_7", b"-0", b"9" * 19, b"9" * 5000],
)
def test_what_no_publisher_writes_is_unreadable(body: bytes) -> None:
    assert BareIntegers().value_in(body) == UNREADABLE
    assert BareIntegers().problem_of(body) == {"body": repr(body[:200])}


def test_a_plan_without_a_size_sends_bare_integers() -> None:
    assert isinstance(bodies_of(Plan(), 3), BareIntegers)
    checked = bodies_of(Plan(message_size=(100, 200), seed=5, publishers=2), 3)
    assert checked.of(17) == CheckedBodies(5, (100, 200), 6).of(17)
    assert len(bodies_of(Plan(message_size=4096), 0).of(17)) == 4096


class Broker:
    """What recording uses of a session."""

    address = Address("n1", "192.0.2.1", 5672, "user", "secret")


def judged(folder: Path, changed: dict[int, bytes], plan: Plan) -> Result:
    """Send three messages, change some bodies on the way, and check what is recorded."""
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))
    context = Context(plan, [Broker.address] * 3, "queue", journal, asyncio.Event())
    for value in range(3):
        for type_ in ("invoke", "ok"):
            journal.append(type_, "enqueue", value, process=1)
    journal.append("invoke", "drain", process=2)
    for value in range(3):
        body = changed.get(value, context.bodies.of(value))
        delivery = Delivery(value + 1, body, redelivered=value == 2)
        record_delivery(context, Broker(), 3, delivery)  # type: ignore[arg-type]  # it has what is used of a session
    journal.append("ok", "drain", process=2, data={"received": 3})
    journal.close()
    return total_queue(open_history(folder / "history.arrow"), drain_required=True)


def test_a_changed_body_in_a_run_is_corrupted_and_lost(tmp_path: Path) -> None:
    plan = Plan(message_size=100)
    body = bodies_of(plan, 3).of(2)
    result = judged(tmp_path, {2: body[:50] + b"?" + body[51:]}, plan)
    assert result.verdict is Verdict.INVALID
    counts = {kind: result.figures[f"{kind}-count"] for kind in ("corrupted", "unexpected", "lost")}
    assert counts == {"corrupted": 1, "unexpected": 0, "lost": 1}
    assert result.figures["corrupted"] == ["value 2: byte 50 of 100 differs (n1)"]


@pytest.mark.parametrize("size", [None, 43, (100, 9000)])
def test_unchanged_bodies_in_a_run_are_valid(size: Any, tmp_path: Path) -> None:
    result = judged(tmp_path, {}, Plan(message_size=size))
    assert result.verdict is Verdict.VALID
    assert result.figures["corrupted-count"] == 0


@pytest.mark.parametrize("body", [b"3", b"x", b" 2"])
def test_a_changed_integer_is_unexpected_and_lost(body: bytes, tmp_path: Path) -> None:
    result = judged(tmp_path, {2: body}, Plan())
    counts = {kind: result.figures[f"{kind}-count"] for kind in ("corrupted", "unexpected", "lost")}
    assert counts == {"corrupted": 0, "unexpected": 1, "lost": 1}
