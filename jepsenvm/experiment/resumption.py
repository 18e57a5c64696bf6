"""What a run keeps in its folder so that another process can resume it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.logs import LogFile, LogFiles
from jepsenvm.experiment.store import Store
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lock_owner import this_machine

FILE: Final = "resume.json"


@dataclass(frozen=True)
class Resumption:
    """The facts about a run that its plan and its history do not have."""

    inventory: str
    group: str
    """The group of the inventory that lists the nodes."""
    existing: bool
    patience: float
    queue: str
    began: float
    """The time at which the history begins, on the wall clock."""
    machine: str
    """The boot of the controller (see ``machines.lock_owner``)."""
    log_sizes: Mapping[str, LogFiles | None]
    """The sizes of the nodes' log files when the run began (see ``experiment.logs``)."""

    @classmethod
    def of_this_run(
        cls,
        inventory: Inventory,
        queue: str,
        began: float,
        log_sizes: Mapping[str, LogFiles | None],
    ) -> Resumption:
        """Return the facts about a run of this process."""
        return cls(
            inventory=str(inventory.path),
            group=inventory.group,
            existing=inventory.existing,
            patience=inventory.patience,
            queue=queue,
            began=began,
            machine=this_machine(),
            log_sizes=log_sizes,
        )

    def write(self, store: Store) -> None:
        """Write the facts to the folder of the run; raise RunError if the disk refuses them."""
        try:
            store.write(FILE, json.dumps(asdict(self)) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write {store.path / FILE}: {error.strerror}",
                remedy="free some disk space and run again",
            ) from error

    @classmethod
    def read(cls, folder: Path) -> Resumption:
        """Return the facts in the folder of a run; raise UsageError if it has none."""
        file = folder / FILE
        remedy = "`jepsenvm check` judges what was recorded"
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                inventory=str(data["inventory"]),
                group=str(data["group"]),
                existing=bool(data["existing"]),
                patience=float(data["patience"]),
                queue=str(data["queue"]),
                began=float(data["began"]),
                machine=str(data["machine"]),
                log_sizes={str(node): _read(files) for node, files in data["log_sizes"].items()},
            )
        except FileNotFoundError:
            raise UsageError(
                f"{folder}: cannot be resumed: it has no {FILE}, because its set-up did not begin "
                "or an older version ran it",
                remedy=remedy,
            ) from None
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}", remedy=remedy) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UsageError(f"{file}: damaged", remedy=remedy) from None


def _read(files: Mapping[str, Mapping[str, Any]] | None) -> LogFiles | None:
    if files is None:
        return None
    return {
        str(name): LogFile(str(name), int(file["inode"]), int(file["size"]))
        for name, file in files.items()
    }
