"""Comparison of verdicts with expectations, and refusals of versions and clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.verdict import Result, Results, Verdict, worst
from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.scenarios.comparison import Comparison, compare
from jepsenvm.scenarios.scenario import Expectation
from jepsenvm.scenarios.suitability import require_nodes, require_version
from tests.unit.fakes import node
from tests.unit.scenarios.texts import scenario


def results(**checkers: Verdict) -> Results:
    return Results(
        worst(*checkers.values()), (), {name: Result(of) for name, of in checkers.items()}
    )


VALID, INVALID, UNKNOWN = (
    results(loss=verdict) for verdict in (Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN)
)


def expected(verdict: str, **keys: Any) -> Expectation:
    return Expectation.model_validate({"versions": ">=3.8", "verdict": verdict, **keys})


@pytest.mark.parametrize(
    ("expectation", "outcome", "comparison"),
    [
        (None, VALID, Comparison.NO_EXPECTATION),
        (None, INVALID, Comparison.NO_EXPECTATION),
        (None, UNKNOWN, Comparison.NO_EXPECTATION),
        (expected("valid"), VALID, Comparison.AS_EXPECTED),
        (expected("valid"), INVALID, Comparison.WORSE),
        (expected("valid"), UNKNOWN, Comparison.NOT_DECIDED),
        (expected("invalid"), INVALID, Comparison.AS_EXPECTED),
        (expected("invalid"), VALID, Comparison.BETTER),
        (expected("invalid"), UNKNOWN, Comparison.NOT_DECIDED),
        (expected("invalid", certainty="rare"), INVALID, Comparison.AS_EXPECTED),
        (expected("invalid", certainty="rare"), VALID, Comparison.AS_EXPECTED),
        (expected("invalid", certainty="rare"), UNKNOWN, Comparison.NOT_DECIDED),
        (expected("invalid", checkers=["loss"]), INVALID, Comparison.AS_EXPECTED),
        (expected("invalid", checkers=["order"]), INVALID, Comparison.WORSE),
        (expected("invalid", checkers=["order"]), VALID, Comparison.BETTER),
        (
            expected("invalid", checkers=["loss"]),
            results(loss=Verdict.INVALID, order=Verdict.INVALID),
            Comparison.WORSE,
        ),
        (
            expected("invalid", checkers=["loss", "order"]),
            results(loss=Verdict.INVALID, order=Verdict.UNKNOWN),
            Comparison.AS_EXPECTED,
        ),
    ],
)
def test_a_verdict_is_compared_with_the_expected_one(
    expectation: Expectation | None, outcome: Results, comparison: Comparison
) -> None:
    assert compare(expectation, outcome) is comparison


@pytest.mark.parametrize(
    ("plan", "versions", "running", "problem"),
    [
        ("queue-type: mirrored", ">=3.8", "4.0.5", "mirrored queues were removed in RabbitMQ 4.0"),
        (
            "partition-handling: autoheal",
            ">=3.8",
            "4.3.6",
            "partition-handling: RabbitMQ ignores it since 4.3, and the nodes run 4.3.6",
        ),
        ("queue-type: quorum", "<4.0", "4.0.5", "applies to RabbitMQ <4.0, and the nodes run 4.0"),
        ("queue-type: quorum", ">=4.0", "3.8.9", "applies to RabbitMQ >=4.0"),
        ("queue-type: stream", ">=3.8", "3.8.9", "streams came with RabbitMQ 3.9"),
    ],
)
def test_a_version_that_cannot_show_the_scenario_is_refused(
    plan: str, versions: str, running: str, problem: str
) -> None:
    with pytest.raises(UsageError) as refused:
        require_version(scenario(plan, versions=versions), running)
    assert problem in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("plan", "running"),
    [
        ("queue-type: quorum", "4.3.6"),  # its partition handling is the default, not given
        ("partition-handling: pause_minority", "4.2.9"),
        ("queue-type: mirrored", "3.13.7"),
    ],
)
def test_a_version_that_can_show_the_scenario_is_accepted(plan: str, running: str) -> None:
    require_version(scenario(plan, versions=">=3.8"), running)


def test_a_scenario_may_need_a_number_of_nodes() -> None:
    nodes = tuple(node(name) for name in ("n1", "n2"))
    inventory = Inventory(Path("/hosts.yml"), "lab", nodes, Path("/secrets"), {})
    require_nodes(scenario(), inventory)
    require_nodes(scenario(nodes=2), inventory)
    with pytest.raises(UsageError, match=r"mine needs 3 nodes, and /hosts.yml has 2; .*--nodes 3"):
        require_nodes(scenario(nodes=3), inventory)
