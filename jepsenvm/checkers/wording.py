"""Wording that the reasons of results share: counts with a noun, lists of names, times, values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from jepsenvm.history.units import SECOND

VALUE_CHARACTERS: Final = 60
"""A reason shows at most this many characters of a value."""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun, such as ``1 message`` or ``2,000 messages``.

    ``plural`` is by default the singular with an s.
    """
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def listed(names: Iterable[str]) -> str:
    """Return names in order as a list for people, such as ``n1, n2 and n3``."""
    ordered = sorted(names)
    if len(ordered) < 2:
        return "".join(ordered)
    return f"{', '.join(ordered[:-1])} and {ordered[-1]}"


def seconds(time: int) -> str:
    """Return a time in nanoseconds for people, such as ``12.345 s``."""
    return f"{time / SECOND:.3f} s"


def shortened(value: Any) -> str:
    """Return the ``repr`` of a value, cut after VALUE_CHARACTERS."""
    text = repr(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."
