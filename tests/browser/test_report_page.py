"""A report in a browser: from disk, without a network, for every reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, hover, no_serious_violation, until


def test_the_verdict_comes_first(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    expect(page.locator("h1")).to_contain_text("The cluster lost")
    expect(page.locator(".badge")).to_have_text("INVALID")
    expect(page.locator("#chart-timeline svg")).to_be_visible()


def test_the_mark_of_lost_messages_names_them(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    hover(page, "lost messages")
    tip = page.locator("#chart-timeline .tip")
    expect(tip).to_contain_text("lost")
    expect(tip).to_contain_text("confirmed by n1")
    expect(tip).to_contain_text("values ")


def test_a_valid_run_has_no_mark(open_report: Open, valid_report: Path) -> None:
    page = open_report(valid_report)
    expect(page.locator("h1")).to_contain_text("The cluster kept all")
    marks = "window.jepsenvmReport.data.timeline.lanes.flatMap((lane) => lane.marks).length"
    assert page.evaluate(marks) == 0
    expect(page.get_by_label("lost and undecided messages")).to_have_count(0)


def test_an_address_leads_to_a_moment_and_a_range(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report, "#from=20&to=70&at=40.5")
    expect(page.locator("#zoom-text")).to_contain_text("20.0 s to 70.0 s")
    expect(page.locator("#moment-text")).to_contain_text("At 40.5 s: load; fault 1")
    row = page.locator("#moment-rows tr").first
    expect(row).to_contain_text("with n2")
    expect(row).to_contain_text("partitioned from n3 n4 n5")


def test_what_the_keyboard_does_is_in_the_address(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Moment in seconds").fill("80")
    page.keyboard.press("Enter")
    expect(page.locator("#moment-text")).to_contain_text("fault 2 (kill {n4})")
    until(page, "location.hash.includes('at=80') && location.hash.includes('from=')")
    zoomed = page.locator("#zoom-text").inner_text()
    again = open_report(invalid_report, page.evaluate("location.hash"))
    expect(again.locator("#zoom-text")).to_have_text(zoomed)
    expect(again.locator("#moment-text")).to_contain_text("At 80.0 s")


def test_all_charts_show_the_same_range(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    page.get_by_role("button", name="Zoom in").click()
    ranges = page.evaluate(
        """() => window.jepsenvmReport.charts.map(({ instance }) => {
             const zoom = instance.getOption().dataZoom[0];
             return [zoom.startValue.toFixed(3), zoom.endValue.toFixed(3)].join(" ");
           })"""
    )
    assert len(ranges) >= 4
    assert len(set(ranges)) == 1


def test_a_moment_is_at_the_same_place_in_all_lanes_and_charts(
    open_report: Open, invalid_report: Path, tmp_path: Path
) -> None:
    text = invalid_report.read_text(encoding="utf-8")
    assert text.count('"end":112.0,') == 1
    file = tmp_path / "report.html"
    file.write_text(text.replace('"end":112.0,', '"end":112.969538578,'), encoding="utf-8")
    page = open_report(file)
    places = page.evaluate(
        """() => window.jepsenvmReport.charts.flatMap(({ instance }) =>
             instance.getOption().xAxis.map((_, index) =>
               instance.convertToPixel({ xAxisIndex: index }, 40.5).toFixed(1)))"""
    )
    assert len(places) >= 9
    assert len(set(places)) == 1
    labels = page.locator("#chart-timeline svg text").all_text_contents()
    assert "113" in labels
    assert [label for label in labels if re.search(r"\.\d{4}", label)] == []


def test_layers_and_series_can_be_hidden(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    count = """() => window.jepsenvmReport.charts[0].instance.getOption().series
                 .filter((series) => series.name === "lost messages").length"""
    assert page.evaluate(count) == 5
    page.get_by_label("lost and undecided messages").uncheck()
    assert page.evaluate(count) == 0
    page.locator("#legend-rate-enqueue").get_by_label("n1").uncheck()
    selected = """() => window.jepsenvmReport.charts.find((one) => one.id === "rate-enqueue")
                    .instance.getOption().legend[0].selected.n1"""
    assert page.evaluate(selected) is False


def test_a_link_of_a_table_selects_its_moment(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    page.locator("#faults tbody tr").first.get_by_role("link", name="30.0 s").click()
    expect(page.locator("#moment-text")).to_contain_text("At 30.0 s")


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(open_report: Open, invalid_report: Path, dark: bool) -> None:
    page = open_report(invalid_report, dark=dark)
    expect(page.locator("#chart-timeline svg")).to_be_visible()
    no_serious_violation(page)


def _background(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_dark_and_light_follow_the_reader(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report, dark=True)
    assert _background(page) == "rgb(22, 25, 29)"
    title = "window.jepsenvmReport.charts[0].instance.getOption().title[0].textStyle.color"
    assert page.evaluate(title) == "#e6e8ea"
    page.emulate_media(color_scheme="light")
    until(page, f"{title} === '#1d2125'")


def test_a_printed_report_is_light_whole_and_without_controls(
    open_report: Open, invalid_report: Path
) -> None:
    page = open_report(invalid_report, dark=True)
    page.emulate_media(media="print", color_scheme="dark")
    assert _background(page) == "rgb(255, 255, 255)"
    expect(page.locator(".tools")).to_be_hidden()
    until(page, "[...document.querySelectorAll('details')].every((one) => one.open)")
    expect(page.locator("#chart-timeline svg")).to_be_visible()
    page.emulate_media(media="screen", color_scheme="dark")
    until(page, "[...document.querySelectorAll('details')].some((one) => !one.open)")


def test_text_of_a_run_is_never_markup(open_report: Open, invalid_report: Path) -> None:
    page = open_report(invalid_report)
    expect(page.get_by_text("Partial partition detected: <b>not markup</b>").first).to_be_attached()
    assert page.locator("main b").count() == 0
