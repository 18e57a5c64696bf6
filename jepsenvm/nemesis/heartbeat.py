"""The heartbeat: every node heals itself when its controller has been silent for too long."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import heal_all, heal_timer

logger = logging.getLogger(__name__)

GRACE_S: Final = 30.0
"""Seconds that the silence may last beyond the longest planned fault."""


RENEW_S: Final = 10.0
"""Seconds that a renewal waits for a node. The next renewals of the other nodes wait for it too."""


@dataclass
class Heartbeat:
    """Arms and renews the healing timers of the nodes."""

    fleet: Fleet
    longest_fault: float
    """Seconds that the longest planned fault lasts."""

    @property
    def silence(self) -> float:
        """Seconds of the controller's silence after which a node heals itself."""
        return self.longest_fault + GRACE_S * self.fleet.patience

    def arm(self) -> None:
        """Arm the timer of every node; raise the error of a node where that fails."""
        self.fleet.each(self._arm)

    def renew(self, powered_off: Collection[str]) -> None:
        """Renew the timers of all nodes that have power.

        A node that cannot be reached heals itself when its timer expires. The evidence about the
        fault then shows that it did not last.
        """
        nodes = [node for node in self.fleet.nodes if node not in powered_off]
        for node, error in self.fleet.each_or_error(self._arm, nodes, RENEW_S).items():
            if isinstance(error, Exception):
                logger.info(f"{node}: its healing timer could not be renewed: {error}")

    def _arm(self, node: str) -> None:
        self.fleet.run(node, heal_timer.arm(self.silence, heal_all.heal()))
