"""What a campaign knows about one of its runs: the attempts to run it, and whether it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict

Ending = Literal["verdict", "refused", "failed", "unprepared", "interrupted"]
"""How an attempt ended. ``verdict``: with results. ``refused``: before it changed anything.
``failed``: without results. ``unprepared``: its cluster could not be deployed. ``interrupted``: by
a signal, or with its campaign."""

COUNTED: Final = ("verdict", "refused", "failed")
"""Other attempts do not count: the run is repeated."""


@dataclass(frozen=True)
class Attempt:
    """One attempt to run a planned run."""

    machines: str
    began: float
    """On the wall clock."""
    ended: float | None = None
    ending: Ending | None = None
    """None while it is in progress, and for ever if the campaign was killed meanwhile."""
    outcome: Outcome | None = None
    folder: str = ""
    """The folder of the run, relative to that of the campaign."""
    version: str = ""
    """The RabbitMQ version that the nodes had."""
    error: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the attempt as JSON can represent it."""
        return {
            "machines": self.machines,
            "began": self.began,
            "ended": self.ended,
            "ending": self.ending,
            "outcome": self.outcome.as_data() if self.outcome else None,
            "folder": self.folder,
            "version": self.version,
            "error": self.error,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Attempt:
        """Return the attempt that ``as_data`` was called on."""
        outcome = data["outcome"]
        ended = data["ended"]
        return cls(
            machines=str(data["machines"]),
            began=float(data["began"]),
            ended=None if ended is None else float(ended),
            ending=data["ending"],
            outcome=None if outcome is None else Outcome.from_data(outcome),
            folder=str(data["folder"]),
            version=str(data["version"]),
            error=str(data["error"]),
        )


@dataclass(frozen=True)
class Record:
    """All attempts to run one planned run, in the order in which they began."""

    attempts: tuple[Attempt, ...] = ()

    @property
    def counted(self) -> tuple[Attempt, ...]:
        """The attempts that ended by themselves."""
        return tuple(attempt for attempt in self.attempts if attempt.ending in COUNTED)

    @property
    def last(self) -> Attempt | None:
        """The attempt that counts."""
        return self.counted[-1] if self.counted else None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the attempt that counts; unknown if it has none, None before any."""
        if self.last is None:
            return None
        return self.last.outcome.verdict if self.last.outcome else Verdict.UNKNOWN

    @property
    def in_progress(self) -> tuple[Attempt, ...]:
        """The attempts that have not ended, or whose campaign did not live to see their end."""
        return tuple(attempt for attempt in self.attempts if attempt.ending is None)

    def begun(self, attempt: Attempt) -> Record:
        """Return the record with one more attempt."""
        return Record((*self.attempts, attempt))

    def ended(self, attempt: Attempt) -> Record:
        """Return the record with an ended attempt instead of the last one."""
        return Record((*self.attempts[:-1], attempt))

    def without_progress(self, at: float) -> Record:
        """Return the record after the campaign was interrupted: no attempt is in progress."""
        return Record(
            tuple(
                attempt
                if attempt.ending is not None
                else replace(
                    attempt, ending="interrupted", ended=at, error="the campaign was interrupted"
                )
                for attempt in self.attempts
            )
        )

    def below(self, folder: str) -> Record:
        """Return the record with the folders of its runs below another folder."""
        return Record(
            tuple(
                replace(attempt, folder=f"{folder}/{attempt.folder}" if attempt.folder else "")
                for attempt in self.attempts
            )
        )

    def is_done(self, retries: int) -> bool:
        """Return whether the run needs no further attempt.

        ``retries`` is how often a run is repeated whose verdict is unknown. A run that was refused
        would be refused again.
        """
        if self.last is None:
            return False
        if self.last.ending == "refused" or self.verdict is not Verdict.UNKNOWN:
            return True
        return len(self.counted) > retries

    def as_data(self) -> dict[str, Any]:
        """Return the record as JSON can represent it."""
        return {"attempts": [attempt.as_data() for attempt in self.attempts]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that ``as_data`` was called on."""
        return cls(tuple(map(Attempt.from_data, data["attempts"])))
