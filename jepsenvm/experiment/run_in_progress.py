"""A run in progress on a cluster, for commands that may be used beside a run of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jepsenvm.machines.cluster_lock import Held

RUN: Final = "run"
"""The purpose of the lock of a run."""


def folder_of_run(locks: Iterable[Held], alternative: str = "") -> Path | None:
    """Return the folder of this machine's run that holds these locks; None if there are none.

    Raises UsageError if another process holds one, such as a deployment or a run whose folder this
    process cannot write to: the history of such a run could not record what happens.
    ``alternative`` is a further remedy.
    """
    for lock in locks:
        owner = lock.owner
        folder = Path(owner.folder)
        is_run = owner.purpose == RUN and owner.is_on_this_machine and owner.folder
        if not (is_run and os.access(folder, os.W_OK)):
            raise lock.error(alternative)
        return folder
    return None
