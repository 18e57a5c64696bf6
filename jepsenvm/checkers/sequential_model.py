"""Sequential models: how an object behaves when one process at a time uses it.

Linearizability is defined relative to such a specification (Herlihy and Wing, "Linearizability: a
correctness condition for concurrent objects", 1990). Knossos has the same in ``knossos.model``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call

ILLEGAL: Final = object()
"""A step returns this if the model does not allow the operation in that state."""


@dataclass(frozen=True)
class Model:
    """An initial state and a pure function ``step(state, f, operand)``.

    The step returns the next state, or ILLEGAL. The search treats calls of the same f with equal
    operands as interchangeable.
    """

    initial: Hashable
    step: Callable[[Any, str, Any], Hashable]
    operand: Callable[[Call], Hashable]
    """Returns what a step needs from a call."""
    reads: frozenset[str] = frozenset()
    """The names of the operations that never change the state."""
