"""The report of one run: a single HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import printable
from jepsenvm.history.table import History
from jepsenvm.report.plot import latencies, losses, rates, violation
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.terminal import verdict_lines

TEMPLATE: Final = "page.html.j2"


def page(
    title: str, plan: str, results: Results, history: History, presentation: Presentation
) -> str:
    """Return the HTML page of one run.

    ``plan`` is the text of the plan file.
    """
    figures: Mapping[str, Mapping[str, Any]] = {
        name: result.figures for name, result in results.checkers.items()
    }
    plots = _plots(results, history, presentation)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    html = environment.from_string(template).render(
        title=title,
        verdict=str(results.verdict),
        lines=list(verdict_lines(results, presentation)),
        plots=[Markup(plot) for plot in plots],  # noqa: S704 - SVG by matplotlib, which escapes text
        windows=figures.get("faults", {}).get("windows", []),
        availability=figures.get("availability"),
        ops=figures.get("stats", {}).get("by-f", {}),
        plan=plan,
        results=json.dumps(results.as_data(), indent=1),
    )
    return printable(html)


def _plots(results: Results, history: History, presentation: Presentation) -> list[str]:
    """Return the plots of a run as SVG, without those that would be empty."""
    plots = [violation(result.figures.get("violation")) for result in results.checkers.values()]
    for f, done in presentation.plots.items():
        if history.count("ok", f):
            plots += [
                rates(history, f, f"{done} in each second"),
                latencies(history, f, f"until it was {done}"),
            ]
    plots.append(losses(history))
    return [plot for plot in plots if plot]
