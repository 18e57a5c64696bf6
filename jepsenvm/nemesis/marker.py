"""Markers: files on a node that record that a fault of the node's own state must be undone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from jepsenvm.machines.action import STATE_DIR, Action, shell


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A marker file and the script that undoes its fault.

    The node sets the marker before the fault. Healing works from any state: it undoes the fault
    exactly if the marker exists.
    """

    name: str
    """The name of the file below STATE_DIR."""
    undo: str
    """The shell script that undoes the fault. It may read the marker's content from ``$marker``."""
    report: str
    """The line that a sweep prints after it has undone the fault."""

    @property
    def path(self) -> str:
        """The path of the file."""
        return f"{STATE_DIR}/{self.name}"

    def set(self, content: str = "") -> str:
        """Return the shell script that writes the marker."""
        return f"mkdir -p {STATE_DIR}\nprintf %s {shlex.quote(content)} > {self.path}"

    def heal(self) -> Sequence[Action]:
        """Return the actions that undo the fault."""
        return [shell(self._if_set(""))]

    @property
    def sweep(self) -> str:
        """The shell script that undoes the fault from any state and reports it."""
        return self._if_set(f'\necho "{self.report}"')

    def _if_set(self, after: str) -> str:
        return f"marker={self.path}\nif [ -e $marker ]; then\n{self.undo}\nrm -f $marker{after}\nfi"
