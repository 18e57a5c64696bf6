"""The outcomes of one campaign whose jobs have folders of their own."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.planned import Expansion, LeftOut, PlannedRun
from jepsenvm.campaign.record import Record
from jepsenvm.campaign.summary import Summary, summarized


def merged(folders: Sequence[Folder], page: Path | None = None) -> Summary:
    """Return the outcomes of one or more folders of a campaign.

    If several folders have the same run, the run with the latest end counts. Records are enough;
    the histories may be missing. ``page`` is the folder of the report that links to the runs.
    """
    runs: dict[str, PlannedRun] = {}
    records: dict[str, Record] = {}
    left_out: dict[str, LeftOut] = {}
    excluded = 0
    for folder in folders:
        expansion = folder.expansion()
        path = relpath(folder.path, page or folders[0].path)
        runs |= {run.id: run for run in expansion.runs}
        left_out |= {str(one): one for one in expansion.left_out}
        excluded = max(excluded, expansion.excluded)
        for run in expansion.runs:
            record = folder.record(run.id).below(path)
            if _end(record) >= _end(records.get(run.id, Record())):
                records[run.id] = record
    everything = Expansion(tuple(runs.values()), tuple(left_out.values()), excluded)
    return summarized(folders[0].name(), everything, records)


def _end(record: Record) -> float:
    last = record.last
    return last.ended if last is not None and last.ended is not None else 0.0
