"""Which runs are shown and in which order, as the address of the list says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from packaging.version import InvalidVersion, Version

from jepsenvm.errors import shorten
from jepsenvm.serve.run_facts import RunFacts

PAGE_ROWS: Final = 100
"""The number of runs on a page of the list."""


@dataclass(frozen=True)
class Query:
    """Filters, order and page of the list. An empty filter lets every run pass."""

    text: str = ""
    """Words that must all be in the texts of a run."""
    verdict: str = ""
    workload: str = ""
    nemesis: str = ""
    version: str = ""
    campaign: str = ""
    since: str = ""
    until: str = ""
    """The first and the last day, in UTC, as ISO 8601."""
    sort: str = "began"
    order: str = "descending"
    page: str = "1"

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Query:
        """Return the query of an address; parameters with other names are ignored."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in parameters.items() if name in names})

    def address(self, **changes: str) -> str:
        """Return the query part of an address, with some parameters changed."""
        changed, default = replace(self, **changes), Query()
        return urlencode(
            {
                field.name: value
                for field in fields(self)
                if (value := getattr(changed, field.name)) != getattr(default, field.name)
            }
        )

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.order != "ascending"


@dataclass(frozen=True)
class Row:
    """A run in the list."""

    run: RunFacts
    state: str
    """Its verdict, or what is known about a run that has none."""


@dataclass(frozen=True)
class Selection:
    """The runs of one page of the list."""

    rows: Sequence[Row]
    found: int
    """The number of runs that pass the filters."""
    page: int
    pages: int
    problems: Sequence[str]
    """What of the query was not understood, and is ignored."""


def select(rows: Sequence[Row], query: Query) -> Selection:
    """Return the runs of a query."""
    problems: list[str] = []
    since, until = _day("since", query, problems), _day("until", query, problems)
    found = [
        row
        for row in rows
        if _passes(row, query)
        and (since is None or row.run.began.date() >= since)
        and (until is None or row.run.began.date() <= until)
    ]
    if query.sort not in SORTS:
        problems.append(f"There is no column {shorten(query.sort)} to sort by.")
    found = _sorted(found, SORTS.get(query.sort, SORTS["began"]), descending=query.descending)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(1, int(query.page)), pages) if _is_number(query.page) else 1
    on_page = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    return Selection(on_page, len(found), page, pages, problems)


def choices(rows: Sequence[Row]) -> Mapping[str, Sequence[str]]:
    """Return the values that the runs have, by filter."""
    values: dict[str, set[str]] = {
        "verdict": {row.state for row in rows},
        "workload": {row.run.workload for row in rows},
        "nemesis": {name for row in rows for name in row.run.nemeses},
        "version": {version for row in rows for version in row.run.versions},
        "campaign": {row.run.place.campaign for row in rows},
    }
    return {name: sorted(found - {""}) for name, found in values.items()}


def _passes(row: Row, query: Query) -> bool:
    run = row.run
    exact = (
        (query.verdict, (row.state,)),
        (query.workload, (run.workload,)),
        (query.nemesis, run.nemeses),
        (query.version, run.versions),
        (query.campaign, (run.place.campaign,)),
    )
    if not all(wanted in found for wanted, found in exact if wanted):
        return False
    text = _text(row).casefold()
    return all(word in text for word in query.text.casefold().split())


def _text(row: Row) -> str:
    run = row.run
    reasons = run.outcome.reasons if run.outcome else ()
    settings = [f"{key} {value}" for key, value in run.plan.items()]
    return "\n".join([run.place.key, row.state, *run.versions, *settings, *reasons])


def _day(name: str, query: Query, problems: list[str]) -> date | None:
    text = getattr(query, name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"{shorten(text)} is no date such as 2026-11-25.")
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _version_key(row: Row) -> tuple[Version, ...] | None:
    try:
        return tuple(map(Version, row.run.versions)) or None
    except InvalidVersion:
        return None


SORTS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "began": lambda row: row.run.began,
    "name": lambda row: row.run.place.name.casefold(),
    "verdict": lambda row: row.state,
    "workload": lambda row: row.run.workload,
    "nemesis": lambda row: row.run.nemeses,
    "version": _version_key,
    "acknowledged": lambda row: row.run.acknowledged,
    "lost": lambda row: row.run.lost,
}
"""What each column is sorted by. None is that of a run without the value."""


def _sorted(rows: Sequence[Row], key: Callable[[Row], Any], *, descending: bool) -> list[Row]:
    """Return sorted rows; those without a value come last, and equal ones the newest first."""
    newest_first = sorted(rows, key=SORTS["began"], reverse=True)
    known = [row for row in newest_first if key(row) is not None]
    unknown = [row for row in newest_first if key(row) is None]
    return [*sorted(known, key=key, reverse=descending), *unknown]
