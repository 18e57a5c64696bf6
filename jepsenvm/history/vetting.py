"""Vet a journal that has no checksums, as older versions wrote it, in a process of its own.

Arrow trusts the metadata of a stream, so reading a damaged file can end this process by a signal.
The other process reads everything first. A file that ends it, or whose content no run can have
recorded, is damaged.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from jepsenvm.errors import last_line
from jepsenvm.history.checksums import Extent

MODULE: Final = "jepsenvm.history.old_journal"
"""The module that the other process runs. It prints an ``Extent`` as JSON."""


def vet(path: Path) -> Extent:
    """Return how much of a journal without checksums can be read."""
    answer = subprocess.run(
        [sys.executable, "-m", MODULE, str(path.absolute())],
        stdin=subprocess.DEVNULL,
        # ``-m`` looks in the current folder first, so that must be where this package is.
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    try:
        if answer.returncode == 0:
            return Extent(**json.loads(last_line(answer.stdout)))
    except (ValueError, TypeError):
        pass
    return Extent(0, damage="reading it crashed, so it is damaged")
