"""What the faults of a node's own state share: a marker that says, from any state, that something is to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import Hosts


@dataclass(frozen=True)
class Undo:
    """How a node undoes a fault of its own state, if it finds the marker of it."""

    marker: str
    """A file's name below STATE_DIR: it is set ahead of the fault, and is all that healing must know."""
    script: str
    """Undoes the fault; the marker, as ``$marker``, is removed after it."""
    told: str
    """What is printed when a sweep undid it."""

    @property
    def path(self) -> str:
        """Where the marker is."""
        return f"{STATE_DIR}/{self.marker}"

    def mark(self, content: str = "") -> str:
        """Return the script that sets the marker."""
        return f"mkdir -p {STATE_DIR}\nprintf %s '{content}' > {self.path}"

    def heal(self, fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
        """Undo the fault on its nodes, where it is to be undone."""
        return [shell(self._guarded(""))] if node in fault.nodes else []

    @property
    def sweep(self) -> str:
        """The script that undoes it on a node, from any state, and tells so."""
        return self._guarded(f'\necho "{self.told}"')

    def _guarded(self, after: str) -> str:
        return (
            f"marker={self.path}\nif [ -e $marker ]; then\n{self.script}\nrm -f $marker{after}\nfi"
        )
