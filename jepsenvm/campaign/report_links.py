"""Links from the reports of a campaign to the sections of a run's report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from typing import Final
from urllib.parse import quote

from jepsenvm.campaign.summary import Result
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.experiment.store import REPORT

LOSS: Final = "loss"
LOGS: Final = "logs"
AVAILABILITY: Final = "availability"
FAULTS: Final = "faults"
RESULTS: Final = "results"

TITLES: Final = {
    LOSS: "loss attribution",
    LOGS: "broker logs",
    AVAILABILITY: "availability",
    FAULTS: "faults",
    RESULTS: "results",
}
"""What a link to a section is called, by the id of the section."""


@dataclass(frozen=True)
class Link:
    """A link to a section of a run's report."""

    title: str
    address: str


def report_address(result: Result, base: str = "") -> str:
    """Return the relative address of a run's report; empty if the run has no folder.

    ``base`` is the path from the folder of the file with the link to that of the campaign.
    """
    folder = result.record.last.folder if result.record.last else ""
    return quote(normpath(f"{base or '.'}/{folder}/{REPORT}")) if folder else ""


def section_links(result: Result, base: str = "") -> list[Link]:
    """Return links to what the report of a run has about its verdict; none if it is valid."""
    address = report_address(result, base)
    if not address or result.outcome is None:
        return []
    return [Link(TITLES[section], f"{address}#{section}") for section in _sections(result.outcome)]


def _sections(outcome: Outcome) -> Iterator[str]:
    if outcome.verdict is Verdict.VALID:
        return
    if outcome.lost:
        yield LOSS
    for section, checker in ((LOGS, "broker-logs"), (AVAILABILITY, "availability")):
        if checker in outcome.kinds:
            yield section
    yield FAULTS
    yield RESULTS
