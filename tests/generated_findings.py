"""The findings of the stored campaigns in docs/findings, for docs/findings.md.

Each campaign has its file ``NAME.yml``, and a folder ``NAME`` with its planned runs and their
records. The histories are too large to be kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from jepsenvm.campaign import markdown
from jepsenvm.campaign.folder import FILE, Folder
from jepsenvm.campaign.judgement import UNDECIDED, UNEXPECTED
from jepsenvm.campaign.merge import merged
from jepsenvm.campaign.spec import LAB_SUITES, SCENARIO, VERSION
from jepsenvm.campaign.summary import Line, Result, Share, Summary
from jepsenvm.campaign.wording import percent, share
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shorten
from jepsenvm.rabbitmq.versions import release
from jepsenvm.scenarios import library

FINDINGS: Final = Path(__file__).resolve().parents[1] / "docs" / "findings"

ALL_SCENARIOS: Final = "scenarios"
"""The campaign of the scenarios that no other campaign has."""

OF_SCENARIOS: Final = ("production", ALL_SCENARIOS)
"""The campaigns that have each scenario once on each version."""

REASON: Final = 160
"""Characters of a reason that are shown."""


def findings() -> str:
    """Return the reports of the stored campaigns, below the headings of docs/findings.md.

    That of all scenarios has its own table: ``scenario_results``.
    """
    folders = sorted(file.parent for file in FINDINGS.glob(f"*/{FILE}"))
    return "\n".join(
        _demoted(markdown.report(merged([Folder(folder)])))
        for folder in folders
        if folder.name != ALL_SCENARIOS
    )


def scenario_results() -> str:
    """Return the outcome of each scenario by version."""
    results = _results_of_scenarios()
    head = ["scenario", *LAB_SUITES]
    rows = (
        [one.name, *(_cell(results.get((one.name, version), [])) for version in LAB_SUITES)]
        for one in library.scenarios()
    )
    return markdown.table(head, rows)


def unmet_expectations() -> str:
    """Return the runs of scenarios whose outcome was not expected, or is unknown, and why."""
    results = [one for each in _results_of_scenarios().values() for one in each if one.begun]
    lines = [
        f"- **{markdown.escaped(result.run.settings[SCENARIO])} on "
        f"{markdown.escaped(result.run.settings[VERSION])}**: {result.verdict}, expected "
        f"{result.run.expected}{markdown.escaped(_because(result))}\n"
        for judgement in (*UNEXPECTED, *UNDECIDED)
        for result in results
        if result.judgement is judgement
    ]
    return "".join(lines) or "Each scenario that ran had the expected outcome.\n"


def _results_of_scenarios() -> Mapping[tuple[str, str], list[Result]]:
    """Return the results of the campaigns of scenarios, by scenario and version."""
    found: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for name in OF_SCENARIOS:
        for result in merged([Folder(FINDINGS / name)]).results:
            settings = result.run.settings
            found[settings[SCENARIO], settings[VERSION]].append(result)
    return found


def _cell(results: Sequence[Result]) -> str:
    return "; ".join(map(_outcome, results)) or "-"


def _outcome(result: Result) -> str:
    outcome = result.outcome
    if outcome is None or outcome.verdict is Verdict.UNKNOWN or outcome.lost is None:
        return result.verdict
    return f"{result.verdict}: {outcome.lost:,} of {outcome.acknowledged or 0:,} lost"


def _because(result: Result) -> str:
    return f": {shorten(result.text, REASON)}" if result.text else ""


def answers() -> str:
    """Return one sentence for each combination of the campaign ``post-2016``."""
    summary = merged([Folder(FINDINGS / "post-2016")])
    return "".join(f"- {sentence}\n" for sentence in _answers(summary))


def _answers(summary: Summary) -> Iterator[str]:
    for line in sorted(summary.lines, key=_order):
        handling = line.settings["partition-handling"]
        with_handling = "" if handling == "-" else f" with {handling}"
        queues = f"{line.settings['queue-type']} queues{with_handling} on {line.settings[VERSION]}"
        yield f"**{queues}** {_sentence(line)}"


def _order(line: Line) -> tuple[str, str, tuple[int, ...]]:
    settings = line.settings
    return settings["queue-type"], settings["partition-handling"], release(settings[VERSION])


def _sentence(line: Line) -> str:
    decided, planned = line.decided, len(line.results)
    unproven = planned - len(decided)
    more = f" {counted(unproven, 'further run')} proved nothing or did not run." if unproven else ""
    if not decided:
        return f"were not tested: none of {counted(planned, 'run')} proved anything."
    lossy = [one for one in decided if one.lost]
    lost = sum(one.lost or 0 for one in decided)
    acknowledged = sum(one.acknowledged or 0 for one in decided)
    other = sum(one.verdict is Verdict.INVALID and not one.lost for one in decided)
    others = f" {counted(other, 'run')} broke another promise." if other else ""
    of_runs = f"in {counted(len(decided), 'run')}, of {acknowledged:,} confirmed messages"
    if not lossy:
        bound = Share(0, len(decided)).interval
        most = (
            f" The 95 % interval of runs with a loss ends at {percent(bound[1])}." if bound else ""
        )
        return f"lost nothing {of_runs}.{most}{others}{more}"
    ratio = share(Share(len(lossy), len(decided)))
    return (
        f"lost confirmed messages in {len(lossy)} of {counted(len(decided), 'run')} ({ratio}): "
        f"{lost:,} of {acknowledged:,}.{others}{more}"
    )


def _demoted(text: str) -> str:
    """Return a Markdown page whose headings are one level lower."""
    return "".join(
        f"#{line}" if line.startswith("#") else line for line in text.splitlines(keepends=True)
    )
