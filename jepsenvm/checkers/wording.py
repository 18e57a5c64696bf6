"""Wording that the reasons of results share: counts with a noun, lists of names and times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jepsenvm.history.units import SECOND


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun, such as ``1 message`` or ``2,000 messages``.

    ``plural`` is by default the singular with an s.
    """
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def listed(names: Iterable[str]) -> str:
    """Return names in alphabetical order as a list for people, such as ``n1, n2 and n3``."""
    return in_sequence(sorted(names))


def in_sequence(texts: Sequence[str]) -> str:
    """Return texts in their own order as a list for people, such as ``n1, n2 and n3``."""
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def seconds(time: int) -> str:
    """Return a time in nanoseconds for people, such as ``12.345 s``."""
    return f"{time / SECOND:.3f} s"


def listed_numbers(numbers: Iterable[int], most: int = 5) -> str:
    """Return numbers in ascending order as a list for people, at most ``most`` of them."""
    texts = list(map(str, sorted(numbers)))
    if len(texts) > most:
        texts = [*texts[:most], f"{len(texts) - most:,} more"]
    return in_sequence(texts)
