"""The matrix of verdicts: the combinations of settings by the versions of RabbitMQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jepsenvm.campaign.spec import VERSION
from jepsenvm.campaign.summary import Line, Summary


@dataclass(frozen=True)
class MatrixRow:
    """One combination of settings on every version."""

    settings: Sequence[str]
    lines: Sequence[Line | None]
    """By version; None where the combination is not in the campaign."""


@dataclass(frozen=True)
class VerdictMatrix:
    """The verdicts by settings and version."""

    keys: Sequence[str]
    versions: Sequence[str]
    rows: Sequence[MatrixRow]


def verdict_matrix(summary: Summary) -> VerdictMatrix:
    """Return the verdicts of a campaign; a campaign without versions has one column."""
    keys = [key for key in summary.keys if key != VERSION]
    versions = sorted({_version(line.settings) for line in summary.lines}, key=_by_number)
    rows: dict[tuple[str, ...], dict[str, Line]] = {}
    for line in summary.lines:
        settings = tuple(line.settings.get(key, "-") for key in keys)
        rows.setdefault(settings, {})[_version(line.settings)] = line
    return VerdictMatrix(
        keys,
        versions,
        [
            MatrixRow(settings, [lines.get(version) for version in versions])
            for settings, lines in rows.items()
        ],
    )


def _version(settings: Mapping[str, str]) -> str:
    return settings.get(VERSION, "-")


def _by_number(version: str) -> list[tuple[bool, int, str]]:
    parts = version.replace("-", ".").split(".")
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
