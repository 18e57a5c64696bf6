"""Collects the logs of the nodes: what each node wrote since the run began."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from typing import Final

from jepsenvm.experiment.store import Store
from jepsenvm.machines.ssh import Fleet
from jepsenvm.private_files import write_private
from jepsenvm.rabbitmq.names import LOG_DIR

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 20_000_000
"""The last bytes of a log file that are collected, at most."""


def log_sizes(fleet: Fleet) -> Mapping[str, Mapping[str, int]]:
    """Return the size of each log file of each node, in bytes; nothing for a node that fails."""
    listings = fleet.each_or_error(
        lambda node: fleet.run(node, f"cd {LOG_DIR} && stat -c '%s %n' -- *.log").stdout
    )
    return {node: _sizes(text) if isinstance(text, str) else {} for node, text in listings.items()}


def collect(fleet: Fleet, store: Store, before: Mapping[str, Mapping[str, int]]) -> None:
    """Write to the store what was appended to each log file since ``before`` (see ``log_sizes``).

    Logs the error of a node that does not answer, and continues with the others.
    """
    after = log_sizes(fleet)

    def fetch(node: str) -> None:
        folder = store.node(node)
        for name in after[node]:
            start = before.get(node, {}).get(name, 0) + 1
            script = f"tail -c +{start} -- {shlex.quote(f'{LOG_DIR}/{name}')} | tail -c {MAX_BYTES}"
            text = fleet.run(node, script, timeout=120).stdout
            write_private(folder / name, text)

    for node, error in fleet.each_or_error(fetch).items():
        if isinstance(error, Exception):
            logger.info(f"{node}: its logs could not be collected: {error}")


def _sizes(listing: str) -> dict[str, int]:
    lines = (line.split(" ", 1) for line in listing.splitlines())
    return {name: int(size) for size, name in lines if "/" not in name}
