"""Durations of a plan: seconds, or a text such as ``1m30s``; and ranges of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_DURATION: Final = re.compile(
    rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
)
MAX_SECONDS: Final = 366 * 24 * 3600
"""The longest duration of a plan: a year."""

MIN_SECONDS: Final = 0.001

_UNITS_IN_SECONDS: Final = (3600, 60, 1, 0.001)


@dataclass(frozen=True)
class Unit:
    """The unit of a plan key, for the documentation: an annotation without effect on validation."""

    name: str


def parse_duration(text: str) -> float:
    """Return a duration in seconds.

    ``text`` is a number of seconds or a text such as ``20s``, ``1m30s`` or ``500ms``. Raises
    ValueError for anything else.
    """
    try:
        return float(text)
    except ValueError:
        match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError("must be seconds, or a text like 20s, 1m30s or 500ms")
    # Summed in milliseconds, so that floating-point rounding leaves 1s500ms exactly 1.5.
    milliseconds = sum(
        float(part) * unit * 1000
        for part, unit in zip(match.groups(), _UNITS_IN_SECONDS, strict=True)
        if part
    )
    return milliseconds / 1000


def bounds(seconds: float | tuple[float, float]) -> tuple[float, float]:
    """Return the least and the greatest value of a range; a single number is both."""
    return seconds if isinstance(seconds, tuple) else (seconds, seconds)


def one_or_list(value: object) -> str:
    """Return the tag of the form in which a value is written: ``one`` or ``list``."""
    return "list" if isinstance(value, list | tuple) else "one"


ONE_OR_LIST: Final = Discriminator(one_or_list)
"""Chooses between the two forms of a value, so that an error is about the form that was written."""
FORM_TAGS: Final = frozenset({"one", "list"})
"""pydantic puts these tags into the location of an error. They are no plan keys."""


def _parsed(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def ascending(pair: tuple[float, float]) -> tuple[float, float]:
    """Return a pair (least, most); raise ValueError if the first number is the greater one."""
    if pair[0] > pair[1]:
        raise ValueError("must be [least, most]")
    return pair


def _not_too_short(seconds: float) -> float:
    if seconds < MIN_SECONDS:
        raise ValueError(f"must be at least {MIN_SECONDS * 1000:g} ms")
    return seconds


_ASCENDING: Final = AfterValidator(ascending)

Seconds = Annotated[
    float,
    BeforeValidator(_parsed),
    Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False),
    AfterValidator(_not_too_short),
    Unit("seconds"),
]
SecondsOrZero = Annotated[
    float,
    BeforeValidator(_parsed),
    Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False),
    Unit("seconds"),
]
SecondsRange = Annotated[
    Annotated[Seconds, Tag("one")] | Annotated[tuple[Seconds, Seconds], _ASCENDING, Tag("list")],
    ONE_OR_LIST,
]
"""Seconds, or a pair (least, most) from which a value is drawn."""
SecondsRangeOrZero = Annotated[
    Annotated[SecondsOrZero, Tag("one")]
    | Annotated[tuple[SecondsOrZero, SecondsOrZero], _ASCENDING, Tag("list")],
    ONE_OR_LIST,
]
"""Seconds, or a pair (least, most) from which a value is drawn; 0 is allowed."""
