"""jepsenvm campaign: what its commands print, write and exit with. Nothing is run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
import yaml

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.runner import Ended
from jepsenvm.cli import campaign
from tests.unit.campaign.builders import INVALID, UNKNOWN, VALID, FakeRunner
from tests.unit.cli.conftest import Jepsenvm, assert_one_line, json_of

CONTENT: dict[str, Any] = {
    "name": "nightly",
    "plan": {"time-limit": 75},
    "matrix": {
        "version": ["3.10.8", "4.0.5"],
        "queue-type": ["quorum", "mirrored"],
    },
    "retries": 0,
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRunner:
    made = FakeRunner()
    monkeypatch.setattr(campaign, "ProcessRunner", lambda *_: made)
    monkeypatch.chdir(tmp_path)
    write()
    return made


def write(**changes: Any) -> None:
    Path("c.yml").write_text(yaml.safe_dump({**CONTENT, **changes}, sort_keys=False))


def mirrored(answer: Ended) -> Any:
    def answered(run: PlannedRun, _number: int) -> Ended:
        return answer if run.settings["queue-type"] == "mirrored" else Ended("verdict", VALID)

    return answered


def test_a_plan_lists_runs_and_what_is_left_out(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    result = jepsenvm("campaign", "plan", "c.yml")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 5
    assert "3.10.8, queue, mirrored" in result.stdout
    assert "left out: 4.0.5, mirrored: queue-type: mirrored queues were removed" in result.stdout
    assert lines[-1].startswith("3 runs on 2 clusters, about ")
    assert fake.ran == []


def test_a_plan_as_json(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    data = json.loads(jepsenvm("campaign", "plan", "c.yml", "--json").stdout)
    assert [run["settings"]["version"] for run in data["runs"]] == ["3.10.8", "3.10.8", "4.0.5"]
    assert len(data["left-out"]) == 1
    github = json.loads(jepsenvm("campaign", "plan", "c.yml", "--format", "github").stdout)
    assert [job["cluster"] for job in github["include"]] == [
        "3.10.8-autoheal-15",
        "4.0.5-autoheal-15",
    ]


@pytest.mark.parametrize(
    ("answer", "expected", "status"),
    [
        (Ended("verdict", VALID), "valid", 0),
        (Ended("verdict", INVALID), "valid", 1),
        (Ended("verdict", INVALID), "invalid", 0),
        (Ended("verdict", INVALID), "any", 0),
        (Ended("verdict", UNKNOWN), "any", 2),
        (Ended("failed", error="n1 died"), "valid", 2),
        (Ended("refused", error="no netem"), "valid", 2),
    ],
)
def test_the_exit_status_compares_with_the_expectation(
    jepsenvm: Jepsenvm, fake: FakeRunner, answer: Ended, expected: str, status: int
) -> None:
    write(expect=[{"match": {"queue-type": "mirrored"}, "verdict": expected}])
    fake.answer = mirrored(answer)
    result = jepsenvm("campaign", "run", "c.yml", "--junit", "j.xml", "--summary", "s.md")
    assert result.exit_code == status, result.output
    assert "3 runs: about " in result.stdout
    assert "(3 of 3, 0 s left)" in result.stdout
    assert "report: campaigns/nightly/report.html" in result.stdout
    html = Path("campaigns/nightly/report.html").read_text()
    assert html.startswith("<!doctype html>")
    (suite,) = ET.parse("j.xml").getroot()  # noqa: S314 - our own XML
    assert suite.get("failures") == str(int(status == 1))
    assert suite.get("errors") == str(int(status == 2))
    assert Path("s.md").read_text().startswith("# nightly\n")
    again = jepsenvm("campaign", "run", "c.yml")
    assert again.exit_code == status
    assert "3 runs: 3 are done" in again.stdout
    report = jepsenvm("campaign", "report", "campaigns/nightly")
    assert report.exit_code == status
    text = jepsenvm("campaign", "report", "campaigns/nightly", "--format", "markdown")
    assert text.exit_code == status
    assert text.stdout == Path("s.md").read_text()


def test_links_of_ci_files_start_at_their_own_folders(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    folder = Path("campaigns/nightly/runs/x y")
    fake.answer = mirrored(Ended("verdict", INVALID, folder=folder))
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("")
    Path("ci").mkdir()
    files = ["--junit", "ci/j.xml", "--summary", "s.md"]
    assert jepsenvm("campaign", "run", "c.yml", *files).exit_code == 1
    again = ["--junit", "ci/again.xml", "--summary", "ci/s.md", "-o", "ci/all.html"]
    assert jepsenvm("campaign", "report", "campaigns/nightly", *again).exit_code == 1
    for file in map(Path, ("s.md", "ci/j.xml", "ci/again.xml", "ci/s.md", "ci/all.html")):
        addresses = re.findall(r"[^\s\"(]+report\.html(?=#)", file.read_text())
        assert len(addresses) >= 3
        for address in addresses:
            assert (file.parent / unquote(address)).samefile(folder / "report.html")


def test_a_job_runs_one_cluster_and_the_report_has_all(
    jepsenvm: Jepsenvm, fake: FakeRunner
) -> None:
    for cluster, folder in (("3.10.8-autoheal-15", "a"), ("4.0.5-autoheal-15", "b")):
        words = ["--cluster", cluster, "--dir", folder]
        assert jepsenvm("campaign", "run", "c.yml", *words).exit_code == 0
    assert len(fake.ran) == 3
    assert jepsenvm("campaign", "report", "a").exit_code == 2
    assert jepsenvm("campaign", "report", "a", "b", "-o", "all.html").exit_code == 0
    assert Path("all.html").exists()
    assert_one_line(
        jepsenvm("campaign", "run", "c.yml", "--cluster", "x"), 254, "3.10.8-autoheal-15"
    )


def test_machines_of_the_options_replace_those_of_the_file(
    jepsenvm: Jepsenvm, fake: FakeRunner
) -> None:
    assert jepsenvm("campaign", "run", "c.yml", "--lab", "a", "--lab", "b").exit_code == 0
    assert {name for name, _, _ in fake.prepared} == {"lab a", "lab b"}
    for words in (["--lab", "a", "--lab", "a"], ["--lab", "a;b"], ["-i", "h.yml"]):
        assert_one_line(jepsenvm("campaign", "run", "c.yml", "--dir", "d", *words), 254)


def test_a_budget_leaves_runs_for_the_next_time(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    result = jepsenvm("campaign", "run", "c.yml", "--budget", "1m")
    assert result.exit_code == 2
    assert "the budget is used up: the same command runs the rest" in result.stdout
    assert "3 not run" in result.stdout
    assert fake.ran == []
    assert_one_line(jepsenvm("campaign", "run", "c.yml", "--budget", "soon"), 254, "--budget")
    assert_one_line(jepsenvm("campaign", "run", "c.yml", "--budget", "0"), 254, "--budget")


def test_a_deployment_that_fails_is_reported(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    fake.breaks = lambda cluster: cluster.version == "4.0.5"
    result = jepsenvm("campaign", "run", "c.yml")
    assert result.exit_code == 2
    assert "could not be deployed: `jepsenvm deploy` exited 255: no host answers" in result.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: c", "the matrix is empty: 0 runs"),
        ("name: c\nmatrix: {window: [1]}\nmatrix: {}", "given twice"),
        ("name: c\nmatrix: {window: &a [1], prefetch: *a}", "anchors"),
        ("- 1", "is a mapping"),
    ],
)
def test_a_bad_file_is_one_line(
    jepsenvm: Jepsenvm, fake: FakeRunner, text: str, words: str
) -> None:
    Path("bad.yml").write_text(text)
    for command in ("plan", "run"):
        assert_one_line(jepsenvm("campaign", command, "bad.yml"), 254, "bad.yml: ", words)
    assert not Path("campaigns").exists()


def test_other_folders_are_refused(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    assert_one_line(jepsenvm("campaign", "report", "."), 254, "not the folder of a campaign")
    assert_one_line(jepsenvm("campaign", "diff", ".", "."), 254, "not the folder of a campaign")
    assert_one_line(jepsenvm("campaign", "diff", "."), 254, "--versions")


def test_two_dates_are_compared(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    jepsenvm("campaign", "run", "c.yml", "--dir", "monday")
    fake.answer = mirrored(Ended("verdict", INVALID))
    jepsenvm("campaign", "run", "c.yml", "--dir", "tuesday")
    result = jepsenvm("campaign", "diff", "monday", "tuesday")
    assert result.exit_code == 1
    assert "2 of 3 combinations are the same" in result.stdout
    assert "| worse | 1 valid |" in result.stdout
    assert jepsenvm("campaign", "diff", "monday", "monday").exit_code == 0
    assert jepsenvm("campaign", "diff", "tuesday", "monday").exit_code == 0


def test_two_versions_are_compared(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    jepsenvm("campaign", "run", "c.yml")
    words = ["campaigns/nightly", "--versions", "3.10.8", "4.0.5"]
    result = jepsenvm("campaign", "diff", *words)
    assert result.exit_code == 0
    assert "only before" in result.stdout
    words = ["campaigns/nightly", "--versions", "3.0", "5.0"]
    assert_one_line(jepsenvm("campaign", "diff", *words), 254, "check --versions")


def test_names_of_the_file_do_not_control_the_terminal(
    jepsenvm: Jepsenvm, fake: FakeRunner
) -> None:
    write(matrix={"queue-type": ["quorum\x1b[31m"]})
    assert_one_line(jepsenvm("campaign", "plan", "c.yml"), 254)
    assert "\x1b" not in jepsenvm("campaign", "plan", "c.yml").output


def test_the_folder_keeps_every_plan(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    jepsenvm("campaign", "run", "c.yml")
    folder = Folder(Path("campaigns/nightly"))
    for run in folder.expansion().runs:
        assert folder.plan_of(run.id).read_text() == run.plan


def test_json(jepsenvm: Jepsenvm, fake: FakeRunner) -> None:
    plan = json_of(jepsenvm("campaign", "plan", "c.yml", "--json"), "campaign plan")
    assert len(plan["runs"]) == 3
    fake.answer = mirrored(Ended("verdict", INVALID))
    result = jepsenvm("campaign", "run", "c.yml", "--dir", "d", "--json")
    data = json_of(result, "campaign run", result.exit_code)
    assert data["report"] == "d/report.html"
    assert {"invalid": 1} in [line["verdicts"] for line in data["lines"]]
    assert "3 runs" in result.stderr
    again = jepsenvm("campaign", "report", "d", "--json")
    assert json_of(again, "campaign report", result.exit_code) == data
    compared = jepsenvm("campaign", "diff", "d", "--versions", "3.10.8", "4.0.5", "--json")
    changes = json_of(compared, "campaign diff", compared.exit_code)
    assert {change["change"] for change in changes} <= {"same", "only before", "unclear"}
