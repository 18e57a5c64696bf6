"""Linearizability by its definition, and random histories, for the tests of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations, permutations
from typing import Any, Final

from hypothesis import strategies as st

from jepsenvm.checkers.client_calls import Call
from jepsenvm.history.op import Op, Type

ILLEGAL: Final = object()
Step = Callable[[Any, Call], Any]
"""Returns the next state, or ILLEGAL."""


def step_register(state: Any, call: Call) -> Any:
    """Let a call take effect on Knossos' ``cas-register``."""
    if call.f == "write":
        return call.asked
    if call.f == "read":
        return state if call.answered in (None, state) else ILLEGAL
    old, new = call.asked
    return new if state == old else ILLEGAL


def step_mutex(state: Any, call: Call) -> Any:
    """Let a call take effect on Knossos' ``mutex``, which only its holder can release."""
    if call.f == "acquire":
        return call.process if state is None else ILLEGAL
    return None if state == call.process else ILLEGAL


def by_definition(calls: Sequence[Call], step: Step, initial: Any = None) -> bool:
    """Return whether any order of the ok calls, with any of the calls in doubt, is legal."""
    certain = [call for call in calls if call.type == "ok"]
    doubts = [call for call in calls if call.type == "info"]
    choices = chain.from_iterable(combinations(doubts, size) for size in range(len(doubts) + 1))
    return any(
        _in_time(order) and _legal(order, step, initial)
        for choice in choices
        for order in permutations([*certain, *choice])
    )


def _in_time(order: Sequence[Call]) -> bool:
    return all(
        later.returned is None or later.returned > sooner.invoked
        for sooner, later in combinations(order, 2)
    )


def _legal(order: Sequence[Call], step: Step, state: Any) -> bool:
    for call in order:
        state = step(state, call)
        if state is ILLEGAL:
            return False
    return True


def by_exhaustion(calls: Sequence[Call], step: Step, initial: Any = None) -> bool:
    """Return the same as ``by_definition``, for longer histories.

    It extends every legal order by every call that may come next: no other call that is still
    missing returned before that one was invoked.
    """
    happened = [call for call in calls if call.type != "fail"]
    reached = {(initial, frozenset(range(len(happened))))}
    pending = list(reached)
    while pending:
        state, missing = pending.pop()
        certain = [index for index in missing if happened[index].type == "ok"]
        if not certain:
            return True
        first_return = min(happened[index].returned or 0 for index in certain)
        for index in missing:
            if happened[index].invoked < first_return:
                following = step(state, happened[index]), missing - {index}
                if following[0] is not ILLEGAL and following not in reached:
                    reached.add(following)
                    pending.append(following)
    return False


@st.composite
def histories(
    draw: st.DrawFn,
    operations: Sequence[tuple[str, Any]],
    read_values: Sequence[Any],
    *,
    retire: bool,
    most: int = 6,
    processes: int = 3,
) -> list[Op]:
    """Draw a history of some processes with at most ``most`` operations.

    ``operations`` are the possible invocations (f, value), ``read_values`` the possible values of
    an ok read. With ``retire``, a process stops after an operation in doubt.
    """
    waiting: dict[int, tuple[str, Any]] = {}
    retired: set[int] = set()
    ops: list[Op] = []
    invoked = 0
    for process in draw(st.lists(st.integers(0, processes - 1), max_size=2 * most + 2)):
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
