"""Summaries of campaigns as a page, Markdown and JUnit, and the difference between two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from jepsenvm.campaign import comparison, markdown
from jepsenvm.campaign.comparison import Change, differences
from jepsenvm.campaign.judgement import Judgement
from jepsenvm.campaign.junit import junit
from jepsenvm.campaign.merge import merged
from jepsenvm.campaign.page import page
from jepsenvm.campaign.planned import Expansion, LeftOut
from jepsenvm.campaign.record import Attempt, Record
from jepsenvm.campaign.report_links import TITLES
from jepsenvm.campaign.summary import Summary, summarized
from jepsenvm.campaign.wording import percent
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.report.html import page as report_page
from tests.report_runs import synthetic_ops, write_run
from tests.unit.campaign.builders import (
    INVALID,
    TWO_VERSIONS,
    UNKNOWN,
    VALID,
    attempt,
    begun,
    expansion,
    record,
)

FOUR = expansion(TWO_VERSIONS, repeats=2)
EVIL = "<script>alert(1)</script>|`x`\x1b[31m"


def summary(*outcomes: Outcome | None, of: Expansion = FOUR) -> Summary:
    """Return a campaign whose runs have these outcomes, in order."""
    records = {
        run.id: record(outcome)
        for run, outcome in zip(of.runs, outcomes, strict=False)
        if outcome is not None
    }
    return summarized("c", of, records)


def test_rates_count_decided_runs_only() -> None:
    found = summary(INVALID, replace(UNKNOWN, acknowledged=99, lost=0))
    line = found.lines[0]
    assert line.messages is not None
    assert (line.messages.count, line.messages.total) == (10, 1000)
    assert (line.failures.count, line.failures.total) == (1, 1)
    assert line.recovery == (9.0, 9.0)
    assert line.restarts == 1
    assert line.verdicts == {"invalid": 1, "unknown": 1}
    assert found.lines[1].messages is None
    assert found.lines[1].failures.interval is None


def test_a_workload_without_messages_has_no_loss() -> None:
    found = summary(replace(INVALID, acknowledged=None, lost=None))
    assert found.lines[0].messages is None


@pytest.mark.parametrize(
    ("outcomes", "status", "worst"),
    [
        ([VALID] * 8, 0, Judgement.EXPECTED),
        ([VALID] * 7 + [INVALID], 1, Judgement.WORSE),
        ([VALID] * 7 + [UNKNOWN], 2, Judgement.UNKNOWN),
        ([VALID] * 7, 2, Judgement.MISSING),
        ([UNKNOWN, INVALID], 1, Judgement.WORSE),
        ([], 2, Judgement.MISSING),
    ],
)
def test_the_exit_status(outcomes: list[Outcome], status: int, worst: Judgement) -> None:
    found = summary(*outcomes)
    assert found.exit_status == status
    assert worst in found.judgements


def test_expected_losses_are_no_failure() -> None:
    lossy = expansion({"window": [1]}, expect=[{"verdict": "invalid"}])
    assert summary(INVALID, of=lossy).exit_status == 0
    better = summary(VALID, of=lossy)
    assert better.exit_status == 0
    assert better.judgements == {Judgement.BETTER: 1}
    assert "1 better" in better.headline
    recorded = expansion({"window": [1]}, expect=[{"verdict": "any"}])
    assert summary(INVALID, of=recorded).judgements == {Judgement.RECORDED: 1}
    assert summary(UNKNOWN, of=recorded).exit_status == 2


@pytest.mark.parametrize(("checker", "status"), [("total-queue", 0), ("availability", 1)])
def test_a_loss_for_another_reason_is_worse(checker: str, status: int) -> None:
    for verdict in ("invalid", "any"):
        expect = [{"verdict": verdict, "checkers": [checker]}]
        lossy = expansion({"window": [1]}, expect=expect)
        assert summary(INVALID, of=lossy).exit_status == status


def test_the_page_has_the_matrix_the_intervals_and_links() -> None:
    runs = {run.id: record(VALID) for run in FOUR.runs}
    first = FOUR.runs[0]
    runs[first.id] = Record((attempt(INVALID, folder="runs/a b/attempt-1/x/1"),))
    html = page(summarized("c", FOUR, runs))
    assert '<h1 class="invalid">' in html
    assert '<a href="runs/a%20b/attempt-1/x/1/report.html">' in html
    assert "<th>3.10.8<th>4.3.6" in html
    assert "1 invalid, 1 valid" in html
    assert "0.5 % (0.272 % to 0.918 %)" in html
    assert "50 % (9.45 % to 90.5 %)" in html
    assert "10 messages were lost" in html
    assert "http" not in html.replace("<!doctype", "")


def evil() -> Summary:
    run = replace(
        FOUR.runs[0], settings={**FOUR.runs[0].settings, "nemesis": EVIL}, id="x", workload=EVIL
    )
    bad = Attempt("lab", 1.0, 2.0, "verdict", replace(INVALID, reasons=(EVIL,), kinds=(EVIL,)))
    bad = replace(bad, folder=f"runs/{EVIL}", version=EVIL, error=EVIL)
    left_out = (LeftOut({"nemesis": EVIL}, EVIL),)
    return summarized(EVIL, Expansion((run,), left_out, 1), {"x": Record((bad,))})


def test_names_cannot_become_markup() -> None:
    html = page(evil())
    assert "<script" not in html
    assert "\x1b" not in html
    text = markdown.report(evil())
    assert "<script" not in text
    assert "\x1b" not in text
    assert all("`" not in line.replace("\\`", "") for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all("\\|" in row or "script" not in row for row in rows)


def test_junit_is_xml_whatever_the_names_are() -> None:
    (suite,) = ET.fromstring(junit(evil()))  # noqa: S314 - our own XML
    assert suite.get("tests") == "1"
    assert "\x1b" not in junit(evil())


def test_junit_has_failures_and_errors() -> None:
    (suite,) = ET.fromstring(junit(summary(VALID, INVALID, UNKNOWN, VALID)))  # noqa: S314 - our own XML
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors")}
    assert counts == {"tests": "8", "failures": "1", "errors": "5"}
    assert len(suite.findall("testcase/failure")) == 1
    assert len(suite.findall("testcase/error")) == 5
    case = suite.find("testcase")
    assert case is not None
    assert case.get("time") == "150.0"


def with_folder(outcome: Outcome, folder: str = "runs/a b/(1)") -> Summary:
    one = expansion({"window": [1]})
    return summarized("c", one, {one.runs[0].id: Record((attempt(outcome, folder=folder),))})


BOTH = replace(INVALID, kinds=("total-queue: lost", "broker-logs", "availability"))
ADDRESS = "../c/runs/a%20b/%281%29/report.html"


@pytest.mark.parametrize(
    ("outcome", "sections"),
    [
        (INVALID, ["loss", "faults", "results"]),
        (BOTH, ["loss", "logs", "availability", "faults", "results"]),
        (replace(INVALID, kinds=("order: out-of-order",), lost=0), ["faults", "results"]),
        (UNKNOWN, ["faults", "results"]),
        (VALID, []),
    ],
)
def test_links_lead_to_the_sections_about_the_verdict(
    outcome: Outcome, sections: list[str]
) -> None:
    addresses = [f"{ADDRESS}#{section}" for section in sections]
    found = with_folder(outcome)
    text = markdown.report(found, "../c")
    assert re.findall(r"\]\((\S+#\w+)\)", text) == addresses
    assert (f"]({ADDRESS}): {outcome.verdict}, expected valid" in text) == bool(sections)
    (case,) = ET.fromstring(junit(found, "../c"))[0]  # noqa: S314 - our own XML
    (report,) = case.findall("properties/property")
    assert (report.get("name"), report.get("value")) == ("report", ADDRESS)
    lines = [line for problem in case if problem.text for line in problem.text.split("\n")]
    assert [line.split(": ")[1] for line in lines if "#" in line] == addresses
    local = [address.removeprefix("../c/") for address in addresses]
    assert re.findall(r'href="([^"#]+#\w+)"', page(found)) == local


def test_every_section_of_a_link_is_in_the_report_of_a_run(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", synthetic_ops(lossy=True, rate=2)))
    ids = set(re.findall(r'<section id="([^"]+)"', report_page(run)))
    assert set(TITLES) <= ids


def test_a_run_without_a_report_has_no_links() -> None:
    found = summary(INVALID, UNKNOWN)
    assert "](" not in markdown.report(found)
    assert "<property" not in junit(found)


def test_markdown_sets_unexpected_outcomes_apart() -> None:
    text = markdown.report(summary(INVALID, VALID, UNKNOWN))
    unexpected, undecided = text.split("## Unexpected outcomes")[1].split("## Unknown or not run")
    assert "seed 1, repeat 1): invalid, expected valid: 10 messages were lost" in unexpected
    assert "fault 1 is not proven" in undecided
    assert "not run, expected valid" not in text
    assert "5 runs did not begin" in undecided.split("## Figures")[0]
    assert "5 runs did not begin" in page(summary(INVALID, VALID, UNKNOWN))
    assert "did not begin" not in markdown.report(summary(*[VALID] * 8))
    assert "| 3.10.8 | quorum | autoheal | 2 | 1 invalid, 1 valid | valid | 2,000 | 10 |" in text


def test_cells_that_did_not_run_say_so() -> None:
    text = markdown.report(summary(VALID))
    assert "2 not run" in text
    mirrored = expansion({"version": ["3.10.8", "4.0.5"], "queue-type": ["quorum", "mirrored"]})
    text = markdown.report(summary(of=mirrored))
    assert "mirrored queues were removed in RabbitMQ 4.0" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.999999, "> 99.9 %"), (0.05, "5 %"), (1e-9, "< 0.00005 %")],
)
def test_only_exact_shares_look_exact(value: float, text: str) -> None:
    assert percent(value) == text


def changes(before: Summary, after: Summary) -> list[Change]:
    return [one.change for one in differences(before, after)]


def test_differences_by_line() -> None:
    before = summary(VALID, VALID, INVALID, INVALID, VALID, VALID, UNKNOWN, VALID)
    after = summary(VALID, INVALID, VALID, VALID, VALID, VALID, VALID, VALID)
    found = changes(before, after)
    assert found == [Change.WORSE, Change.BETTER, Change.SAME, Change.UNCLEAR]
    assert comparison.exit_status(differences(before, after)) == 1
    assert comparison.exit_status(differences(after, before)) == 1
    text = markdown.difference_report(differences(before, after), "monday", "tuesday")
    assert text.startswith("1 of 4 combinations are the same.")
    assert "| worse | 2 valid |" in text


@pytest.mark.parametrize(
    ("outcome", "change", "status"), [(VALID, Change.SAME, 0), (UNKNOWN, Change.UNCLEAR, 2)]
)
def test_unknown_is_never_the_same(outcome: Outcome, change: Change, status: int) -> None:
    one = expansion({"window": [1]})
    found = differences(summary(outcome, of=one), summary(VALID, of=one))
    assert [each.change for each in found] == [change]
    assert comparison.exit_status(found) == status


def test_losses_in_both_differ_only_if_their_intervals_do() -> None:
    twenty = expansion({"window": [1]}, repeats=20)
    few = summary(*[INVALID] * 2, *[VALID] * 18, of=twenty)
    some = summary(*[INVALID] * 4, *[VALID] * 16, of=twenty)
    all_lost = summary(*[INVALID] * 20, of=twenty)
    assert changes(few, some) == [Change.SAME]
    assert changes(few, all_lost) == [Change.WORSE]
    assert changes(all_lost, few) == [Change.BETTER]


def test_versions_are_compared_although_one_ignores_a_setting() -> None:
    handling = expansion(
        {"version": ["3.10.8", "4.3.6"], "partition-handling": ["autoheal", "pause_minority"]}
    )
    both = summary(INVALID, VALID, VALID, of=handling)
    found = differences(both, both, versions=("3.10.8", "4.3.6"))
    assert [one.change for one in found] == [Change.BETTER, Change.SAME]
    assert all("version" not in one.settings for one in found)


def test_combinations_of_one_side_are_named() -> None:
    less = expansion({"window": [1]})
    more = expansion({"window": [1, 2]})
    found = changes(summary(VALID, of=less), summary(VALID, VALID, of=more))
    assert found == [Change.SAME, Change.ONLY_AFTER]
    assert comparison.exit_status([]) == 2


def test_jobs_of_a_campaign_are_merged(tmp_path: Path) -> None:
    folders = [begun(tmp_path / name, FOUR) for name in ("a", "b")]
    first, second = FOUR.runs[:2]
    folders[0].save(first.id, Record((attempt(VALID, ended=5.0, folder="runs/1"),)))
    folders[1].save(first.id, Record((attempt(INVALID, ended=9.0, folder="runs/2"),)))
    folders[1].save(second.id, record(VALID))
    found = merged(folders)
    results: Mapping[str, str] = {one.run.id: one.verdict for one in found.results}
    assert results[first.id] == "invalid"
    assert results[second.id] == "valid"
    assert list(results.values()).count("not run") == 6
    assert '<a href="../b/runs/2/report.html">' in page(found)
    assert '<a href="b/runs/2/report.html">' in page(merged(folders, tmp_path))


def test_a_record_survives_json() -> None:
    made = Record((attempt(INVALID), attempt(None, "failed", error="n1 died")))
    assert Record.from_data(made.as_data()) == made
