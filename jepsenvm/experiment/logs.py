"""Collects the logs of the nodes: what each node wrote since the run began."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from jepsenvm import steps
from jepsenvm.experiment.store import INCOMPLETE, Store
from jepsenvm.machines.ssh import Fleet
from jepsenvm.private_files import write_private
from jepsenvm.rabbitmq.names import LOG_DIR

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 20_000_000
"""The last bytes of a log file that are collected, at most."""


COLLECTING: Final = "collecting logs"


@dataclass(frozen=True)
class LogFile:
    """A log file of a node. A rotated file has another name but the same inode."""

    name: str
    inode: int
    size: int
    """In bytes."""


LogFiles = Mapping[str, LogFile]
"""The log files of a node by name."""


def log_sizes(fleet: Fleet) -> Mapping[str, LogFiles | None]:
    """Return the log files of each node, rotated ones too.

    None for a node that does not answer, or whose answer is not understood.
    """
    script = f"cd {LOG_DIR} && stat -c '%i %s %n' -- $(ls | grep -E '\\.log(\\.|$)')"
    return fleet.each_or_none(lambda node: _log_files(fleet.run(node, script).stdout))


def collect(fleet: Fleet, store: Store, before: Mapping[str, LogFiles | None]) -> None:
    """Write to the store what was appended to each log file since ``before`` (see ``log_sizes``).

    Logs the error of a node that does not answer, and continues with the others. A node whose new
    lines cannot be told from its old ones, or are missing, gets a file INCOMPLETE.
    """
    after = log_sizes(fleet)
    fetched = count(1)

    def fetch(node: str) -> None:
        folder = store.node(node)
        files_before, files_after = before.get(node), after[node]
        if files_before is None or files_after is None:
            when = "begin" if files_before is None else "end"
            _mark(folder, f"its log files were not known at the run's {when}")
            return
        for problem in _problems(files_before, files_after):
            _mark(folder, problem)
        sizes = {file.inode: file.size for file in files_before.values()}
        for file in files_after.values():
            start = sizes.get(file.inode, 0)
            is_copy = file.inode not in sizes and not file.name.endswith(".log")
            if is_copy or file.name.endswith(".gz") or file.size <= start:
                continue
            path = shlex.quote(f"{LOG_DIR}/{file.name}")
            script = f"tail -c +{start + 1} -- {path} | tail -c {MAX_BYTES}"
            text = fleet.run(node, script, timeout=120).stdout
            write_private(folder / file.name, text)
            if file.size - start > MAX_BYTES:
                _mark(folder, f"of {file.name}, only the last {MAX_BYTES:,} bytes were collected")

    def fetch_and_report(node: str) -> None:
        try:
            fetch(node)
        finally:
            steps.report(COLLECTING, next(fetched), len(after))

    steps.report(COLLECTING, 0, len(after))
    for node, error in fleet.each_or_error(fetch_and_report).items():
        if isinstance(error, Exception):
            logger.info(f"{node}: its logs could not be collected: {error}")
            _mark(store.node(node), "its logs could not be collected")


def _problems(before: LogFiles, after: LogFiles) -> Iterator[str]:
    """Yield why lines that were written between two listings are missing from the second."""
    inodes = {file.inode: file for file in after.values()}
    for file in before.values():
        now = inodes.get(file.inode)
        if now is None and file.name.endswith(".log"):
            yield f"{file.name} was removed or compressed during the run"
        elif now is not None and now.size < file.size:
            yield f"{file.name} was truncated during the run"
    old_inodes = {file.inode for file in before.values()}
    for file in after.values():
        # A log that is rotated keeps its inode. Another file may be a copy of an old one.
        if file.inode not in old_inodes and not file.name.endswith(".log"):
            yield f"{file.name} appeared during the run, and may have older lines"


def _mark(folder: Path, problem: str) -> None:
    with (folder / INCOMPLETE).open("a", encoding="utf-8") as file:
        file.write(f"{problem}\n")


def _log_files(listing: str) -> LogFiles:
    lines = (line.split(" ", 2) for line in listing.splitlines())
    return {
        name: LogFile(name, int(inode), int(size)) for inode, size, name in lines if "/" not in name
    }
