"""The tier of the browser: reports opened from disk in the system's Chromium, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jepsenvm.experiment.report_file import make_report
from tests.report_runs import synthetic_ops, write_run

DEADLINE_MS = 120_000
"""Only a browser that hangs needs this long. A shared machine is sometimes slow."""

expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "chromium is not installed; script/test installs it"
    # Chromium refuses its sandbox to root, as which script/test runs.
    arguments = ["--no-sandbox"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=program, args=arguments, timeout=DEADLINE_MS
        ) as opened,
    ):
        yield opened


@pytest.fixture(scope="session")
def invalid_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that lost messages."""
    folder = tmp_path_factory.mktemp("demo") / "invalid"
    return make_report(write_run(folder, synthetic_ops(lossy=True, rate=8)), None)[0]


@pytest.fixture(scope="session")
def valid_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that lost nothing."""
    folder = tmp_path_factory.mktemp("demo") / "valid"
    ops = synthetic_ops(lossy=False, rate=8)
    return make_report(write_run(folder, ops, queue_type="quorum"), None)[0]


Open = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser) -> Iterator[Open]:
    """Open a report offline; the test fails if the page reports an error or asks for anything."""
    problems: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(DEADLINE_MS)

    def opened(report: Path, fragment: str = "", *, dark: bool = False) -> Page:
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: _note_request(problems, request.url))
        page.goto(f"file://{report}{fragment}")
        return page

    yield opened
    context.close()
    assert problems == []


def _note_request(problems: list[str], url: str) -> None:
    if not url.startswith("file://"):
        problems.append(f"the page asks for {url}")
