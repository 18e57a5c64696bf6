"""Sets that share a history: with ``jepsen.independent``, each value is a pair [key value]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.value_key import value_key

Split = Callable[[Any], tuple[str, Any]]
"""Returns the name of a value's set, and the value without its key."""


def split_by_key(added: Iterable[Any], reads: Sequence[Call]) -> Split:
    """Return how the values of a history are split into sets.

    The values have keys if all are pairs and each ok read was invoked with ``[key nil]``. Elements
    that are pairs show nothing: only such a read does. Without keys, there is one set named "".
    """
    has_keys = all(map(_is_pair, added)) and all(
        _is_pair(read.asked) and read.asked[1] is None and _is_pair(read.answered) for read in reads
    )

    def split(value: Any) -> tuple[str, Any]:
        return (value_key(value[0])[1], value[1]) if has_keys else ("", value)

    return split


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2
