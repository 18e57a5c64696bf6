"""Keys that are equal for equal values of a history, and differ for different values."""

from __future__ import annotations

from typing import Any

from jepsenvm.history import edn


def value_key(value: Any) -> tuple[str, str]:
    """Return a hashable key for a value: its kind and its text in EDN.

    Values are equal as in Clojure. A vector equals a list, and sets and maps have no order,
    whatever Python type holds them. 1, 1.0, true and "1" are four values, although the first three
    are equal in Python.
    """
    return "edn", edn.written(value)
