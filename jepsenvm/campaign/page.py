"""The report of a campaign: a single HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import jinja2

from jepsenvm.campaign.judgement import UNDECIDED, UNEXPECTED
from jepsenvm.campaign.planned import describe
from jepsenvm.campaign.report_links import report_address, section_links
from jepsenvm.campaign.summary import Summary
from jepsenvm.campaign.verdict_matrix import verdict_matrix
from jepsenvm.campaign.wording import FIGURES, NOTE, figures, not_begun, verdicts
from jepsenvm.errors import printable

TEMPLATE: Final = "page.html.j2"


def page(summary: Summary) -> str:
    """Return the HTML page of a campaign. It links to the runs by paths relative to its folder."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    results = list(summary.results)
    html = environment.from_string(template).render(
        summary=summary,
        status={0: "valid", 1: "invalid", 2: "unknown"}[summary.exit_status],
        matrix=verdict_matrix(summary),
        numbers={id(line): number for number, line in enumerate(summary.lines, start=1)},
        id=id,
        figure_names=FIGURES,
        figures=figures,
        verdicts=verdicts,
        describe=describe,
        link=report_address,
        sections=section_links,
        note=NOTE,
        not_begun=not_begun(summary),
        unexpected=[one for one in results if one.judgement in UNEXPECTED],
        undecided=[one for one in results if one.begun and one.judgement in UNDECIDED],
    )
    return printable(html)
