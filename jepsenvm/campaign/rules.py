"""What the expansion of a campaign must know of plans, versions and scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from jepsenvm.campaign.spec import Expected
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.versions import PARTITION_HANDLING_ENDED, release, release_text

IGNORED_FROM: Final[Mapping[str, tuple[int, int]]] = {
    "partition-handling": PARTITION_HANDLING_ENDED
}
"""Plan keys that RabbitMQ ignores, and the first release that does."""


@dataclass(frozen=True)
class ScenarioCase:
    """A scenario on one version."""

    plan: Mapping[str, object]
    """Its plan keys."""
    expected: Expected
    checkers: tuple[str, ...] = ()
    """The checkers that may be invalid; any if empty."""
    refusal: str | None = None
    """Why it does not apply to the version."""
    nodes: int | None = None
    """The number of nodes that it needs; None for any."""


class Rules(Protocol):
    """Facts about plans that the caller passes, because this package's pure part has no broker."""

    def plan(self, document: Mapping[str, object], source: str) -> Plan:
        """Return the plan of a document; raise UsageError with every problem of it."""

    def refusal(self, plan: Plan, version: str | None) -> str | None:
        """Return why a plan cannot run, on a version if there is one; None if it can."""

    def scenario(self, name: str, version: str | None) -> ScenarioCase:
        """Return a scenario; raise UsageError if there is none of this name."""


def ignored(key: str, version: str | None) -> str | None:
    """Return why a plan key has no effect on a version; None if it has one."""
    since = IGNORED_FROM.get(key)
    if version is None or since is None or release(version) < since:
        return None
    return f"RabbitMQ {release_text(since)} and later ignore {key}"
