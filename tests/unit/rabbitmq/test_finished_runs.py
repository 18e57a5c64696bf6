"""Which queues belong to runs, and which runs the cluster knows to have finished."""

from __future__ import annotations

import shlex

import pytest

from jepsenvm.rabbitmq.finished_runs import (
    PARAMETER,
    finished_runs,
    record_finished,
    run_of_queue,
)
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import told

A, B, C = (f"20261125T14031{number}.000000Z" for number in range(3))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        (f"jepsenvm.quorum.{A}", A),
        (f"jepsenvm.stream.{A}", A),
        (f"jepsenvm.quorum.{A}.dead", A),
        (f"jepsenvm.classic.{A}.17", A),
        (f"jepsenvm.classic.{A}.17.dead", None),
        (f"jepsenvm.classic.{A}.-1", None),
        (f"jepsenvm.quorum.{A}.mine", None),
        (f"my-jepsenvm.quorum.{A}", None),
        ("jepsenvm.quorum.orders", None),
        ("jepsenvm.", None),
        (f"jepsenvm.quorum.{A}\n", None),
    ],
)
def test_only_names_that_runs_give_are_queues_of_runs(name: str, run: str | None) -> None:
    assert run_of_queue(name) == run


@pytest.mark.parametrize(
    ("values", "runs"),
    [([f"{A} {B}"], {A, B}), ([], set()), ([""], set()), ([f"x{A}"], {A})],
)
def test_the_runs_are_read_from_the_parameter(values: list[str], runs: set[str]) -> None:
    fleet = FakeFleet()
    fleet.outputs["n1"] = told(values)
    assert finished_runs(fleet, "n1") == runs


def test_runs_without_a_queue_are_forgotten() -> None:
    fleet = FakeFleet()
    record_finished(
        fleet, "n1", [A, B, C], [f"jepsenvm.quorum.{B}", f"jepsenvm.quorum.{C}", "theirs"]
    )
    words = shlex.split(fleet.scripts[-1][1])
    assert words == [
        "rabbitmqctl",
        "--quiet",
        "set_global_parameter",
        PARAMETER,
        f'"{B} {C}"',
    ]
