"""Linearizability by its definition, and random histories, for the tests of the search."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, permutations
from typing import Any

from hypothesis import strategies as st

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.sequential_model import ILLEGAL, Model
from jepsenvm.history.op import Op, Type


def by_definition(calls: Sequence[Call], model: Model) -> bool:
    """Return whether any order of the ok calls, with any of the calls in doubt, is legal."""
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


@st.composite
def histories(
    draw: st.DrawFn,
    operations: Sequence[tuple[str, Any]],
    read_values: Sequence[Any],
    *,
    retire: bool,
    most: int = 6,
) -> list[Op]:
    """Draw a history of three processes with at most ``most`` operations.

    ``operations`` are the possible invocations (f, value), ``read_values`` the possible values of
    an ok read. With ``retire``, a process stops after an operation in doubt.
    """
    waiting: dict[int, tuple[str, Any]] = {}
    retired: set[int] = set()
    ops: list[Op] = []
    invoked = 0
    for process in draw(st.lists(st.integers(0, 2), max_size=2 * most + 2)):
        if process in retired:
            continue
        if process in waiting:
            f, value = waiting.pop(process)
            type_: Type = draw(st.sampled_from(("ok", "ok", "ok", "info", "fail")))
            if type_ == "info" and retire:
                retired.add(process)
            ops.append(
                Op(
                    type_,
                    f,
                    draw(st.sampled_from(read_values)) if f == "read" and type_ == "ok" else value,
                    process,
                )
            )
        elif invoked < most:
            invoked += 1
            waiting[process] = draw(st.sampled_from(operations))
            ops.append(Op("invoke", *waiting[process], process))
    return ops
