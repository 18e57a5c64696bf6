"""Sequential models: how an object behaves when one process at a time uses it.

Linearizability is defined relative to such a specification (Herlihy and Wing, "Linearizability: a
correctness condition for concurrent objects", 1990). The objects here are registers: each operation
needs one state, or none in particular, and leaves one. A mutex is a register with its holder.
Knossos has both in ``knossos.model``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

from jepsenvm.checkers.client_calls import Call

ANY_STATE: Final = ("any", "")
"""What an operation needs that is legal in every state."""

UNKNOWN_STATE: Final = ("unknown", "")
"""An initial state that nobody knows yet: every operation is legal in it."""


class Effect(NamedTuple):
    """What a call does to the object: legal in the state ``needs``, it leaves the state ``makes``.

    The search treats calls with equal effects as interchangeable.
    """

    needs: Hashable
    makes: Hashable

    @property
    def overwrites(self) -> bool:
        """Whether it is legal in every state."""
        return self.needs == ANY_STATE

    @property
    def keeps(self) -> bool:
        """Whether it leaves the state that it needs."""
        return self.needs == self.makes

    def legal_in(self, state: Hashable) -> bool:
        """Return whether the call may take effect in this state."""
        return self.needs in (state, ANY_STATE) or state == UNKNOWN_STATE


@dataclass(frozen=True)
class Model:
    """An initial state, and the effect of each call.

    A call without an effect is legal in every state and changes nothing.
    """

    initial: Hashable
    effect: Callable[[Call], Effect | None]
