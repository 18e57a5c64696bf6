"""The schema of a scenario: what the key ``scenario`` adds to a plan file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from jepsenvm.plan.field_types import MODEL_CONFIG, not_empty
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios.version_range import VersionRange, contains

NONE_RECORDED: Final = "none recorded"
"""The verdict of an expectation for versions for which nobody knows what to expect."""

MAX_REPEAT: Final = 1000

LINE: Final = 100
"""Columns of a line on a terminal."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Expectation(BaseModel):
    """The verdict that is expected for some versions of RabbitMQ."""

    model_config = MODEL_CONFIG

    versions: VersionRange = Field(
        description="The versions of RabbitMQ, such as `>=3.8,<4.0`. The first entry with the live "
        "version counts."
    )
    verdict: Literal["valid", "invalid", "none recorded"] = Field(
        description="The expected verdict. `none recorded`: nobody knows it."
    )
    certainty: Literal["certain", "rare"] = Field(
        default="certain",
        description="`certain`: every run has this verdict. `rare`: only some runs are invalid, so "
        "a valid run is as expected too.",
    )
    checkers: tuple[str, ...] = Field(
        default=(),
        description="The checkers that are expected to be invalid; any if not given. A run that is "
        "invalid for another reason is worse than expected.",
    )

    @model_validator(mode="after")
    def _check_keys_together(self) -> Self:
        if self.verdict != "invalid" and self.certainty == "rare":
            raise ValueError("certainty: rare goes only with verdict: invalid")
        if self.verdict != "invalid" and self.checkers:
            raise ValueError("checkers go only with verdict: invalid")
        return self

    def describe(self) -> str:
        """Return the expectation in a few words, such as ``invalid (rare)``."""
        return f"{self.verdict} (rare)" if self.certainty == "rare" else self.verdict


class Outcomes(BaseModel):
    """What each verdict of a scenario means for a user."""

    model_config = MODEL_CONFIG

    valid: Text = Field(description="What it means for a user that the run is valid.")
    invalid: Text = Field(description="What it means that it is invalid.")
    unknown: Text = Field(
        default="The run did not prove enough, for the reasons that it lists. Run it again.",
        description="What it means that it is unknown.",
    )


class About(BaseModel):
    """The value of the key ``scenario``."""

    model_config = MODEL_CONFIG

    title: Text = Field(description="The scenario in one line.")
    story: Text = Field(description="What happens in it and why, in a few sentences.")
    source: Annotated[tuple[Text, ...], AfterValidator(not_empty)] = Field(
        description="Where it comes from: papers, posts and issues."
    )
    versions: VersionRange = Field(
        description="The versions of RabbitMQ that it applies to. Others are refused."
    )
    nodes: Annotated[int, Field(ge=1, le=99, strict=True)] | None = Field(
        default=None, description="The number of nodes that it needs. None: any number."
    )
    expected: Annotated[tuple[Expectation, ...], AfterValidator(not_empty)] = Field(
        description="The expected verdicts by version, with the keys below."
    )
    outcomes: Outcomes = Field(description="What each verdict means, with the keys below.")
    repeat: Annotated[int, Field(ge=1, le=MAX_REPEAT, strict=True)] = Field(
        default=1,
        description="How often `scenario run` repeats it, each time with the next seed. At least 2 "
        "with a rare expectation.",
    )

    @model_validator(mode="after")
    def _check_keys_together(self) -> Self:
        rare = any(expectation.certainty == "rare" for expectation in self.expected)
        if rare and self.repeat < 2:
            raise ValueError("repeat must be at least 2 with a rare expectation")
        return self


@dataclass(frozen=True)
class Scenario:
    """A plan, and what a scenario file says about it."""

    about: About
    plan: Plan
    document: Mapping[str, object]
    """The plan as the file spells it, with the keys that the file gives."""
    path: Path

    @property
    def name(self) -> str:
        """The name of the scenario, of its file and of its runs in the store."""
        return self.plan.name

    def expectation(self, running: str) -> Expectation | None:
        """Return the expectation for a version; None if nothing is recorded for it."""
        for expectation in self.about.expected:
            if contains(expectation.versions, running):
                return None if expectation.verdict == NONE_RECORDED else expectation
        return None

    def lines(self) -> Iterator[str]:
        """Yield what the scenario file says beside its plan, for a terminal."""
        about = self.about
        yield f"{self.name}: {about.title}"
        yield ""
        yield from _wrapped(about.story)
        yield ""
        yield from (f"source: {source}" for source in about.source)
        nodes = f", on {about.nodes} nodes" if about.nodes else ""
        yield f"applies to RabbitMQ {about.versions}{nodes}"
        for expectation in about.expected:
            yield f"expected on {expectation.versions}: {expectation.describe()}"
        for verdict, meaning in about.outcomes.model_dump().items():
            yield from _wrapped(f"{verdict}: {meaning}")
        repeat = f", {about.repeat} times" if about.repeat > 1 else ""
        yield f"the plan{repeat}:"
        yield ""

    def as_data(self) -> dict[str, Any]:
        """Return the scenario as JSON can represent it."""
        about = self.about.model_dump(by_alias=True, mode="json")
        return {"name": self.name, **about, "plan": dict(self.document)}


def _wrapped(text: str) -> list[str]:
    return wrap(text, LINE, break_on_hyphens=False)
