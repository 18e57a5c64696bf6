"""The outcome of a run in a few figures, from the content of its results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from jepsenvm.checkers.verdict import Verdict

KINDS: Final = (
    "lost",
    "corrupted",
    "unexpected",
    "out-of-order",
    "divergent",
    "nonmonotonic",
    "two-active",
    "doubled",
    "missing",
    "undeleted",
    "broken",
    "stray",
)
"""Anomalies that make a checker invalid, by the names of their counts."""

MOST_REASONS: Final = 20


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    verdict: Verdict
    kinds: tuple[str, ...] = ()
    """What made it invalid, as ``checker: anomaly``; the name of the checker if it has no count."""
    acknowledged: int | None = None
    lost: int | None = None
    """Counts of the main checker; None if it counts no messages."""
    recovery_seconds: float | None = None
    """Seconds from the last healing until the cluster was observed to have recovered."""
    restarted: tuple[str, ...] = ()
    """Nodes that did not come back by themselves."""
    recovered: bool | None = None
    """Whether the cluster recovered, with or without help; None in older records."""
    reasons: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the outcome as JSON can represent it."""
        return {**asdict(self), "verdict": str(self.verdict)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Outcome:
        """Return the outcome that ``as_data`` was called on."""
        return cls(
            verdict=Verdict(data["verdict"]),
            kinds=tuple(map(str, data["kinds"])),
            acknowledged=_count(data["acknowledged"]),
            lost=_count(data["lost"]),
            recovery_seconds=_seconds(data["recovery_seconds"]),
            restarted=tuple(map(str, data["restarted"])),
            recovered=data.get("recovered"),
            reasons=tuple(map(str, data["reasons"])),
        )


def outcome_of(results: Mapping[str, Any], main_checker: str) -> Outcome:
    """Return the outcome in the content of a results.json.

    Raises an error of ``errors.MALFORMED`` if the content has another shape.
    """
    checkers = results["checkers"]
    main = checkers.get(main_checker, {})
    recovery = checkers.get("recovery", {})
    return Outcome(
        verdict=Verdict(results["verdict"]),
        kinds=tuple(_kinds(checkers)),
        acknowledged=_count(main.get("acknowledged-count")),
        lost=_count(main.get("lost-count")),
        recovery_seconds=_recovery_seconds(checkers.get("availability", {})),
        restarted=tuple(map(str, recovery.get("restarted", ()))),
        recovered=recovery["verdict"] == Verdict.VALID if recovery else None,
        reasons=tuple(map(str, results["reasons"][:MOST_REASONS])),
    )


def _kinds(checkers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    kinds: list[str] = []
    for name, figures in sorted(checkers.items()):
        if figures["verdict"] == Verdict.INVALID:
            counted = [kind for kind in KINDS if figures.get(f"{kind}-count", 0) > 0]
            kinds += [f"{name}: {kind}" for kind in counted] or [name]
    return kinds


def _recovery_seconds(availability: Mapping[str, Any]) -> float | None:
    seconds = [
        _seconds(window["heal-to-recovered-seconds"]) for window in availability.get("windows", ())
    ]
    return max((value for value in seconds if value is not None), default=None)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
