"""Durations as options: seconds, or a text such as `5h`."""

from __future__ import annotations

import math

import click

from jepsenvm.plan.durations import parse_duration


def duration(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option, as a callback of click; None if it is not given."""
    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None
    if not 0 < seconds < math.inf:
        raise click.BadParameter("must be more than 0")
    return seconds
