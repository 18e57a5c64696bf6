"""What each command prints with ``--json``. The keys are stable: later versions only add some.

`docs/formats.md` lists them from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from jepsenvm.checkers.verdict import Results
from jepsenvm.experiment.store import REPORT, Store

if TYPE_CHECKING:
    from jepsenvm.campaign.comparison import Difference
    from jepsenvm.campaign.summary import Summary
    from jepsenvm.machines.ansible_progress import Recap


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Shape(BaseModel):
    """One JSON object."""

    model_config = ConfigDict(alias_generator=_kebab, populate_by_name=True, frozen=True)

    def as_data(self) -> dict[str, Any]:
        """Return the object as JSON can represent it."""
        return self.model_dump(mode="json", by_alias=True)


class RunShape(Shape):
    """A finished run."""

    verdict: str = Field(description="`valid`, `invalid` or `unknown`.")
    folder: str = Field(description="Folder of the run.")
    report: str = Field(description="File of the report.")
    results: Mapping[str, Any] = Field(description="The content of `results.json`.")


def run_shape(store: Store, results: Results) -> RunShape:
    """Return a finished run in the store."""
    return RunShape(
        verdict=str(results.verdict),
        folder=str(store.path),
        report=str(store.path / REPORT),
        results=results.as_data(),
    )


class ScenarioRunShape(RunShape):
    """A finished run of a scenario."""

    scenario: str = Field(description="Name of the scenario.")
    rabbitmq: str = Field(description="Version of RabbitMQ on the nodes.")
    expected: str | None = Field(description="What was expected of this version; null if nothing.")
    comparison: str = Field(
        description="How the verdict compares, such as `as expected` or `worse than expected`."
    )


class ScenarioRunsShape(Shape):
    """All runs of `scenario run`."""

    verdict: str = Field(description="The worst verdict of the runs.")
    runs: Sequence[ScenarioRunShape] = Field(
        description="The runs, each with the keys of `run` and `scenario`, `rabbitmq`, "
        "`expected` (null if nothing was) and `comparison`."
    )


class CheckShape(Shape):
    """The results of the checkers, which are the content of `results.json`."""

    verdict: str = Field(description="`valid`, `invalid` or `unknown`.")
    reasons: Sequence[str] = Field(description="Sentences that say why.")
    checkers: Mapping[str, Any] = Field(description="The verdict and the figures of each checker.")


class ReportShape(Shape):
    """A written report."""

    report: str = Field(description="File of the report.")
    verdict: str = Field(description="The verdict of the run.")
    missing: Sequence[str] = Field(description="Sentences about what the run does not have.")


class FilesShape(Shape):
    """Written files."""

    files: Sequence[str] = Field(description="The files that were written.")


class ExportShape(Shape):
    """An exported history."""

    file: str = Field(description="The file, or the folder, that was written.")
    format: str = Field(description="Its format.")
    complete: bool = Field(description="False if the history is cut short.")


class FindingShape(Shape):
    """One check of `doctor`."""

    subject: str
    problem: str | None
    required: bool


class DoctorShape(Shape):
    """What `doctor` found."""

    suitable: bool = Field(description="False if a requirement is not met.")
    findings: Sequence[FindingShape] = Field(
        description="Each has `subject`, `problem` with its remedy (null if there is none), and "
        "`required` (false for an optional feature)."
    )


class HelloShape(Shape):
    """What `hello` found."""

    nodes: Mapping[str, bool] = Field(description="Whether the message of each node came back.")


class HealShape(Shape):
    """What `heal` removed."""

    nodes: Mapping[str, Sequence[str]] = Field(description="What was removed from each node.")
    run: str | None = Field(
        description="Folder of the run beside which only the faults by hand were healed; "
        "null without one."
    )


class FaultKindShape(Shape):
    """One fault of `fault list`."""

    name: str = Field(description="Name of the fault.")
    takes: str = Field(description="`nodes`, `groups` or `nothing`.")
    settings: Mapping[str, float | str] = Field(description="Its settings with their defaults.")
    about: str = Field(description="What it does.")


class FaultStartShape(Shape):
    """A fault that `fault start` injected."""

    number: int = Field(description="Number of the fault.")
    fault: str = Field(description="The fault in one line.")
    problems: Sequence[str] = Field(
        description="Why the fault, or its healing, is not proven; empty if it is."
    )
    healed: bool = Field(description="Whether it was healed again, as with `--for`.")


class FaultStatusShape(Shape):
    """The faults in force."""

    faults: Mapping[str, Sequence[Mapping[str, Any]] | None] = Field(
        description="The faults in force on each node, each with `number`, `name`, `targets` and "
        "`since` (seconds since 1970); null for a node that does not answer."
    )
    reachable: Mapping[str, Mapping[str, bool | None]] = Field(
        description="Whether each node reaches each other one; null if nobody knows."
    )


class NodeRecapShape(Shape):
    """What a playbook did on one node."""

    ok: int
    changed: int


class DeployShape(Shape):
    """What `deploy` or `remove` did."""

    nodes: Mapping[str, NodeRecapShape] = Field(
        description="The tasks on each node: `ok`, and how many of them `changed` something."
    )
    changed: int = Field(description="How many tasks changed something on any node.")
    version: str | None = Field(description="Version of RabbitMQ; null for `remove`.")


def deploy_shape(recap: Recap, version: str | None) -> DeployShape:
    """Return what a playbook did. ``version`` is that of RabbitMQ."""
    nodes = {
        name: NodeRecapShape(ok=counts.ok, changed=counts.changed)
        for name, counts in recap.nodes.items()
    }
    return DeployShape(nodes=nodes, changed=recap.changed, version=version)


class LabUpShape(Shape):
    """A lab that is up."""

    name: str = Field(description="Name of the lab.")
    inventory: str = Field(description="Its inventory, for `-i`.")


class LabDownShape(Shape):
    """Labs that were taken down."""

    down: Sequence[str] = Field(description="Names of the labs that were removed.")


class LabShape(Shape):
    """One lab of `lab list`."""

    name: str = Field(description="Name of the lab.")
    suite: str | None = Field(description="Suite of its hosts; null for an incomplete lab.")
    hosts: int | None = Field(description="Number of its hosts; null for an incomplete lab.")
    running: int = Field(description="Number of hosts that are on.")
    subnet: str = Field(description="Its network.")
    inventory: str = Field(description="Its inventory, for `-i`.")


class HostShape(Shape):
    """One host of `lab status`."""

    name: str = Field(description="Name of the host.")
    address: str = Field(description="Its address.")
    pid: int | None = Field(description="Process id of its supervisor; null if it is off.")
    running: bool = Field(description="Whether it is on.")
    ssh: bool = Field(description="Whether it answers over SSH.")


class ShrinkShape(Shape):
    """The outcome of `shrink`."""

    reproduced: bool = Field(description="Whether the run failed again.")
    complete: bool = Field(default=False, description="False if the budget was used up.")
    tried: int = Field(default=0, description="Number of smaller plans that were tried.")
    smallest: str | None = Field(
        default=None, description="The smallest plan in one line; null without one."
    )
    plan: str | None = Field(
        default=None, description="File of the smallest plan; null without one."
    )


class CampaignLineShape(Shape):
    """The runs of a campaign with the same settings."""

    settings: Mapping[str, str]
    expected: str
    verdicts: Mapping[str, int]
    judgement: str
    kinds: Sequence[str]


class CampaignShape(Shape):
    """The outcomes of a campaign."""

    name: str = Field(description="Name of the campaign.")
    headline: str = Field(description="The judgements in one line.")
    judgements: Mapping[str, int] = Field(description="How often each judgement occurred.")
    lines: Sequence[CampaignLineShape] = Field(
        description="One entry for each combination of settings: `settings`, `expected`, "
        "`verdicts` (how often each occurred), the worst `judgement`, and `kinds` of anomalies."
    )
    report: str | None = Field(description="File of the report; null without one.")


def campaign_shape(summary: Summary, report: Path | None) -> CampaignShape:
    """Return the outcomes of a campaign, and the file of its report."""
    lines = [
        CampaignLineShape(
            settings=line.settings,
            expected=line.expected,
            verdicts=line.verdicts,
            judgement=str(line.worst),
            kinds=line.kinds,
        )
        for line in summary.lines
    ]
    return CampaignShape(
        name=summary.name,
        headline=summary.headline,
        judgements={str(one): count for one, count in summary.judgements.items()},
        lines=lines,
        report=None if report is None else str(report),
    )


class DifferenceShape(Shape):
    """The same settings in two campaigns."""

    settings: Mapping[str, str] = Field(description="The settings.")
    change: str = Field(
        description="`worse`, `better`, `unclear`, `same`, `only before` or `only after`."
    )
    before: Mapping[str, int] | None = Field(
        description="How often each verdict occurred before; null if there is none."
    )
    after: Mapping[str, int] | None = Field(description="The same after.")


def difference_shape(difference: Difference) -> DifferenceShape:
    """Return how the outcomes of the same settings differ."""
    before, after = difference.before, difference.after
    return DifferenceShape(
        settings=difference.settings,
        change=str(difference.change),
        before=None if before is None else before.verdicts,
        after=None if after is None else after.verdicts,
    )


class FileShape(Shape):
    """A written file."""

    file: str = Field(description="The file that was written.")


class PlannedCampaignShape(Shape):
    """The runs of a campaign before they run."""

    runs: Sequence[Any] = Field(description="The runs with their settings, seeds and plans.")
    left_out: Sequence[Any] = Field(description="Combinations that no version supports, and why.")
    excluded: int = Field(description="Number of combinations that the file excludes.")


class LifeShape(Shape):
    """The life of one message."""

    value: Any = Field(description="The message.")
    counts_as: Sequence[str] = Field(description="How it counts, such as `lost`.")
    sentence: str = Field(description="Why it counts so.")
    events: Sequence[Mapping[str, Any]] = Field(
        description="What happened to it and around it, each with its `time` in seconds since the "
        "run began."
    )


class ScenarioShape(Shape):
    """One scenario, with the keys of its file."""

    name: str = Field(description="Name of the scenario.")
    plan: Mapping[str, Any] = Field(description="The keys of its plan.")
    title: str = Field(
        description="What it is. The other keys are those of the [file](scenarios.md)."
    )


SHAPES: Final[Mapping[str, type[Shape] | list[type[Shape]]]] = {
    "campaign diff": [DifferenceShape],
    "campaign plan": PlannedCampaignShape,
    "campaign report": CampaignShape,
    "campaign run": CampaignShape,
    "check": CheckShape,
    "deploy": DeployShape,
    "doctor": DoctorShape,
    "explain": [LifeShape],
    "export": ExportShape,
    "fault list": [FaultKindShape],
    "fault start": FaultStartShape,
    "fault status": FaultStatusShape,
    "heal": HealShape,
    "hello": HelloShape,
    "lab down": LabDownShape,
    "lab list": [LabShape],
    "lab status": [HostShape],
    "lab up": LabUpShape,
    "plot": FilesShape,
    "remove": DeployShape,
    "report": ReportShape,
    "resume": RunShape,
    "run": RunShape,
    "scenario list": [ScenarioShape],
    "scenario new": FileShape,
    "scenario run": ScenarioRunsShape,
    "scenario show": ScenarioShape,
    "shrink": ShrinkShape,
}
"""The shape of each command's output; a list stands for a list of such objects."""
