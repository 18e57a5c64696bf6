"""Runs of scenarios: one run with its comparison, and the plans of its repetitions."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.experiment.run import run_experiment
from jepsenvm.experiment.run_events import Watch
from jepsenvm.experiment.store import Store
from jepsenvm.machines.inventory import Inventory
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios.comparison import Comparison, compare, surprising_checkers
from jepsenvm.scenarios.record import FILE, Record
from jepsenvm.scenarios.scenario import Expectation, Scenario
from jepsenvm.scenarios.suitability import require_version

logger = logging.getLogger(__name__)

SEEDS: Final = 2**31
"""Seeds are drawn below this number."""


@dataclass(frozen=True)
class ScenarioRun:
    """One run of a scenario."""

    scenario: Scenario
    rabbitmq: str
    """The version of RabbitMQ on the nodes."""
    results: Results
    expectation: Expectation | None
    comparison: Comparison

    def lines(self) -> Iterator[str]:
        """Yield the comparison, and what the verdict means for a user."""
        verdict = self.results.verdict
        expected = f" ({self.expectation.describe()})" if self.expectation else ""
        yield (
            f"scenario {self.scenario.name} on RabbitMQ {self.rabbitmq}: {verdict}, "
            f"{self.comparison}{expected}"
        )
        if self.expectation and (other := surprising_checkers(self.expectation, self.results)):
            yield f"  invalid for another reason than expected: {', '.join(other)}"
        yield f"  {' '.join(getattr(self.scenario.about.outcomes, verdict).split())}"


def summary(runs: Sequence[ScenarioRun]) -> str:
    """Return the verdicts and the comparisons of several runs in one line."""
    verdicts = Counter(str(run.results.verdict) for run in runs)
    comparisons = Counter(str(run.comparison) for run in runs)
    return f"{len(runs)} runs: {_counts(verdicts)}; {_counts(comparisons)}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def plans(scenario: Scenario, repeat: int, seed: int | None) -> Iterator[Plan]:
    """Yield the plan of each repetition. They differ in their seeds, which follow each other.

    ``seed`` is the first one. Without it, the scenario's own seed counts, or one is drawn.
    """
    if seed is not None:
        first = seed
    elif "seed" in scenario.document:
        first = scenario.plan.seed
    else:
        first = secrets.randbelow(SEEDS)
    for turn in range(repeat):
        yield scenario.plan.model_copy(update={"seed": first + turn})


def run_scenario(
    scenario: Scenario,
    plan: Plan,
    record: Record,
    inventory: Inventory,
    store: Store,
    watch: Watch | None,
    *,
    may_deploy: bool,
) -> ScenarioRun:
    """Run a scenario once, compare its verdict, and record both in the folder of the run.

    ``plan`` is the plan of this repetition. ``watch`` is told what happens. Raises UsageError,
    before anything is changed, if the cluster cannot show the scenario.
    """
    versions: list[str] = []

    def accept(version: str) -> None:
        require_version(scenario, version)
        versions.append(version)

    try:
        record.write(store)
    except BaseException:
        store.discard()
        raise
    results = run_experiment(
        plan, inventory, store, watch, may_deploy=may_deploy, accept_version=accept
    )
    running = versions[-1]
    expectation = scenario.expectation(running)
    comparison = compare(expectation, results)
    expected = expectation.describe() if expectation else None
    _write(record.of(running, expected, results.verdict, comparison), store)
    return ScenarioRun(scenario, running, results, expectation, comparison)


def _write(record: Record, store: Store) -> None:
    """Write the record of a finished run, or log why it could not be written."""
    try:
        record.write(store)
    except OSError as error:
        logger.info(f"{store.path / FILE} could not be written: {error.strerror or error}")
