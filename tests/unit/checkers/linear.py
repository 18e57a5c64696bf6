"""Linearizability by its definition, and small random histories, for the tests of what is built on it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, permutations
from typing import Any

from hypothesis import strategies as st

from jepsenvm.checkers.calls import Call
from jepsenvm.checkers.model import ILLEGAL, Model
from jepsenvm.history.op import Op, Type


def by_definition(calls: Sequence[Call], model: Model) -> bool:
    """Try every order of every choice of the ops in doubt."""
    certain = [call for call in calls if call.type == "ok"]
    doubts = [call for call in calls if call.type == "info"]
    choices = chain.from_iterable(combinations(doubts, size) for size in range(len(doubts) + 1))
    return any(
        _in_time(order) and _legal(order, model)
        for choice in choices
        for order in permutations([*certain, *choice])
    )


def _in_time(order: Sequence[Call]) -> bool:
    return all(
        later.returned is None or later.returned > sooner.invoked
        for sooner, later in combinations(order, 2)
    )


def _legal(order: Sequence[Call], model: Model) -> bool:
    state: Any = model.initial
    for call in order:
        state = model.step(state, call.f, model.operand(call))
        if state is ILLEGAL:
            return False
    return True


def ops(process: int, f: str, value: Any = None, *types: Type, at: int = 0) -> list[Op]:
    return [
        Op(type_, f, value, process, at + number)
        for number, type_ in enumerate(types or ("invoke", "ok"))
    ]


def seconds(
    process: int, type_: Type, f: str, second: float, value: Any = None, node: str | None = None
) -> Op:
    return Op(type_, f, value, process, int(second * 1e9), node)


@st.composite
def histories(
    draw: st.DrawFn,
    asked: Sequence[tuple[str, Any]],
    read: Sequence[Any],
    *,
    retire: bool,
    most: int = 6,
) -> list[Op]:
    """Draw a history of three processes and a few ops; ``asked`` is what they ask, ``read`` what a read may answer."""
    waiting: dict[int, tuple[str, Any]] = {}
    retired: set[int] = set()
    found: list[Op] = []
    invoked = 0
    for process in draw(st.lists(st.integers(0, 2), max_size=2 * most + 2)):
        if process in retired:
            continue
        if process in waiting:
            f, value = waiting.pop(process)
            type_: Type = draw(st.sampled_from(("ok", "ok", "ok", "info", "fail")))
            if type_ == "info" and retire:
                retired.add(process)
            found.append(
                Op(
                    type_,
                    f,
                    draw(st.sampled_from(read)) if f == "read" and type_ == "ok" else value,
                    process,
                )
            )
        elif invoked < most:
            invoked += 1
            waiting[process] = draw(st.sampled_from(asked))
            found.append(Op("invoke", *waiting[process], process))
    return found
