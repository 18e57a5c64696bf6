"""The outcome of a run that another process stored."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.checkers.outcome import Outcome, outcome_of
from jepsenvm.errors import MALFORMED
from jepsenvm.experiment.store import LOG, PLAN, RESULTS
from jepsenvm.workloads.registry import WORKLOADS

_CLUSTER: Final = re.compile(
    r" RabbitMQ (\d[A-Za-z0-9.+~-]*)(?: with TLS)? on (\d+) nodes, workload ", re.ASCII
)


@dataclass(frozen=True)
class StoredOutcome:
    """The folder of a run, with what it found."""

    folder: Path
    outcome: Outcome | None
    """None without results that can be read."""
    version: str
    """The RabbitMQ version of the nodes; empty if the run did not get as far."""
    nodes: int
    """The number of nodes; 0 if the run did not get as far."""


def newest_run(store: Path) -> Path | None:
    """Return the folder of the newest run in a store; None if it has none."""
    runs = sorted(file.parent for file in store.glob(f"*/*/{PLAN}") if not file.parent.is_symlink())
    return max(runs, key=_time_of_run, default=None)


def stored_outcome(folder: Path, workload: str) -> StoredOutcome:
    """Return a run of a workload with its outcome."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        outcome = outcome_of(results, WORKLOADS[workload].main_checker)
    except (OSError, *MALFORMED):
        outcome = None
    version, nodes = cluster_in(folder / LOG)
    return StoredOutcome(folder, outcome, version, nodes)


def _time_of_run(folder: Path) -> str:
    return folder.name


def cluster_in(log: Path) -> tuple[str, int]:
    """Return the version and the number of the nodes, as the log of a run says."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if match := _CLUSTER.search(line):
                    return match[1], int(match[2])
    except OSError:
        pass
    return "", 0
