"""The share of a load process: which of the load's clients run in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Share:
    """Every ``processes``-th client of a load, beginning with the one at ``index``.

    Clients are numbered from 0: first the publishers, then the consumers. The number of a client
    decides its node, its values and its process numbers, so these are the same with any number of
    load processes.
    """

    index: int = 0
    processes: int = 1

    def has(self, client: int) -> bool:
        """Return whether the client with this number is in the share."""
        return client % self.processes == self.index


EVERY_CLIENT: Final = Share()
"""The share of a process that runs the whole load."""
