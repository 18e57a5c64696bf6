"""A model: what a thing does when it is used by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.calls import Call

ILLEGAL: Final = object()
"""What a step returns where the model does not allow the op."""


@dataclass(frozen=True)
class Model:
    """An initial state and a pure step: ``step(state, f, operand)`` is the next state, or ILLEGAL.

    Calls of one f with equal operands are alike: it does not matter which of them takes effect.
    """

    initial: Hashable
    step: Callable[[Any, str, Any], Hashable]
    operand: Callable[[Call], Hashable]
    """What a step needs to know of a call."""
    reads: frozenset[str] = frozenset()
    """The f that never change any state."""


def identity(value: Any) -> tuple[str, str]:
    """Return what tells values apart, as histories do: 1, 1.0, True and "1" are four values; lists are values too."""
    return type(value).__name__, repr(value)
