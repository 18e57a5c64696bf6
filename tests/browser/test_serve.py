"""`jepsenvm serve` in a browser: filter, compare, follow, and the report in its sandbox."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from jepsenvm.experiment.store import HISTORY, LOG, REPORT, RESULTS
from tests.browser.chromium import DEADLINE_MS
from tests.browser.conftest import no_serious_violation, until
from tests.unit.serve.stores import FIRST, SECOND, results, small_run, still_going_on
from tests.unit.serve.test_routes import write_campaign
from tests.unit.serve.test_server import Server, serving

LIVE = "20260923T101500.000000Z"
ATTACK = "<img src=x onerror=alert(1)>"


def write_store(folder: Path, invalid_run: Path) -> Path:
    """Write a store with a valid, an invalid and a running run, and two campaigns."""
    lossy = shutil.copytree(invalid_run, folder / "store" / "mirrored" / FIRST)
    (lossy / RESULTS).write_text(json.dumps(results("invalid", 17)))
    small_run(folder / "store", "quorum", SECOND, window=50, version="4.3.6")
    still_going_on(small_run(folder / "store", "live", LIVE, verdict=None))
    write_campaign(folder / "campaigns", "monday", worse=False)
    write_campaign(folder / "campaigns", "tuesday", worse=True)
    return folder


@pytest.fixture(scope="module")
def folder(invalid_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and campaigns. Tests that change it have one of their own."""
    folder = write_store(tmp_path_factory.mktemp("served"), invalid_run)
    small_run(folder, "secret")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with list_of_runs(browser, server) as opened:
        yield opened


@contextmanager
def list_of_runs(browser: Browser, server: Server) -> Iterator[Page]:
    """Open the list of runs; the test fails if a page reports an error or asks another server."""
    problems: list[str] = []
    origin = f"http://127.0.0.1:{server.port}"

    def note(message: ConsoleMessage) -> None:
        problems.append(f"{message.type}: {message.text}")

    opened = fresh_page(browser)
    opened.on("console", note)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith((origin, "data:")) else problems.append(request.url)
        ),
    )
    opened.goto(f"{origin}/")
    yield opened
    opened.context.close()
    assert problems == []


def fresh_page(browser: Browser, *, java_script_enabled: bool = True) -> Page:
    """Return a page with no cookie, which may report errors: browsers do so when refused."""
    context = browser.new_context(
        java_script_enabled=java_script_enabled, viewport={"width": 1280, "height": 1000}
    )
    context.set_default_timeout(DEADLINE_MS)
    return context.new_page()


def test_the_list_is_filtered_and_sorted_with_the_keyboard(page: Page) -> None:
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(5)
    page.get_by_label("Verdict").select_option("invalid")
    page.get_by_role("button", name="Filter").focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("mirrored")
    expect(page.get_by_role("status")).to_contain_text("1 of 5 runs")
    expect(page.get_by_label("Verdict")).to_have_value("invalid")
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="name", exact=True).click()
    expect(rows.first).to_contain_text("quorum")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("name")
    page.get_by_label("Words").fill("QUORUM 4.3.6")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)


def test_two_runs_are_compared(page: Page) -> None:
    page.get_by_label(f"Compare store/mirrored/{FIRST}").check()
    page.get_by_label(f"Compare store/quorum/{SECOND}").check()
    page.get_by_role("button", name="Compare the two selected runs").click()
    expect(page.locator("h1")).to_have_text("Two runs side by side")
    window = page.get_by_label("Settings that differ").locator("tr", has_text="window")
    expect(window.first).to_contain_text("50")
    no_serious_violation(page)
    page.get_by_label("Settings", exact=True).locator("summary").click()
    expect(page.get_by_label("Settings that are the same")).to_be_visible()


def test_two_campaigns_are_compared(page: Page) -> None:
    page.get_by_label("Compare monday").check()
    page.get_by_label("Compare tuesday").check()
    page.get_by_role("button", name="Compare the two selected campaigns").click()
    expect(page.get_by_label("Differences")).to_contain_text("worse")
    no_serious_violation(page)


def test_a_report_runs_in_its_sandbox(page: Page, folder: Path) -> None:
    page.locator("tr", has_text="mirrored").get_by_role("link").first.click()
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.locator("#chart-timeline svg")).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    until(page, "location.hash.includes('from=')")
    assert page.evaluate("self.origin") == "null"
    assert (folder / "store" / "mirrored" / FIRST / REPORT).is_file()


