"""The expansion of a campaign file to its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Final

from jepsenvm.campaign.cells import Cell, Refused, cell_of, runs_of
from jepsenvm.campaign.matching import matches
from jepsenvm.campaign.planned import Expansion, LeftOut
from jepsenvm.campaign.rules import Rules
from jepsenvm.campaign.spec import (
    NO_PLAN_KEYS,
    VERSION,
    CampaignFile,
    Combination,
    version_text,
)
from jepsenvm.errors import UsageError, shorten, shown

MOST_RUNS: Final = 10_000
"""Runs of a campaign, at most. They take at least a week."""


def expand(campaign: CampaignFile, source: str, rules: Rules) -> Expansion:
    """Return the runs of a campaign, and the combinations that cannot run.

    ``source`` is the file's name for error messages. Raises UsageError, with the number of
    combinations, if there are none or too many, or if the file contradicts itself.
    """
    _require_possible_size(campaign, source)
    _require_axes(campaign, source)
    _require_exclusions(campaign, source)
    combinations = list(_combinations(campaign.matrix))
    kept = [one for one in combinations if not _excluded(campaign, one)]
    cells: dict[str, Cell] = {}
    left_out: list[LeftOut] = []
    possible: list[Combination] = []
    for combination in kept:
        cell = cell_of(campaign, combination, rules)
        if isinstance(cell, Refused):
            left_out.append(LeftOut(cell.settings, cell.reason))
            continue
        possible.append(combination)
        if cell.key in cells:
            left_out.append(LeftOut(_texts(combination), f"{cell.dropped}: it would run twice"))
        cells.setdefault(cell.key, cell)
    _require_every_value(campaign, source, (kept, possible), left_out)
    _include(campaign, source, rules, cells)
    if not cells:
        raise UsageError(
            f"{source}: the matrix is empty: 0 of {len(combinations)} combinations are left",
            remedy="exclude less",
        )
    runs = tuple(run for cell in cells.values() for run in runs_of(campaign, cell))
    return Expansion(runs, tuple(left_out), len(combinations) - len(kept))


def _combinations(matrix: Mapping[str, tuple[object, ...]]) -> Iterator[Combination]:
    if matrix:
        for values in product(*matrix.values()):
            yield dict(zip(matrix, values, strict=True))


def _excluded(campaign: CampaignFile, combination: Combination) -> bool:
    return any(matches(condition, combination) for condition in campaign.exclude)


def _require_possible_size(campaign: CampaignFile, source: str) -> None:
    """Count without making the combinations: they may be more than the memory holds."""
    of_matrix = prod(map(len, campaign.matrix.values())) if campaign.matrix else 0
    count = (of_matrix + len(campaign.include)) * campaign.repeats
    if count == 0:
        empty = [key for key, values in campaign.matrix.items() if not values]
        raise UsageError(
            f"{source}: the matrix is empty: 0 runs",
            remedy=f"give values of {shorten(empty[0])}" if empty else "give matrix or include",
        )
    if count > MOST_RUNS:
        raise UsageError(
            f"{source}: the matrix has {count:,} runs, and a campaign has at most {MOST_RUNS:,}",
            remedy="give fewer values or repeats",
        )


def _require_axes(campaign: CampaignFile, source: str) -> None:
    """Raise UsageError if an axis cannot be meant."""
    for key, values in campaign.matrix.items():
        if key in campaign.plan:
            raise UsageError(
                f"{source}: {shorten(key)} is in matrix and in plan", remedy="give it once"
            )
        for index, value in enumerate(values):
            if value in values[:index]:
                raise UsageError(f"{source}: matrix: {shorten(key)}: {shown(value)} is given twice")
    misplaced = sorted({*NO_PLAN_KEYS, "name"} & campaign.plan.keys())
    if misplaced:
        raise UsageError(
            f"{source}: plan: {misplaced[0]} is no key of the runs' plan",
            remedy="give version, scenario and nodes in matrix or include; runs get their names",
        )
    for version in campaign.matrix.get(VERSION, ()):
        try:
            version_text(version)
        except ValueError as problem:
            raise UsageError(
                f"{source}: matrix: version: {problem} (found {shown(version)})",
                remedy="put it in quotes",
            ) from None


def _require_exclusions(campaign: CampaignFile, source: str) -> None:
    """Raise UsageError if an exclusion cannot be meant."""
    for number, condition in enumerate(campaign.exclude, start=1):
        unknown = sorted(condition.keys() - campaign.matrix.keys())
        if not condition or unknown:
            what = f"{shorten(unknown[0])} is not in matrix" if unknown else "it has no keys"
            raise UsageError(f"{source}: exclude item {number}: {what}")
        if not any(matches(condition, one) for one in _combinations(campaign.matrix)):
            raise UsageError(
                f"{source}: exclude item {number} matches no combination",
                remedy="correct or remove it",
            )


def _require_every_value(
    campaign: CampaignFile,
    source: str,
    combinations: tuple[list[Combination], list[Combination]],
    left_out: list[LeftOut],
) -> None:
    """Raise UsageError if each combination with some value was refused: it is probably misspelled.

    ``combinations`` are those that were not excluded, and those of them that can run.
    """
    kept, possible = combinations
    for key, values in campaign.matrix.items():
        for value in values:
            count = sum(one[key] == value for one in kept)
            if count and not any(one[key] == value for one in possible):
                text = str(value)
                reasons = [one.reason for one in left_out if one.settings.get(key) == text]
                raise UsageError(
                    f"{source}: matrix: 0 of {count} combinations with {shorten(key)} "
                    f"{shown(value)} can run: {shorten(reasons[0] if reasons else '', 300)}",
                    remedy="correct or remove it",
                )


def _include(campaign: CampaignFile, source: str, rules: Rules, cells: dict[str, Cell]) -> None:
    for number, combination in enumerate(campaign.include, start=1):
        where = f"{source}: include item {number}"
        try:
            if VERSION in combination:
                version_text(combination[VERSION])
        except ValueError as problem:
            raise UsageError(
                f"{where}: version: {problem} (found {shown(combination[VERSION])})",
                remedy="put it in quotes",
            ) from None
        cell = cell_of(campaign, combination, rules)
        if isinstance(cell, Refused):
            raise UsageError(f"{where}: {cell.reason}", remedy="correct or remove it")
        if cell.dropped:
            raise UsageError(f"{where}: {cell.dropped}", remedy="remove that key")
        if cell.key in cells:
            raise UsageError(f"{where} is already in the campaign", remedy="remove it")
        cells[cell.key] = cell


def _texts(combination: Combination) -> dict[str, str]:
    return {key: str(value) for key, value in combination.items()}
