"""What a run does not have, as far as its files tell without reading the history."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from jepsenvm.experiment.judge import JEPSEN_HISTORY
from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, LOG, REPORT
from jepsenvm.history.checksums import END_MARK, MOST_SCHEMA, has_checksums
from jepsenvm.history.segments import segments
from jepsenvm.serve.plain_files import open_plain, size_of
from jepsenvm.serve.run_facts import GOING_ON, RunFacts

NODES: Final = "nodes"
"""The folder of the brokers' logs."""


def missing_of(run: RunFacts, state: str) -> list[str]:
    """Return what a run lacks, one sentence each, and what that means for the reader."""
    return [*run.problems, *_history(run, state), *_files(run)]


def _history(run: RunFacts, state: str) -> Iterator[str]:
    folder = run.place.folder
    if (folder / JEPSEN_HISTORY).exists() and not (folder / HISTORY).exists():
        return
    first = open_plain(folder / HISTORY)
    if first is None:
        yield f"There is no {HISTORY}: the load did not begin, or the file was removed."
        return
    with first:
        beginning = first.read(MOST_SCHEMA)
    if not has_checksums(memoryview(beginning)):
        yield f"{HISTORY} has no checksums: an older version wrote it, or it is damaged."
    last = open_plain(segments(folder / HISTORY)[-1])
    if last is None:
        return
    with last:
        last.seek(max(0, size_of(last) - len(END_MARK)), os.SEEK_SET)
        closed = last.read() == END_MARK
    if not closed:
        reason = "the run is going on" if state == GOING_ON else "the run ended before"
        yield f"The history is not closed: {reason}. A report shows the part that was recorded."


def _files(run: RunFacts) -> Iterator[str]:
    for name, consequence in (
        (ENVIRONMENT, "versions and offsets of clocks were not recorded"),
        (RESUME, "the lines of the brokers' logs have no place on the timeline"),
        (LOG, "the progress of the run was not recorded"),
        (REPORT, "a report is made when you open it"),
    ):
        if not (run.place.folder / name).exists():
            yield f"There is no {name}: {consequence}."
    if not (run.place.folder / NODES).exists():
        yield "There are no logs of the brokers: they were not collected."
