"""The runs and campaigns that are served, and the addresses that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.campaign.folder import FILE as CAMPAIGN
from jepsenvm.campaign.folder import RUNS
from jepsenvm.experiment.judge import JEPSEN_HISTORY
from jepsenvm.experiment.store import HISTORY, PLAN, RESULTS
from jepsenvm.serve.place import CAMPAIGNS, STORE, Place
from jepsenvm.serve.plain_files import plain_folder, plain_folders

_MARKS: Final = (PLAN, HISTORY, JEPSEN_HISTORY, RESULTS)
"""A folder with one of these files is a run."""

_OF_STORE: Final = 2
_OF_CAMPAIGN: Final = 6
"""How many folders lead from the root to a run: ``NAME/TIME`` in a store,
``CAMPAIGN/runs/ID/attempt-N/NAME/TIME`` in the folder of campaigns."""


@dataclass(frozen=True)
class Catalogue:
    """What is served: the store of runs, and the folder of campaigns. Either may be missing."""

    store: Path
    campaigns: Path

    def runs(self) -> Iterator[Place]:
        """Yield every run."""
        yield from _runs(self.store, (STORE,))
        for campaign, folder in self._campaign_folders():
            for run in plain_folders(folder / RUNS):
                for attempt in plain_folders(folder / RUNS / run):
                    words = (CAMPAIGNS, campaign, RUNS, run, attempt)
                    yield from _runs(folder / RUNS / run / attempt, words)

    def run(self, key: str) -> Place | None:
        """Return the run with an address; None if there is none."""
        root, *names = key.split("/")
        if root == STORE and len(names) == _OF_STORE:
            folder = plain_folder(self.store, *names)
        elif root == CAMPAIGNS and len(names) == _OF_CAMPAIGN and names[1] == RUNS:
            folder = plain_folder(self.campaigns, *names)
        else:
            return None
        return Place((root, *names), folder) if folder is not None and _is_run(folder) else None

    def campaign_names(self) -> list[str]:
        """Return the names of the folders of campaigns."""
        return [name for name, _folder in self._campaign_folders()]

    def campaign(self, name: str) -> Path | None:
        """Return the folder of a campaign; None if there is none of this name."""
        folder = plain_folder(self.campaigns, name)
        return folder if folder is not None and (folder / CAMPAIGN).is_file() else None

    def _campaign_folders(self) -> Iterator[tuple[str, Path]]:
        for name in plain_folders(self.campaigns):
            folder = self.campaign(name)
            if folder is not None:
                yield name, folder


def _runs(root: Path, words: tuple[str, ...]) -> Iterator[Place]:
    for name in plain_folders(root):
        for time in plain_folders(root / name):
            folder = root / name / time
            if _is_run(folder):
                yield Place((*words, name, time), folder)


def _is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)
