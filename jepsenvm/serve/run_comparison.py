"""The settings and figures of two runs side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.errors import shorten
from jepsenvm.serve.run_facts import RunFacts

MOST_CHARACTERS: Final = 200
ABSENT: Final = "-"


@dataclass(frozen=True)
class Compared:
    """One setting or figure of two runs, as texts."""

    name: str
    before: str
    after: str
    change: str = ""
    """How much a number grew; empty for anything else."""

    @property
    def differs(self) -> bool:
        """Whether the runs differ in it."""
        return self.before != self.after


def compare_settings(before: RunFacts, after: RunFacts) -> Sequence[Compared]:
    """Return what was tested in each run: RabbitMQ's versions, and every key of the plans."""
    versions = Compared("RabbitMQ", _joined(before.versions), _joined(after.versions))
    return [versions, *_compared(before.plan, after.plan)]


def compare_figures(before: RunFacts, after: RunFacts) -> Sequence[Compared]:
    """Return what was found in each run: every figure of its checkers that is one value."""
    return _compared(_figures(before.results), _figures(after.results))


def _compared(before: Mapping[str, object], after: Mapping[str, object]) -> list[Compared]:
    return [
        Compared(
            shorten(name),
            _text(before[name]) if name in before else ABSENT,
            _text(after[name]) if name in after else ABSENT,
            _change(before.get(name), after.get(name)),
        )
        for name in dict.fromkeys([*before, *after])
    ]


def _figures(results: Mapping[str, Any]) -> dict[str, object]:
    checkers = results.get("checkers")
    return {
        f"{checker}: {name}": value
        for checker, figures in (checkers.items() if isinstance(checkers, dict) else ())
        for name, value in (figures.items() if isinstance(figures, dict) else ())
        if isinstance(value, str | int | float | None)
    }


def _text(value: object) -> str:
    if isinstance(value, str):
        return shorten(value, MOST_CHARACTERS)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return shorten(json.dumps(value, default=str), MOST_CHARACTERS)


def _change(before: object, after: object) -> str:
    if not (_is_number(before) and _is_number(after)) or before == after:
        return ""
    try:
        grown = after - before  # type: ignore[operator]  # both are numbers
    except OverflowError:  # an integer that no float can hold
        return ""
    return f"{grown:+,}" if isinstance(grown, int) else f"{grown:+,.3g}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _joined(versions: Sequence[str]) -> str:
    return " and ".join(versions) or ABSENT
