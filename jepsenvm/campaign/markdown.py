"""A campaign and the difference between two campaigns as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from jepsenvm.campaign.comparison import Change, Difference
from jepsenvm.campaign.judgement import UNDECIDED, UNEXPECTED, Judgement
from jepsenvm.campaign.planned import describe
from jepsenvm.campaign.report_links import report_address, section_links
from jepsenvm.campaign.summary import Line, Result, Summary
from jepsenvm.campaign.verdict_matrix import verdict_matrix
from jepsenvm.campaign.wording import FIGURES, NOTE, figures, not_begun, share, verdicts
from jepsenvm.errors import printable_line

_MARKUP = re.compile(r"([\\`*_\[\]<>|~#&])")


def escaped(text: object) -> str:
    """Return a text without effect on Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", printable_line(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of texts, which are escaped."""
    lines = [[escaped(cell) for cell in head], ["---"] * len(head)]
    lines += [[escaped(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def report(summary: Summary, base: str = "") -> str:
    """Return the report of a campaign.

    ``base`` is the path from the folder of the report to that of the campaign, for its links.
    """
    return "\n".join(_sections(summary, base))


def _sections(summary: Summary, base: str) -> Iterator[str]:
    yield f"# {escaped(summary.name)}\n"
    yield f"{escaped(summary.headline)}.\n"
    if summary.common:
        common = ", ".join(f"{key} {value}" for key, value in summary.common.items())
        yield f"All runs: {escaped(common)}.\n"
    yield "## Verdicts\n"
    yield _matrix(summary)
    for title, judgements in (
        ("Unexpected outcomes", UNEXPECTED),
        ("Unknown or not run", UNDECIDED),
    ):
        entries = list(_entries(summary, judgements, base))
        if entries:
            yield f"## {title}\n"
            yield "".join(f"- {entry}\n" for entry in entries)
    if sentences := not_begun(summary):
        yield f"{sentences}\n"
    yield "## Figures\n"
    begun = [line for line in summary.lines if any(result.begun for result in line.results)]
    yield table([*summary.keys, *FIGURES], (_row(summary, line) for line in begun))
    yield f"{NOTE}\n"
    if summary.left_out or summary.excluded:
        yield "## Not in the campaign\n"
        if summary.excluded:
            yield f"- {summary.excluded} combinations are excluded.\n"
        yield "".join(
            f"- {escaped(describe(one.settings))}: {escaped(one.reason)}\n"
            for one in summary.left_out
        )


def _matrix(summary: Summary) -> str:
    matrix = verdict_matrix(summary)
    rows = (
        [*row.settings, *("-" if line is None else verdicts(line) for line in row.lines)]
        for row in matrix.rows
    )
    versions = ["verdict" if version == "-" else version for version in matrix.versions]
    return table([*matrix.keys, *versions], rows)


def _row(summary: Summary, line: Line) -> list[str]:
    return [*(line.settings.get(key, "-") for key in summary.keys), *figures(line)]


def _entries(summary: Summary, judgements: Sequence[Judgement], base: str) -> Iterator[str]:
    """Yield one entry for each begun run with one of these judgements, in their order."""
    for judgement in judgements:
        for result in summary.results:
            if result.begun and result.judgement is judgement:
                text = f": {result.text}" if result.text else ""
                verdict = escaped(f": {result.verdict}, expected {result.run.expected}{text}")
                yield f"{_run(result, base)}{verdict}{_links(result, base)}"


def _run(result: Result, base: str) -> str:
    address = report_address(result, base)
    title = escaped(result.run.title)
    return f"[{title}]({address})" if address else title


def _links(result: Result, base: str) -> str:
    links = [f"[{link.title}]({link.address})" for link in section_links(result, base)]
    return f" ({', '.join(links)})" if links else ""


def difference_report(found: Sequence[Difference], before: str, after: str) -> str:
    """Return the differences between two campaigns; ``before`` and ``after`` are their names."""
    keys = list(dict.fromkeys(key for one in found for key in one.settings))
    keys = [key for key in keys if any(one.settings.get(key, "-") != "-" for one in found)]
    changed = [one for one in found if one.change is not Change.SAME]
    same = len(found) - len(changed)
    head = [*keys, "change", f"{before}: verdicts", "invalid", f"{after}: verdicts", "invalid"]
    rows = (
        [*(one.settings.get(key, "-") for key in keys), one.change, *_sides(one)]
        for change in Change
        for one in changed
        if one.change is change
    )
    text = f"{same} of {len(found)} combinations are the same.\n"
    return f"{text}\n{table(head, rows)}" if changed else text


def _sides(one: Difference) -> Iterator[str]:
    for line in (one.before, one.after):
        yield "-" if line is None else verdicts(line)
        yield "-" if line is None else share(line.failures)
