"""Whether a console can show something that moves."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console

NO: Final = ("", "0", "false", "no")
"""The values of the environment variable CI that do not mean a CI system."""


def is_live(console: Console) -> bool:
    """Return whether a console is a terminal that somebody may be looking at.

    It is none in a CI system (CI=true), with TERM=dumb, and if the output is a pipe or a file, even
    if FORCE_COLOR asks for colours there.
    """
    if os.environ.get("CI", "").strip().lower() not in NO:
        return False
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()
