"""The interface of machine providers: they find, start and switch machines of one kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jepsenvm.machines.guarded_power import Power
from jepsenvm.machines.inventory import Inventory


@dataclass(frozen=True)
class Check:
    """A check of ``jepsenvm doctor``."""

    subject: str
    run: Callable[[], object]
    """Raises JepsenvmError, with the remedy, if something is missing."""
    required: bool = False
    """Whether a failure makes the machines unsuitable. Otherwise a feature is missing."""


class MachineProvider(ABC):
    """Machines of one kind.

    A new provider is one package with a subclass, and one line in ``machines.providers``.
    """

    name: ClassVar[str]
    """The value of the inventory variable ``jepsenvm_machines``."""

    title: ClassVar[str]
    """What the log calls these machines."""

    start_command: ClassVar[str | None] = None
    """The command that creates machines, for error messages. None if there is no such command."""

    def find(self) -> Path | None:
        """Return the inventory of the machines that exist here, or None without any.

        Machines that exist may be off. Raises UsageError if machines exist but have no inventory.
        """
        return None

    def exists(self) -> bool:
        """Return whether there are machines here, with or without an inventory."""
        return self.find() is not None

    def bring_up(self) -> Path | None:
        """Create the machines, or start the ones that are off; return their inventory.

        Return None if this provider does not start machines on its own.
        """
        return None

    @abstractmethod
    def require_running(self, inventory: Inventory) -> None:
        """Raise UsageError, with the command that starts them, if machines are known to be off."""

    def power(self, inventory: Inventory) -> Power | None:
        """Return the power switch of an inventory's hosts, or None if hosts have none."""
        return self.power_at(self.folder(inventory))

    def power_at(self, folder: str) -> Power | None:  # noqa: ARG002 - no switch by default
        """Return the power switch of the hosts in a folder, or None if hosts have none."""
        return None

    def folder(self, inventory: Inventory) -> str:
        """Return the folder from which ``power_at`` can control an inventory's hosts."""
        return str(inventory.path.parent)

    def checks(self) -> Iterable[Check]:
        """Yield the checks of ``jepsenvm doctor`` for this machine, in order."""
        return ()
