"""Keys that differ for different values of a history."""

from __future__ import annotations

from typing import Any


def value_key(value: Any) -> tuple[str, str]:
    """Return a hashable key for a value: its type and its ``repr``.

    Values of different types are different values in a history: 1, 1.0, True and "1" are four
    values, although the first three are equal in Python. Lists cannot be hashed, but are values.
    """
    return type(value).__name__, repr(value)
