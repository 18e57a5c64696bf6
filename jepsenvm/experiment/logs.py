"""Collecting the nodes' logs: what each wrote since the run began."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping

from jepsenvm.experiment.store import Store
from jepsenvm.machines.ssh import Fleet

logger = logging.getLogger(__name__)

LOGS = "/var/log/rabbitmq"
MOST_BYTES = 20_000_000
"""No more than so much is taken of one file: its end."""


def log_sizes(fleet: Fleet) -> Mapping[str, Mapping[str, int]]:
    """Return how large each node's log files are now, so that a run keeps only its own part."""
    listing = fleet.each_or_error(
        lambda node: fleet.run(node, f"cd {LOGS} && stat -c '%s %n' -- *.log").stdout
    )
    return {node: _sizes(text) if isinstance(text, str) else {} for node, text in listing.items()}


def collect(fleet: Fleet, store: Store, before: Mapping[str, Mapping[str, int]]) -> None:
    """Write each node's log files into the run's folder; name a node that cannot be asked, and go on."""
    after = log_sizes(fleet)

    def fetch(node: str) -> None:
        folder = store.node(node)
        for name in after[node]:
            start = before.get(node, {}).get(name, 0) + 1
            script = f"tail -c +{start} -- {shlex.quote(f'{LOGS}/{name}')} | tail -c {MOST_BYTES}"
            (folder / name).write_text(
                fleet.run(node, script, timeout=120).stdout, encoding="utf-8"
            )

    for node, problem in fleet.each_or_error(fetch).items():
        if isinstance(problem, Exception):
            logger.info(f"{node}: its logs could not be collected: {problem}")


def _sizes(listing: str) -> dict[str, int]:
    lines = (line.split(" ", 1) for line in listing.splitlines())
    return {name: int(size) for size, name in lines if "/" not in name}
