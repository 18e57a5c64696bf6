"""The runs of a campaign as they are planned, and the clusters that they need."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from jepsenvm.campaign.spec import NODES, Expected

MOST_SLUG: Final = 50
"""Characters of a run's id before its digest. Names of plans have at most 64."""


class Cluster(NamedTuple):
    """What must be deployed for a run. Runs of equal clusters follow each other."""

    version: str | None
    """None for the version that the machines have."""
    partition_handling: str | None
    """None if the version has no partition handling."""
    net_ticktime: int
    nodes: int | None = None
    """None for the number that the machines have."""
    feature_flags: tuple[str, ...] = ()
    """The feature flags that its runs enable, which stay enabled."""

    @property
    def key(self) -> str:
        """The cluster as one word."""
        nodes = f"{self.nodes}-nodes" if self.nodes is not None else None
        settings = (self.version, self.partition_handling, self.net_ticktime, nodes)
        parts = (*settings, *self.feature_flags)
        return "-".join(str(part) for part in parts if part is not None)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a campaign."""

    id: str
    settings: Mapping[str, str]
    """What distinguishes it from others, by plan key, ``version`` or ``scenario``; without the
    seed."""
    seed: int
    repeat: int
    expected: Expected
    checkers: tuple[str, ...]
    """The checkers that may be invalid where that is expected; any if empty."""
    cluster: Cluster
    seconds: float
    """The time limit of its load."""
    plan: str
    """The content of its plan file."""
    workload: str
    permanent: bool = False
    """Whether it leaves another cluster behind, such as an upgraded one."""

    @property
    def title(self) -> str:
        """The run in words."""
        return f"{describe(self.settings)} (seed {self.seed}, repeat {self.repeat})"

    def as_data(self) -> dict[str, Any]:
        """Return the run as JSON can represent it."""
        return {**asdict(self), "cluster": self.cluster._asdict()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PlannedRun:
        """Return the run that ``as_data`` was called on."""
        return cls(
            id=str(data["id"]),
            settings={str(key): str(value) for key, value in data["settings"].items()},
            seed=int(data["seed"]),
            repeat=int(data["repeat"]),
            expected=data["expected"],
            checkers=tuple(map(str, data["checkers"])),
            cluster=_cluster(data["cluster"]),
            seconds=float(data["seconds"]),
            plan=str(data["plan"]),
            workload=str(data["workload"]),
            permanent=bool(data["permanent"]),
        )


def _cluster(data: Mapping[str, Any]) -> Cluster:
    return Cluster(**{**data, "feature_flags": tuple(map(str, data["feature_flags"]))})


@dataclass(frozen=True)
class LeftOut:
    """A combination of the matrix that does not run, and why."""

    settings: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Expansion:
    """All runs of a campaign, and the combinations that were left out."""

    runs: tuple[PlannedRun, ...]
    left_out: tuple[LeftOut, ...]
    excluded: int
    """The number of combinations that ``exclude`` removed."""


def describe(settings: Mapping[str, str]) -> str:
    """Return settings as one line, without the names of their keys."""
    values = (
        f"{value} nodes" if key == NODES else value
        for key, value in settings.items()
        if value != "-"
    )
    return ", ".join(values) or "the only settings"


def identify(settings: Mapping[str, str], document: Mapping[str, object], repeat: int) -> str:
    """Return the id of a run: readable, and different for each plan and repeat."""
    words = "-".join(value for value in settings.values() if value != "-")
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", words).strip("-._")[:MOST_SLUG] or "run"
    content = json.dumps([dict(settings), document, repeat], sort_keys=True, default=str)
    return f"{slug}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
