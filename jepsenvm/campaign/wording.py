"""The figures of a campaign as texts of a table."""

from __future__ import annotations

from jepsenvm.campaign.summary import Line, Share, Summary
from jepsenvm.checkers.wording import counted

FIGURES = (
    "runs",
    "verdicts",
    "expected",
    "acknowledged",
    "lost",
    "lost per message, 95 %",
    "invalid runs, 95 %",
    "recovery",
)
"""The columns of a line after its settings."""

NOTE = (
    "Rates count runs that are valid or invalid; an unknown run proves nothing about loss. The "
    "95 % intervals are Wilson's. Messages of one run are not independent of each other: one "
    "fault loses many of them. The interval per message is therefore narrower than the truth. Use "
    "the interval of invalid runs to compare settings."
)


def figures(line: Line) -> tuple[str, ...]:
    """Return the columns of a line after its settings."""
    messages = line.messages
    return (
        str(len(line.results)),
        verdicts(line),
        line.expected,
        f"{messages.total:,}" if messages else "-",
        f"{messages.count:,}" if messages else "-",
        share(messages),
        share(line.failures),
        _recovery(line),
    )


def not_begun(summary: Summary) -> str:
    """Return how many runs have no attempt, in words; an empty text if each has one."""
    if not summary.not_begun:
        return ""
    return f"{counted(summary.not_begun, 'run')} did not begin. The verdicts show them as not run."


def verdicts(line: Line) -> str:
    """Return how often each verdict occurred."""
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(line.verdicts.items()))


def share(proportion: Share | None) -> str:
    """Return a proportion with its interval, in per cent."""
    if proportion is None or proportion.value is None or proportion.interval is None:
        return "-"
    low, high = proportion.interval
    return f"{percent(proportion.value)} ({percent(low)} to {percent(high)})"


def percent(value: float) -> str:
    """Return a proportion in per cent with three significant digits; 0 and 1 only if exact."""
    if 0 < value < 5e-7:
        return "< 0.00005 %"
    text = f"{value * 100:.3g}"
    if value < 1 and float(text) >= 100:
        text = "> 99.9"
    return f"{float(text):g} %" if text[0].isdigit() else f"{text} %"


def _recovery(line: Line) -> str:
    if line.recovery is None:
        return "-"
    shortest, longest = line.recovery
    text = f"{longest:.0f} s" if shortest == longest else f"{shortest:.0f} to {longest:.0f} s"
    return f"{text}, {line.restarts} with a restart" if line.restarts else text
