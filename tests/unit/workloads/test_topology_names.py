"""Which op a client of workload topology does next, and what it does after an op in doubt."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.topology_things import binding, bound_exchange, bound_queue
from jepsenvm.history.op import Type
from jepsenvm.workloads.topology_names import MOST_LEFT, Names, Step, names_of_clients

REMOVING = {"declare-queue": "delete-queue", "declare-exchange": "delete-exchange"}
OPPOSITE = {**REMOVING, **{remove: create for create, remove in REMOVING.items()}}


def of(seed: int = 1, each: int = 2) -> Names:
    return Names(count(1), each, Random(seed))


def drive(names: Names, steps: int, end: Callable[[Step], Type]) -> list[tuple[Step, Type]]:
    """Let a client do some steps; return each with its end. An op in doubt loses the connection."""
    done = []
    for _ in range(steps):
        step = names.draw()
        completion = end(step)
        names.completed(step, completion)
        if completion != "ok" or step.f == "close":
            names.disconnected()
        done.append((step, completion))
    return done


def test_every_op_is_drawn_and_repeats_from_the_seed() -> None:
    done = drive(of(), 500, lambda _: "ok")
    assert {step.f for step, _ in done} == {
        *("declare-queue", "delete-queue", "declare-exchange", "delete-exchange", "bind", "unbind"),
        *("declare-exclusive", "declare-auto-delete", "consume", "cancel", "close"),
    }
    assert done == drive(of(), 500, lambda _: "ok")
    assert done != drive(of(2), 500, lambda _: "ok")


def test_no_two_clients_have_a_name_in_common() -> None:
    used = []
    for names in names_of_clients(5, 3, seed=7):
        done = drive(names, 200, lambda _: "ok")
        numbers = {step.value for step, _ in done if step.value is not None}
        ends = {
            number for value in numbers for number in (bound_queue(value), bound_exchange(value))
        }
        used.append(ends - {0})
    assert sum(map(len, used)) == len(set().union(*used))


@given(seed=st.integers(0, 2**32))
def test_names_are_used_as_they_are(seed: int) -> None:
    """Only what exists is deleted or bound, and only what does not exist is declared."""
    random, names = Random(seed), of(seed)
    existing: set[int] = set()
    bound: set[int] = set()
    open_now: set[int] = set()
    for _ in range(300):
        step = names.draw()
        end: Type = random.choice(("ok", "ok", "fail"))
        number = step.value or 0
        match step.f:
            case "declare-queue" | "declare-exchange" | "declare-auto-delete":
                assert number not in existing
                existing |= {number} if end == "ok" else set()
            case "delete-queue" | "delete-exchange":
                assert number in existing
                if end == "ok":
                    existing.remove(number)
                    bound = {b for b in bound if number not in (bound_queue(b), bound_exchange(b))}
            case "bind":
                assert number not in bound
                assert {bound_queue(number), bound_exchange(number)} <= existing
                bound |= {number} if end == "ok" else set()
            case "unbind":
                assert number in bound
                bound -= {number} if end == "ok" else set()
            case "declare-exclusive":
                assert number not in open_now
                open_now |= {number}
            case "consume" | "cancel":
                assert number in existing
        names.completed(step, end)
        if end == "fail" or step.f == "close":
            names.disconnected()
            open_now.clear()


@given(seed=st.integers(0, 2**32))
def test_an_op_in_doubt_is_repeated_until_it_is_certain_and_its_name_stays_as_it_is(
    seed: int,
) -> None:
    random = Random(seed)
    done = drive(of(seed), 400, lambda _: random.choice(("ok", "ok", "ok", "info", "fail")))
    for index, (step, end) in enumerate(done):
        if end != "info" or step.value is None:
            continue
        later = [(other.f, end) for other, end in done[index + 1 :] if other.value == step.value]
        if step.f in OPPOSITE:
            assert {f for f, _ in later} <= {step.f}
            assert "ok" not in [end for _, end in later[:-1]]
        elif step.f in ("declare-auto-delete", "consume", "cancel"):
            assert later == []


@given(seed=st.integers(0, 2**32))
def test_a_binding_in_doubt_is_not_used_for_the_opposite(seed: int) -> None:
    random = Random(seed)
    done = drive(of(seed), 400, lambda _: random.choice(("ok", "ok", "ok", "info")))
    for index, (step, end) in enumerate(done):
        if end == "info" and step.f in ("bind", "unbind"):
            later = {other.f for other, _ in done[index + 1 :] if other.value == step.value}
            assert later <= {step.f}


def test_the_names_that_stay_behind_are_bounded() -> None:
    names, random = of(), Random(1)
    done = drive(names, 5000, lambda _: random.choice(("ok", "info")))
    declared = {step.value for step, _ in done if step.f in REMOVING}
    assert len(declared) == MOST_LEFT + 4
    numbers = {step.value for step, _ in done if step.f == "declare-auto-delete"}
    assert len(numbers) < 10 * MOST_LEFT


def test_what_must_go_and_what_was_used_is_remembered() -> None:
    names = of()
    for step, _ in drive(names, 300, lambda _: "ok"):
        number = step.value or 0
        if step.f in ("bind", "unbind"):
            assert number in names.used
        elif step.f not in ("close", "declare-exchange", "delete-exchange"):
            assert binding(0, number) in names.used
        if step.f in ("declare-exclusive", "cancel"):
            assert number in names.temporary
        if step.f == "declare-queue":
            assert number not in names.temporary
    names = of()
    drive(names, 300, lambda step: "info" if step.f in ("consume", "cancel", "close") else "ok")
    assert names.temporary <= set(names._exclusive), "in doubt, so they may stay"


@pytest.mark.parametrize("lost", [True, False])
def test_a_consumer_that_goes_with_its_connection_ends_the_life_of_its_queue(lost: bool) -> None:
    names = of()
    number = 0
    for _ in range(1000):
        step = names.draw()
        names.completed(step, "ok")
        if step.f == "close":
            names.disconnected()
        if step.f == "consume":
            number = step.value or 0
            break
    if not lost:
        names.completed(Step("close"), "ok")
    names.disconnected()
    assert (number in names.temporary) is not lost
    done = drive(names, 300, lambda _: "ok")
    assert number
    assert number not in {step.value for step, _ in done}
