"""The tier of the browser: pages in the system's Chromium, and those of a disk without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from jepsenvm.experiment.outputs import write_results
from jepsenvm.experiment.report_file import make_report
from jepsenvm.experiment.store import Store
from jepsenvm.experiment.stored_run import load_run
from tests.browser.chromium import DEADLINE_MS, chromium
from tests.report_runs import synthetic_ops, write_run

SERIOUS = ("serious", "critical")

expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests. script/test installs it."""
    with chromium() as opened:
        yield opened


def until(page: Page, condition: str) -> None:
    """Wait until an expression is true in a page.

    ``Page.wait_for_function`` needs ``eval`` in the page, which the policy of reports forbids.
    """
    end = time.monotonic() + DEADLINE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never true: {condition}"
        page.wait_for_timeout(50)


PLACE_OF_THE_FIRST = """(name) => {
  const chart = window.jepsenvmReport.charts.find((one) => one.id === "timeline").instance;
  const all = chart.getOption().series;
  const series = all.findIndex((one) => one.name === name && one.data.length);
  const [x, y] = chart.convertToPixel({ seriesIndex: series }, all[series].data[0].value);
  const [right, down] = all[series].symbolOffset || [0, 0];
  const box = document.getElementById("chart-timeline").getBoundingClientRect();
  return { x: box.left + x + right, y: box.top + y + down };
}"""


def hover(page: Page, series: str) -> None:
    """Move the mouse to the first symbol of a kind on the timeline, such as `lost messages`."""
    page.locator("#chart-timeline").scroll_into_view_if_needed()
    place = page.evaluate(PLACE_OF_THE_FIRST, series)
    page.mouse.move(place["x"], place["y"])


def no_serious_violation(page: Page) -> None:
    """Fail if axe finds anything serious, with the elements."""
    violations = Axe().run(page).response["violations"]
    assert [_summary(found) for found in violations if found["impact"] in SERIOUS] == []


def _summary(found: Any) -> tuple[str, list[str]]:
    return found["id"], [node["html"][:150] for node in found["nodes"][:3]]


def _run_with_report(folder: Path, *, lossy: bool, queue_type: str) -> Path:
    write_run(folder, synthetic_ops(lossy=lossy, rate=8), queue_type=queue_type)
    write_results(Store(folder), load_run(folder).results)
    make_report(folder, None)
    return folder


@pytest.fixture(scope="session")
def invalid_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that lost messages, with its report. Change a copy of it only."""
    folder = tmp_path_factory.mktemp("demo") / "invalid"
    return _run_with_report(folder, lossy=True, queue_type="mirrored")


@pytest.fixture(scope="session")
def invalid_report(invalid_run: Path) -> Path:
    """The report of a run that lost messages."""
    return invalid_run / "report.html"


@pytest.fixture(scope="session")
def valid_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that lost nothing."""
    folder = tmp_path_factory.mktemp("demo") / "valid"
    return _run_with_report(folder, lossy=False, queue_type="quorum") / "report.html"


Open = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser) -> Iterator[Open]:
    """Open a page offline; the test fails if it reports an error or asks for another file."""
    problems: list[str] = []
    opened_urls: set[str] = set()
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(DEADLINE_MS)

    def note_request(url: str) -> None:
        if url not in opened_urls:
            problems.append(f"the page asks for {url}")

    def opened(report: Path, fragment: str = "", *, dark: bool = False) -> Page:
        opened_urls.update((report.as_uri(), f"{report.as_uri()}{fragment}"))
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: note_request(request.url))
        page.goto(f"{report.as_uri()}{fragment}")
        return page

    yield opened
    context.close()
    assert json.dumps(problems) == "[]"
