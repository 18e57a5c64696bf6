"""Results as lines of text for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import printable_line, shorten
from jepsenvm.report.presentation import Presentation

SHOWN_VALUES: Final = 10
ANOMALIES: Final = ("lost", "corrupted", "unexpected", "out-of-order", "divergent", "duplicated")
"""Anomalies for which the first values are shown, in this order."""


def verdict_lines(results: Results, presentation: Presentation) -> Iterator[str]:
    """Yield the verdict with the headline, the reasons, and the first values of each anomaly.

    Values and names of a history may hold anything, so control characters are escaped.
    """
    return map(printable_line, _lines(results, presentation))


def _lines(results: Results, presentation: Presentation) -> Iterator[str]:
    main = results.checkers.get(presentation.main_checker)
    figures = main.figures if main else {}
    # A checker that crashed has no figures.
    headline = presentation.headline(figures) if figures else ""
    verdict = results.verdict.upper()
    yield f"{verdict}: {headline}" if headline else verdict
    for reason in results.reasons:
        yield f"  {reason}"
    for anomaly in ANOMALIES:
        values = figures.get(anomaly)
        if values:
            shown = values[:SHOWN_VALUES]
            more = figures[f"{anomaly}-count"] - len(shown)
            text = ", ".join(shorten(value) for value in shown)
            yield f"  first {anomaly}: {text}" + (f" and {more:,} more" if more else "")
