"""A campaign file: the matrix of its runs, and the rules by which they are run and judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from jepsenvm.errors import UsageError, shorten
from jepsenvm.machines.lab.names import PATTERN as LAB_NAME
from jepsenvm.plan.durations import Seconds
from jepsenvm.plan.field_types import MODEL_CONFIG
from jepsenvm.plan.problems import MAX_PROBLEMS, sentences

VERSION: Final = "version"
SCENARIO: Final = "scenario"
NODES: Final = "nodes"
NO_PLAN_KEYS: Final = (VERSION, SCENARIO, NODES)
"""The axes of a matrix that are no keys of a plan."""

MOST_NODES: Final = 99

LAB_SUITES: Final[Mapping[str, str]] = {
    "3.8.9": "bullseye",
    "3.10.8": "bookworm",
    "4.0.5": "trixie",
    "4.3.6": "forky",
}
"""The suite of the lab's hosts that has a version of RabbitMQ."""

_VERSION: Final = re.compile(r"\d+(\.\d+){1,3}([-+~.][A-Za-z0-9.+~-]+)?")

Expected = Literal["valid", "invalid", "any"]
Combination = Mapping[str, object]
"""Values by axis or plan key."""


def version_text(value: object) -> str:
    """Return a RabbitMQ version; raise ValueError for anything else, such as a number."""
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise ValueError("a version is a text such as '3.10.8'")
    return value


def node_count(value: object) -> int:
    """Return a number of nodes; raise ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_NODES:
        raise ValueError(f"nodes must be a number from 1 to {MOST_NODES}")
    return value


Version = Annotated[str, AfterValidator(version_text)]


class Expectation(BaseModel):
    """The verdict that runs are expected to have."""

    model_config = MODEL_CONFIG

    match: Mapping[str, object] = Field(
        default_factory=dict,
        description="Values of plan keys, `version`, `scenario` or `nodes`, or lists of them. A "
        "version also matches longer ones: `3` matches `3.10.8`. Without a key, it matches every "
        "run.",
    )
    verdict: Expected = Field(
        description="`valid`, `invalid`, or `any` for outcomes that are recorded and not judged."
    )
    checkers: tuple[str, ...] = Field(
        default=(),
        description="Checkers that may be invalid; any if not given. A run that is invalid for "
        "another reason is worse than expected.",
    )


class VersionSource(BaseModel):
    """Where a version of RabbitMQ comes from."""

    model_config = MODEL_CONFIG

    suite: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2,20}$",
        description="Suite of the lab's hosts that has this version.",
    )
    source: Literal["distribution", "repository", "archive", "package"] = Field(
        default="repository", description="`rabbitmq_source` on other machines."
    )
    version: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.+~:*-]{1,60}$",
        description="`rabbitmq_version` on other machines. By default the version itself.",
    )
    file: str | None = Field(default=None, description="`rabbitmq_file`.")
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-fA-F]{64}$", description="`rabbitmq_sha256`."
    )


class Machines(BaseModel):
    """One cluster on which runs of a campaign take place: a lab, or the hosts of an inventory."""

    model_config = MODEL_CONFIG

    lab: str | None = Field(
        default=None,
        pattern=LAB_NAME,
        description="Name of a lab; `default` is that of `jepsenvm lab up`.",
    )
    inventory: str | None = Field(default=None, description="Path of an inventory.")
    nodes: int = Field(
        default=5,
        ge=1,
        le=MOST_NODES,
        description="Number of hosts: of a lab for runs that need no certain number, or of the "
        "inventory.",
    )
    existing: bool = Field(
        default=False, description="The inventory's cluster was not deployed by jepsenvm."
    )

    may_reset: bool = Field(
        default=False,
        description="The hosts of the inventory may be wiped, which another version needs.",
    )

    @property
    def may_be_reset(self) -> bool:
        """Whether RabbitMQ may be reinstalled without its data. A lab has nothing to lose."""
        return self.lab is not None or self.may_reset

    @property
    def name(self) -> str:
        """The lab or the inventory, for messages and records."""
        return f"lab {self.lab}" if self.lab is not None else str(self.inventory)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.lab is None) == (self.inventory is None):
            raise ValueError("give either lab or inventory")
        if self.lab is not None and self.existing:
            raise ValueError("existing goes only with inventory")
        if self.may_reset and (self.lab is not None or self.existing):
            raise ValueError("may-reset goes only with an inventory that is not existing")
        return self


class CampaignFile(BaseModel):
    """The content of a campaign file."""

    model_config = MODEL_CONFIG

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the campaign, and of its folder.",
    )
    plan: Mapping[str, object] = Field(
        default_factory=dict, description="Plan keys of all runs that are not in the matrix."
    )
    matrix: Mapping[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Values by plan key, `version`, `scenario` or `nodes` (of the cluster). Each "
        "combination is a run.",
    )
    exclude: tuple[Mapping[str, object], ...] = Field(
        default=(),
        description="Combinations that are left out. Each gives values, or lists of values, of "
        "some axes of the matrix.",
    )
    include: tuple[Mapping[str, object], ...] = Field(
        default=(),
        description="Further runs. Each gives plan keys, `version`, `scenario` or `nodes`.",
    )
    repeats: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="How often each combination is run. Without a `seed` in the matrix or the "
        "plan, each repeat has another seed: its number, or the scenario's seed and the next ones.",
    )
    retries: int = Field(
        default=1,
        ge=0,
        le=10,
        description="How often a run whose verdict is `unknown` is run again.",
    )
    budget: Seconds | None = Field(
        default=None,
        description="Time for one `jepsenvm campaign run`. A run that would not end in time does "
        "not begin.",
    )
    expect: tuple[Expectation, ...] = Field(
        default=(),
        description="Expected verdicts. The first that matches counts. Without a match it is that "
        "of the scenario, else `valid`.",
    )
    versions: Mapping[Version, VersionSource] = Field(
        default_factory=dict,
        description=f"Where versions come from. The lab has {', '.join(LAB_SUITES)}. Other "
        "machines install a version from the repository.",
    )
    machines: tuple[Machines, ...] = Field(
        default=(Machines(lab="default"),),
        min_length=1,
        max_length=100,
        description="The clusters on which runs take place, each one run at a time.",
    )


_NESTED: Final[Mapping[str, type[BaseModel]]] = {
    "expect": Expectation,
    "versions": VersionSource,
    "machines": Machines,
}
"""The models within the values of keys."""


def parse(document: Mapping[str, object], source: str) -> CampaignFile:
    """Return a campaign file; raise UsageError with every problem in one line.

    ``source`` is the file's name for error messages.
    """
    try:
        campaign = CampaignFile.model_validate(document, by_name=False, by_alias=True)
    except ValidationError as error:
        problems = list(sentences(error, _NESTED))
        raise UsageError(f"{source}: {'; '.join(problems[:MAX_PROBLEMS])}") from None
    names = [machines.name for machines in campaign.machines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"{source}: machines: {shorten(twice[0])} is given twice",
            remedy="two runs cannot use one cluster at once",
        )
    return campaign
