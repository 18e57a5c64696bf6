"""The Chromium that tests and benchmarks open pages in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

DEADLINE_MS: Final = 120_000
"""Only a browser that hangs needs this long. A shared machine is sometimes slow."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium without a window, or that of playwright if there is none."""
    # Chromium refuses its sandbox to root, as which script/test runs.
    arguments = ["--no-sandbox"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=_system_chromium(), args=arguments, timeout=DEADLINE_MS
        ) as browser,
    ):
        yield browser


def _system_chromium() -> str | None:
    """Return the path of the system's Chromium.

    A snap does not count: it sees neither the folders of the tests nor those of playwright.
    """
    for name in ("chromium", "chromium-browser"):
        program = shutil.which(name)
        if program and not program.startswith("/snap/"):
            return program
    return None
