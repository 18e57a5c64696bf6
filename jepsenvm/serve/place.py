"""Where a run is, and the address that leads to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

STORE: Final = "store"
CAMPAIGNS: Final = "campaigns"
"""The first words of addresses."""


@dataclass(frozen=True)
class Place:
    """Where a run is."""

    address: tuple[str, ...]
    """The words of its address, such as ``store``, ``queue``, ``20261125T140311.000000Z``."""
    folder: Path

    @property
    def key(self) -> str:
        """The address as one text."""
        return "/".join(self.address)

    @property
    def campaign(self) -> str:
        """The name of its campaign's folder; empty if it belongs to none."""
        return self.address[1] if self.address[0] == CAMPAIGNS else ""

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.address[-2]

    @property
    def time(self) -> str:
        """The name of its folder, which is the time at which it began."""
        return self.address[-1]
