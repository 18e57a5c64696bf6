"""What the list of runs shows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from jepsenvm.checkers.outcome import Outcome
from jepsenvm.serve.place import Place

GOING_ON: Final = "going on"
NO_VERDICT: Final = "no verdict"
"""The states of a run without a verdict."""

QUIET_S: Final = 120.0
"""A run without a verdict whose files have not changed for this time, in seconds, has ended."""

_TIME: Final = "%Y%m%dT%H%M%S.%fZ"
"""The names of the folders of runs."""

_LAST_TIME: Final = datetime.max.replace(tzinfo=UTC).timestamp() - 86_400
"""Files may have times that no date has, in seconds since 1970."""


@dataclass(frozen=True)
class RunFacts:
    """One run, as far as it can be read. Texts may hold anything."""

    place: Place
    written: float
    """When its files changed last, in seconds since 1970."""
    workload: str = ""
    nemeses: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    """The versions of RabbitMQ, in order."""
    plan: Mapping[str, object] = field(default_factory=dict)
    """The keys and values of its plan."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """The content of results.json."""
    verdict: str = ""
    """The verdict on file; empty if there is none."""
    outcome: Outcome | None = None
    """None if results.json has another shape than this version writes."""
    problems: tuple[str, ...] = ()
    """Why files could not be read, one sentence each."""

    @property
    def began(self) -> datetime:
        """When it began, by the name of its folder; when it changed last for another name."""
        try:
            return datetime.strptime(self.place.time, _TIME).replace(tzinfo=UTC)
        except ValueError:
            return datetime.fromtimestamp(min(max(self.written, 0.0), _LAST_TIME), UTC)

    def state(self, now: float) -> str:
        """Return the verdict, or what is known about a run that has none."""
        if self.verdict:
            return self.verdict
        return GOING_ON if now - self.written < QUIET_S else NO_VERDICT

    @property
    def lost(self) -> int | None:
        """The number of lost messages; None if it is not known."""
        return self.outcome.lost if self.outcome else None

    @property
    def acknowledged(self) -> int | None:
        """The number of acknowledged messages; None if it is not known."""
        return self.outcome.acknowledged if self.outcome else None
