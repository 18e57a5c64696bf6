"""Reports of bad input in a browser: incomplete runs, and texts that could be markup."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from jepsenvm.experiment.report_file import make_report
from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, PLAN, RESULTS
from jepsenvm.history.readers import open_history
from jepsenvm.history.units import SECOND
from jepsenvm.report.html import page as report_of
from tests.browser.conftest import Open, hover, no_serious_violation
from tests.report_runs import write_old_history, write_run
from tests.unit.report.test_report import SCRIPT, hostile, stored


def without_history(run: Path) -> None:
    (run / HISTORY).unlink()


def cut_short(run: Path) -> None:
    content = (run / HISTORY).read_bytes()
    (run / HISTORY).write_bytes(content[: len(content) // 2])


def of_an_older_version(run: Path) -> None:
    plan = (run / PLAN).read_text()
    write_old_history(run / HISTORY, list(open_history(run / HISTORY).ops()), plan)
    for name in (ENVIRONMENT, RESUME, RESULTS):
        (run / name).unlink()


def going_on(run: Path) -> None:
    so_far = [op for op in open_history(run / HISTORY).ops() if op.time < 50 * SECOND]
    shutil.rmtree(run)
    write_run(run, so_far, closed=False)
    shutil.rmtree(run / "nodes")


@pytest.mark.parametrize(
    ("damage", "verdict", "sentences", "charts"),
    [
        (without_history, "UNKNOWN", ["There is no history.arrow"], False),
        (cut_short, "UNKNOWN", ["The history is not closed"], True),
        (
            of_an_older_version,
            "INVALID",
            ["There is no environment.json", "There is no resume.json", "There is no results.json"],
            True,
        ),
        (
            going_on,
            "UNKNOWN",
            ["the run is still going on", "There are no logs of the brokers"],
            True,
        ),
    ],
)
def test_the_report_of_an_incomplete_run_names_what_is_missing(
    open_report: Open,
    invalid_run: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    verdict: str,
    sentences: list[str],
    charts: bool,
) -> None:
    run = Path(shutil.copytree(invalid_run, tmp_path / "run"))
    damage(run)
    page = open_report(make_report(run, None)[0])
    expect(page.locator(".badge")).to_have_text(verdict)
    for sentence in sentences:
        expect(page.locator("#missing")).to_contain_text(sentence)
    expect(page.locator("#chart-timeline svg")).to_have_count(1 if charts else 0)
    assert "could not be made" not in page.locator("main").inner_text()
    no_serious_violation(page)


ATTACK = f"\x1b[2J{SCRIPT}"
SHOWN = SCRIPT[:40]
"""Long texts are cut where the page has little room for them."""


def test_names_lines_and_values_with_markup_stay_text(open_report: Open, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    run = stored(
        hostile(ATTACK),
        title=ATTACK,
        plan=ATTACK,
        nodes={ATTACK: {ATTACK: ATTACK}},
        logs={ATTACK: [f"1970-01-01 00:00:04.000+00:00 [error] {ATTACK}\n"]},
        began=0.0,
        missing=[ATTACK],
    )
    file.write_text(report_of(run), encoding="utf-8")
    page = open_report(file, "#at=4.5")
    expect(page.locator(".badge")).to_have_text("INVALID")
    for place in ("#missing", "#moment-text", "#moment-rows", "#faults", "#environment"):
        expect(page.locator(place)).to_contain_text(SHOWN)
    tip = page.locator("#chart-timeline .tip")
    for series in ("lost messages", "log lines", "the broker's own view"):
        hover(page, series)
        expect(tip).to_contain_text(SHOWN)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    assert "\x1b" not in page.content()
