"""The timeline of `jepsenvm export --format jepsen` in a browser: from disk, without a network."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.experiment.jepsen_store import write_jepsen_store
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from jepsenvm.report.jepsen_timeline import timeline
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.stored_run import StoredRun
from tests.browser.conftest import Open, no_serious_violation
from tests.report_runs import synthetic_ops, write_run

ATTACK = "</div></script><img src=x onerror=alert(1)>"


def test_the_timeline_of_an_exported_run(open_report: Open, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", synthetic_ops(lossy=True, rate=2))
    folder, _ = write_jepsen_store(run, tmp_path / "exported")
    page = open_report(folder / "timeline.html")
    expect(page.locator("h1")).to_contain_text("invalid")
    first = page.locator(".op").first
    expect(first).to_be_visible()
    expect(first).to_have_text("nemesis schedule")
    enqueue = page.get_by_text("10 enqueue 0", exact=True)
    expect(enqueue).to_be_visible()
    assert "ok after " in (enqueue.get_attribute("title") or "")
    # The box of an op in doubt reaches to the end of the page.
    doubtful = page.locator(".op.info", has_text="enqueue").first
    last = page.locator(".op").last
    bottoms = [box["y"] + box["height"] for box in (doubtful.bounding_box(), last.bounding_box())]  # type: ignore[index]  # both are visible
    assert bottoms[0] >= bottoms[1]
    no_serious_violation(page)


def test_text_of_a_run_is_never_markup(open_report: Open, tmp_path: Path) -> None:
    ops = [
        Op("invoke", "enqueue", ATTACK, 1, 1, ATTACK),
        Op("info", "enqueue", ATTACK, 1, 2, ATTACK, error=f"\x1b[2J{ATTACK}"),
        Op("ok", ATTACK, [ATTACK], 2, 3, ATTACK),
    ]
    run = StoredRun(
        title=ATTACK,
        results=Results(Verdict.VALID, (), {}),
        presentation=Presentation("queue", headline=str),
        history=from_ops(ops),
    )
    file = tmp_path / "timeline.html"
    file.write_text(timeline(run), encoding="utf-8")
    page = open_report(file)
    expect(page.locator("h1")).to_contain_text(ATTACK)
    boxes = page.locator(".op")
    expect(boxes).to_have_count(2)
    expect(boxes.first).to_contain_text('enqueue "</div></script><img src=x')
    title = boxes.first.get_attribute("title") or ""
    assert ATTACK in title
    assert "\x1b" not in title
    assert page.locator("img, script").count() == 0
