"""Exercise: no workload calls a history valid that tested nothing or was not understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.checkers.exercise import Exercise, exercised
from jepsenvm.checkers.topology_things import binding
from jepsenvm.checkers.total_queue import END
from jepsenvm.checkers.verdict import Checker, Result, Verdict
from jepsenvm.experiment.foreign_analysis import FOREIGN_WORKLOADS
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History, from_ops
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.reading import resolve
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit.builders import DRAIN, delivered, operation, published


def all_checkers() -> Mapping[str, Checker]:
    """Return the main checker of every workload, for its runs and for other programs' histories."""
    own = {
        name: workload.exercised_checkers(
            resolve({"workload": name, "seed": 1}, "plan.yml", WORKLOADS, NEMESES)
        )[workload.main_checker]
        for name, workload in WORKLOADS.items()
    }
    foreign = {f"foreign {name}": other.checker for name, other in FOREIGN_WORKLOADS.items()}
    return own | foreign


CHECKERS = all_checkers()


def topology() -> list[Op]:
    """Return a run that kept one binding, and deleted one of each other thing."""
    bound, queue, exclusive, auto_delete = binding(2, 1), 1, 3, 4
    have = {"queues": [queue], "exchanges": [2], "bindings": [bound]}
    found = {"queues": [queue], "exchanges": [2]}
    data = {"listed": have, "found": found, "refused": [], "odd": []}
    return [
        *operation(0, "declare-queue", queue),
        *operation(0, "declare-exchange", 2),
        *operation(0, "bind", bound),
        *operation(0, "declare-exclusive", exclusive),
        *operation(0, "declare-auto-delete", auto_delete),
        *operation(0, "consume", auto_delete),
        *operation(0, "cancel", auto_delete),
        Op("invoke", "read", process=9),
        Op("ok", "read", process=9, data=data),
        *operation(9, "probe", bound),
        *operation(9, "probe", queue),
        *operation(9, "probe", exclusive, "invoke", "fail"),
        *operation(9, "probe", auto_delete, "invoke", "fail"),
    ]


SET = [*operation(0, "add", 1), *operation(0, "read", [1])]

TESTED: Mapping[str, list[Op]] = {
    "queue": [*published(1), *delivered(1), *DRAIN],
    "dead-letter": [*published(1), *delivered(1), *DRAIN],
    "order": [*published(1, 2), *delivered(1, 2), *DRAIN],
    "redelivery": [
        *published(1),
        *delivered(1, data={"returned": True}),
        *delivered(1),
        *DRAIN,
    ],
    "lock": [*operation(0, "acquire"), *operation(0, "release")],
    "stream": [
        *published(1),
        Op("invoke", "end", process=9),
        Op("ok", "read", 1, 9, offset=0),
        Op("ok", "end", process=9, offset=0),
    ],
    "topology": topology(),
    "register": [*operation(0, "write", 1), *operation(0, "read", 1)],
    "set": SET,
    "set-full": SET,
    "set-full-linearizable": SET,
}
"""The least that exercises each workload: small, and valid."""


def least(name: str) -> list[Op]:
    return TESTED[name.removeprefix("foreign ")]


def verdict(name: str, ops: list[Op]) -> Verdict:
    return CHECKERS[name](from_ops(ops)).verdict


@pytest.mark.parametrize("name", CHECKERS)
def test_the_least_exercise_is_valid(name: str) -> None:
    assert verdict(name, least(name)) is Verdict.VALID
    nemesis = [Op("info", f, "split", NEMESIS) for f in ("start-partition", "kill")]
    assert verdict(name, [*nemesis, *least(name)]) is Verdict.VALID


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize("end", ["invoke", "fail", "info"])
def test_what_was_not_acknowledged_is_never_valid(name: str, end: str) -> None:
    assert verdict(name, []) is not Verdict.VALID
    invokes = [op for op in least(name) if op.type == "invoke"]
    assert verdict(name, invokes) is not Verdict.VALID
    ended = [Op(end, op.f, op.value, op.process) for op in invokes]  # type: ignore[arg-type]
    assert verdict(name, [*invokes, *ended]) is not Verdict.VALID


@pytest.mark.parametrize("name", CHECKERS)
def test_a_history_of_another_workload_is_never_valid(name: str) -> None:
    for other, ops in TESTED.items():
        if {op.f for op in ops} != {op.f for op in least(name)}:
            assert verdict(name, ops) is not Verdict.VALID, other


@pytest.mark.parametrize("name", CHECKERS)
def test_ops_that_are_not_understood_make_it_unknown(name: str) -> None:
    misspelt = [*least(name), Op("invoke", "enqeue", 1, 5)]
    result = CHECKERS[name](from_ops(misspelt))
    assert result.verdict is Verdict.UNKNOWN
    assert any("enqeue" in reason for reason in result.reasons)


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize("process", [NEMESIS, NEMESIS - 1])
def test_ops_without_a_process_make_it_unknown(name: str, process: int) -> None:
    for op in (Op("ok", "anything", None, process), Op("info", least(name)[0].f, 7, process)):
        result = CHECKERS[name](from_ops([*least(name), op]))
        assert result.verdict is Verdict.UNKNOWN
        assert any("without a process" in reason for reason in result.reasons)


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        # Nobody consumed during the load; or nothing that can be compared.
        ("order", [*published(1, 2), DRAIN[0], *delivered(1, 2), DRAIN[1]]),
        ("order", [*published(1), *delivered(1), *DRAIN]),
        ("order", [*published(1), *published(2, process=1), *delivered(1, 2), *DRAIN]),
        # Nobody returned a message.
        ("redelivery", [*published(1), *delivered(1), *DRAIN]),
        ("redelivery", [*published(1), *delivered(1, data={"returned": "true"}), *DRAIN]),
        # Only the end mark was acknowledged.
        ("stream", [*published(END), Op("ok", "read", END, 9, offset=0), Op("ok", "end", process=9, offset=0)]),
        ("queue", [*published(END), *delivered(END), *DRAIN]),
        ("lock", [*operation(0, "acquire", None, "invoke", "fail")]),
        *(("topology", [op for op in topology() if op.f not in names]) for names in (
            ("declare-exclusive",), ("cancel",), ("declare-auto-delete", "consume", "cancel"),
            ("probe",), ("read",),
        )),
        ("foreign register", operation(0, "write", 1)),
        ("foreign register", [*operation(0, "write", 1), *operation(0, "read")]),
        ("foreign set", operation(0, "read", [])),
        ("foreign set", operation(0, "add", 1)),
    ],
)  # fmt: skip
def test_a_workload_that_did_not_do_what_it_is_about_is_unknown(name: str, ops: list[Op]) -> None:
    assert verdict(name, ops) is Verdict.UNKNOWN


def test_a_violation_outweighs_what_was_not_tested() -> None:
    def checker(_: History) -> Result:
        return Result(Verdict.INVALID, ("lost",), {"count": 0})

    figures: dict[str, Any] = {"count": "nothing was tested", "missing": "nor this"}
    result = exercised(checker, Exercise((), figures))(from_ops([]))
    assert result.verdict is Verdict.INVALID
    assert result.reasons == ("lost", "nothing was tested", "nor this")


@pytest.mark.parametrize("name", sorted(CHECKERS))
def test_a_long_name_of_an_operation_is_shortened(name: str) -> None:
    result = CHECKERS[name](from_ops([*least(name), Op("invoke", "x" * 5000, 1, 5)]))
    assert result.verdict is Verdict.UNKNOWN
    assert all(len(reason) < 500 for reason in result.reasons)
