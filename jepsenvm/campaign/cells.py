"""One combination of a campaign: its plan, and the runs that repeat it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jepsenvm.campaign.matching import matches
from jepsenvm.campaign.planned import Cluster, PlannedRun, identify
from jepsenvm.campaign.rules import Rules, ScenarioCase, ignored
from jepsenvm.campaign.spec import (
    NO_PLAN_KEYS,
    NODES,
    SCENARIO,
    VERSION,
    CampaignFile,
    Combination,
    Expected,
    node_count,
)
from jepsenvm.errors import UsageError, shown
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan

SEED: Final = "seed"
HANDLING: Final = "partition-handling"
ALWAYS_SHOWN: Final = (VERSION, SCENARIO, "workload", "queue-type", HANDLING, "nemesis", NODES)
"""The settings that distinguish runs in every campaign, in the order of the tables."""


@dataclass(frozen=True)
class Cell:
    """A combination that can run."""

    settings: Mapping[str, str]
    document: Mapping[str, object]
    """The plan keys, without a name."""
    values: Mapping[str, object]
    """What ``expect`` matches: every plan key, ``version`` and ``scenario``."""
    plan: Plan
    version: str | None
    nodes: int | None
    """The number of nodes that it needs; None for any."""
    seed_given: bool
    """Whether the campaign gives the seed. Otherwise each repeat has another one."""
    expected: Expected
    checkers: tuple[str, ...]
    """The checkers that may be invalid where that is expected; any if empty."""
    dropped: str | None
    """Why keys of the combination have no effect on the version; None if all have."""

    @property
    def key(self) -> str:
        """The same for two combinations that would run alike."""
        content = [self.version, self.nodes, self.document, self.settings.get(SCENARIO)]
        return json.dumps(content, sort_keys=True, default=str)


@dataclass(frozen=True)
class Refused:
    """A combination that cannot run."""

    settings: Mapping[str, str]
    reason: str


def cell_of(campaign: CampaignFile, combination: Combination, rules: Rules) -> Cell | Refused:
    """Return a combination with its plan, or why it cannot run."""
    version = str(combination[VERSION]) if VERSION in combination else None
    texts = {key: str(value) for key, value in combination.items()}
    try:
        case = _scenario(combination, version, rules)
        if case.refusal is not None:
            return Refused(texts, case.refusal)
        own = {key: value for key, value in combination.items() if key not in NO_PLAN_KEYS}
        given = {**campaign.plan, **case.plan, **own}
        document = {key: value for key, value in given.items() if not ignored(key, version)}
        plan = rules.plan({SEED: 1, **document}, "plan")
        nodes = _nodes(combination, case)
    except UsageError as problem:
        return Refused(texts, problem.message.removeprefix("plan: "))
    refusal = rules.refusal(plan, version)
    if refusal is not None:
        return Refused(texts, refusal)
    reasons = [reason for key in own if (reason := ignored(key, version))]
    scenario = combination.get(SCENARIO)
    values = {**_plan_values(plan), VERSION: version, SCENARIO: scenario, NODES: nodes}
    expected, checkers = _expected(campaign, values, case)
    return Cell(
        settings=_settings(plan, {**document, **values}, combination),
        document=document,
        values=values,
        plan=plan,
        version=version,
        nodes=nodes,
        seed_given=SEED in {**campaign.plan, **own},
        expected=expected,
        checkers=checkers,
        dropped=reasons[0] if reasons else None,
    )


def runs_of(campaign: CampaignFile, cell: Cell) -> Iterator[PlannedRun]:
    """Yield the repeats of a combination."""
    cluster = cluster_of(cell.plan, cell.version, cell.nodes)
    for repeat in range(1, campaign.repeats + 1):
        seed = cell.plan.seed if cell.seed_given else cell.plan.seed + repeat - 1
        run_id = identify(cell.settings, {**cell.document, SEED: seed}, repeat)
        plan = cell.plan.model_copy(update={"name": run_id, "seed": seed})
        yield PlannedRun(
            id=run_id,
            settings=cell.settings,
            seed=seed,
            repeat=repeat,
            expected=cell.expected,
            checkers=cell.checkers,
            cluster=cluster,
            seconds=plan.time_limit,
            plan=plan.to_yaml(),
            workload=plan.workload,
            permanent=is_permanent(plan),
        )


def cluster_of(plan: Plan, version: str | None, nodes: int | None) -> Cluster:
    """Return the cluster that a plan needs, without settings that the version ignores."""
    handling = None if ignored(HANDLING, version) else plan.partition_handling
    flags = tuple(sorted(plan.feature_flags))
    return Cluster(version, handling, plan.net_ticktime, nodes, flags)


def is_permanent(plan: Plan) -> bool:
    """Return whether a plan has a fault that cannot be undone, such as an upgrade."""
    names = [*plan.nemeses, *(item.fault for item in plan.schedule or ())]
    specs = [NEMESES.get(name) for name in names]
    return any(spec is not None and spec.permanent for spec in specs)


def _scenario(combination: Combination, version: str | None, rules: Rules) -> ScenarioCase:
    if SCENARIO not in combination:
        return ScenarioCase(plan={}, expected="valid")
    return rules.scenario(str(combination[SCENARIO]), version)


def _nodes(combination: Combination, case: ScenarioCase) -> int | None:
    """Return the number of nodes that a combination needs; raise UsageError for a contradiction."""
    given = combination.get(NODES)
    try:
        count = None if given is None else node_count(given)
    except ValueError as problem:
        raise UsageError(f"{problem} (found {shown(given)})") from None
    if count is not None and case.nodes not in (None, count):
        raise UsageError(f"the scenario needs {case.nodes} nodes, not {count}")
    return count or case.nodes


def _expected(
    campaign: CampaignFile, values: Mapping[str, object], case: ScenarioCase
) -> tuple[Expected, tuple[str, ...]]:
    for expectation in campaign.expect:
        if matches(expectation.match, values):
            return expectation.verdict, expectation.checkers
    return case.expected, case.checkers


def _plan_values(plan: Plan) -> dict[str, object]:
    document: dict[str, object] = plan.model_dump(by_alias=True, mode="json", exclude={"options"})
    return {**document, **plan.options.model_dump(by_alias=True, mode="json")}


def _settings(plan: Plan, values: Mapping[str, object], combination: Combination) -> dict[str, str]:
    """Return what distinguishes a combination from others, as texts; ``-`` if it has none."""
    version = str(combination[VERSION]) if VERSION in combination else None
    shown: dict[str, object] = {key: values.get(key) for key in ALWAYS_SHOWN}
    if plan.schedule is not None:
        shown["nemesis"] = "as scheduled"
    if ignored(HANDLING, version):
        shown[HANDLING] = None
    for key in combination:
        if key not in shown and key != SEED:
            shown[key] = values.get(key, combination[key])
    return {key: _text(value) for key, value in shown.items()}


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