def test_a_run_is_followed_to_its_verdict(
    browser: Browser, invalid_run: Path, tmp_path: Path
) -> None:
    run = write_store(tmp_path, invalid_run) / "store" / "live" / LIVE
    with serving(tmp_path) as server, list_of_runs(browser, server) as page:
        page.locator("tr", has_text="live").get_by_role("link").first.click()
        log = page.locator("#follow-log")
        expect(log).to_contain_text("everything is healed")
        expect(page.locator("#follow-state")).to_contain_text("going on")
        with (run / LOG).open("a") as file:
            file.write(f"2026-09-21T10:16:00.000Z {ATTACK}\n")
            file.write("2026-09-21T10:16:05.000Z enqueue n1 sent 5, failed 0, unknown 1, total 6\n")
        expect(log).to_contain_text(ATTACK)
        expect(page.locator("#follow-tallies")).to_contain_text("sent 5, failed 0")
        assert page.locator("#follow-log img").count() == 0
        no_serious_violation(page)
        (run / RESULTS).write_text(json.dumps(results("invalid")))
        expect(page.locator("#follow-state")).to_contain_text("The run has its verdict: invalid.")


def test_a_zip_is_downloaded(page: Page) -> None:
    page.locator("tr", has_text="quorum").get_by_role("link").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as zip").click()
    assert download.value.suggested_filename == f"quorum-{SECOND}.zip"


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(page: Page, dark: bool) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    no_serious_violation(page)
    page.locator("tr", has_text="quorum").get_by_role("link").first.click()
    expect(page.locator("h1")).to_contain_text("quorum")
    no_serious_violation(page)


def test_a_stored_report_reads_nothing_else(browser: Browser, tmp_path: Path) -> None:
    """A report may come from elsewhere, with scripts of its own."""
    script = """fetch("/").then((answer) => answer.text()).then(
        () => { document.title = "read" }, () => { document.title = "refused" })"""
    report = small_run(tmp_path / "store") / REPORT
    report.write_text(f"<!doctype html><title>begun</title><script>{script}</script>")
    with serving(tmp_path) as server:
        page = fresh_page(browser)
        page.goto(f"http://127.0.0.1:{server.port}/store/queue/{FIRST}/{REPORT}")
        expect(page).to_have_title("refused")
        page.context.close()


def test_no_path_leaves_the_store(page: Page, server: Server, folder: Path) -> None:
    address = f"http://127.0.0.1:{server.port}"
    assert page.request.get(f"{address}/store/quorum/{SECOND}/").ok
    assert (folder / "secret" / FIRST / HISTORY).is_file()
    for path in (
        "store/..%2fsecret",
        "store/%252e%252e/secret",
        "store/..%5csecret",
        "secret",
        "campaigns/..%2fsecret",
        "assets/..%2f..%2fsecret",
    ):
        for name in ("", REPORT, "run.zip", HISTORY):
            answer = page.request.get(f"{address}/{path}/{FIRST}/{name}")
            assert answer.status == 404, answer.url
            assert FIRST not in answer.text()


def test_without_javascript_everything_but_following_works(
    browser: Browser, server: Server
) -> None:
    page = fresh_page(browser, java_script_enabled=False)
    page.goto(f"http://127.0.0.1:{server.port}/?sort=name&order=ascending")
    page.get_by_label("Workload").select_option("queue")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    page.locator("tr", has_text="live").get_by_role("link").first.click()
    expect(page.get_by_text("Following a run needs JavaScript")).to_be_visible()
    page.context.close()


def test_the_token_of_the_address_opens_every_page(browser: Browser, folder: Path) -> None:
    with serving(folder, "--host", "0.0.0.0") as server:  # noqa: S104 - the case under test
        page = fresh_page(browser)
        address = f"http://127.0.0.1:{server.port}/"
        run = f"store/quorum/{SECOND}/"
        for path in ("", run, f"{run}{REPORT}", "assets/serve.css", "?token=", "?token=wrong"):
            answer = page.goto(f"{address}{path}")
            assert answer is not None
            assert answer.status == 401, path
            expect(page.locator("body")).not_to_contain_text("quorum")
        page.goto(f"{address}?token={server.token}")
        expect(page.locator("tbody tr")).to_have_count(5)
        assert server.token not in page.url
        page.locator("tr", has_text="live").get_by_role("link").first.click()
        expect(page.locator("#follow-log")).to_contain_text("everything is healed")
        page.context.close()
