"""Reads a campaign file, and knows the plans and versions that its expansion needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jepsenvm.campaign.matrix import expand
from jepsenvm.campaign.planned import Expansion
from jepsenvm.campaign.rules import ScenarioCase
from jepsenvm.campaign.spec import CampaignFile, Expected, parse
from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.experiment.plan_file import read_document, resolve_plan
from jepsenvm.nemesis.schedule import faults_of_nemeses
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios import library
from jepsenvm.scenarios.scenario import Scenario
from jepsenvm.scenarios.suitability import require_version

_NODES = ("n1", "n2", "n3", "n4", "n5")
"""Names of nodes for faults that are drawn only to ask whether they apply to a queue type."""


def read_campaign(path: Path) -> CampaignFile:
    """Return the campaign in a file; raise UsageError with every problem of it in one line."""
    return parse(read_document(path), str(path))


def expanded(campaign: CampaignFile, path: Path) -> Expansion:
    """Return the runs of a campaign; raise UsageError if there are none or too many."""
    return expand(campaign, str(path), PlanRules())


class PlanRules:
    """What jepsenvm knows of plans and versions."""

    def plan(self, document: Mapping[str, object], source: str) -> Plan:
        """Return the plan of a document; raise UsageError with every problem of it."""
        return resolve_plan(document, source)

    def refusal(self, plan: Plan, version: str | None) -> str | None:
        """Return why a plan cannot run, on a version if there is one; None if it can."""
        try:
            preflight.require_supported_queue_type(plan, faults_of_nemeses(plan, _NODES))
            if version is not None:
                preflight.require_supported_version(plan, version)
        except UsageError as problem:
            return problem.message
        return None

    def scenario(self, name: str, version: str | None) -> ScenarioCase:
        """Return a scenario; raise UsageError if there is none of this name.

        Without a version nothing is expected of it.
        """
        scenario = library.find(name)
        expectation = scenario.expectation(version) if version is not None else None
        expected: Expected = "any"
        if expectation is not None and expectation.certainty != "rare":
            expected = "invalid" if expectation.verdict == "invalid" else "valid"
        plan = {key: value for key, value in scenario.document.items() if key != "name"}
        return ScenarioCase(
            plan,
            expected,
            expectation.checkers if expectation is not None else (),
            _refusal(scenario, version),
            scenario.about.nodes,
        )


def _refusal(scenario: Scenario, version: str | None) -> str | None:
    if version is None:
        return None
    try:
        require_version(scenario, version)
    except UsageError as problem:
        return problem.message
    return None
