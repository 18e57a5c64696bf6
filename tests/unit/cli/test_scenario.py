"""jepsenvm scenario: what it lists, shows and runs, and what a run leaves in the store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import UsageError
from jepsenvm.experiment.store import LOG, Store
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios import library
from jepsenvm.scenarios.comparison import Comparison
from jepsenvm.scenarios.reading import read_scenario
from jepsenvm.scenarios.record import FILE, Record
from tests.unit.cli.conftest import Experiment, Inventories, Jepsenvm, assert_one_line, json_of
from tests.unit.scenarios.test_from_run import stored
from tests.unit.scenarios.texts import write


def test_list_shows_every_scenario(jepsenvm: Jepsenvm) -> None:
    result = jepsenvm("scenario", "list")
    assert result.exit_code == 0
    for name in library.names():
        assert name in result.stdout


def test_list_as_json_has_everything(jepsenvm: Jepsenvm) -> None:
    listed = json.loads(jepsenvm("scenario", "list", "--json").stdout)
    assert [entry["name"] for entry in listed] == library.names()
    assert all(entry["source"] and entry["expected"] and entry["plan"] for entry in listed)


def test_show_has_the_story_the_source_and_a_plan_that_can_be_run(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("scenario", "show", "aphyr-2014").stdout
    for word in ("Kyle Kingsbury", "35 %", ">=3.3,<4.0", "none recorded", "pause_minority"):
        assert word in text
    assert json.loads(jepsenvm("scenario", "show", "blip", "--json").stdout)["name"] == "blip"


def test_show_prints_no_control_characters_of_a_file(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    path = write(tmp_path, story="a \x1b[31mred\x1b[0m story", title="a\u202etitle")
    text = jepsenvm("scenario", "show", path).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text


def test_an_unknown_scenario_is_one_line(jepsenvm: Jepsenvm) -> None:
    assert_one_line(jepsenvm("scenario", "show", "blibp"), 254, "'blibp'", "did you mean blip?")


@pytest.mark.parametrize(
    ("version", "verdict", "status", "texts"),
    [
        ("3.10.8", Verdict.VALID, 0, ["valid, as expected (valid)", "All is well."]),
        ("3.10.8", Verdict.INVALID, 1, ["invalid, worse than expected (valid)", "are lost."]),
        ("3.10.8", Verdict.UNKNOWN, 2, ["unknown, not decided (valid)", "did not prove enough"]),
        ("4.0.5", Verdict.INVALID, 1, ["4.0.5: invalid, as expected (invalid)"]),
        ("4.0.5", Verdict.VALID, 0, ["4.0.5: valid, better than expected (invalid)"]),
        ("4.1.2", Verdict.VALID, 0, ["4.1.2: valid, no expectation for this version"]),
    ],
)
def test_a_run_is_compared_with_the_expectation_for_its_version(
    jepsenvm: Jepsenvm,
    experiment: Experiment,
    version: str,
    verdict: Verdict,
    status: int,
    texts: list[str],
) -> None:
    expected = [
        {"versions": "<4.0", "verdict": "valid"},
        {"versions": "==4.0.*", "verdict": "invalid"},
        {"versions": ">=4.1", "verdict": "none recorded"},
    ]
    write(Path(), "seed: 5", expected=expected)
    experiment.version, experiment.verdicts = version, [verdict]
    result = jepsenvm("scenario", "run", "./mine.yml")
    assert result.exit_code == status, result.output
    (store,) = experiment.stores
    assert store.path.parent == Path("store/mine")
    for text in texts:
        assert text in result.stdout
        assert text in (store.path / LOG).read_text()
    record = Record.read(store.path)
    assert record is not None
    assert (record.scenario, record.rabbitmq, record.verdict) == ("mine", version, verdict)
    assert f"{verdict}, {record.comparison}" in result.stdout


def test_an_invalid_run_for_another_reason_says_so(
    jepsenvm: Jepsenvm, experiment: Experiment
) -> None:
    expected = [{"versions": ">=3.8", "verdict": "invalid", "checkers": ["availability"]}]
    write(Path(), expected=expected)
    experiment.verdicts = [Verdict.INVALID]
    text = jepsenvm("scenario", "run", "./mine.yml").stdout
    assert "invalid, worse than expected (invalid)" in text
    assert "invalid for another reason than expected: total-queue" in text


def test_repetitions_have_the_next_seeds_and_the_worst_status(
    jepsenvm: Jepsenvm, experiment: Experiment
) -> None:
    rare = {"versions": ">=3.8", "verdict": "invalid", "certainty": "rare"}
    write(Path(), "seed: 5", expected=[rare], repeat=3)
    experiment.verdicts = [Verdict.VALID, Verdict.INVALID, Verdict.VALID]
    result = jepsenvm("scenario", "run", "./mine.yml")
    assert result.exit_code == 1
    assert [plan.seed for plan in experiment.plans] == [5, 6, 7]
    assert "3 runs: 2 valid, 1 invalid; 3 as expected" in result.stdout
    records = [Record.read(store.path) for store in experiment.stores]
    assert [record and (record.repetition, record.repeat) for record in records] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


def test_json_has_every_run_and_the_worst_verdict(
    jepsenvm: Jepsenvm, experiment: Experiment
) -> None:
    write(Path(), expected=[{"versions": ">=3.8", "verdict": "valid"}], repeat=2)
    experiment.verdicts = [Verdict.VALID, Verdict.INVALID]
    result = jepsenvm("scenario", "run", "./mine.yml", "--json")
    data = json_of(result, "scenario run", 1)
    assert data["verdict"] == "invalid"
    first, second = data["runs"]
    assert (first["verdict"], first["comparison"]) == ("valid", "as expected")
    assert (second["comparison"], second["rabbitmq"]) == ("worse than expected", "3.10.8")
    assert [run["folder"] for run in data["runs"]] == [str(s.path) for s in experiment.stores]
    assert "2 runs" in result.stderr


def test_options_choose_the_repetitions_the_seed_the_store_and_the_machines(
    jepsenvm: Jepsenvm, experiment: Experiment, inventories: Inventories
) -> None:
    write(Path(), "seed: 5")
    words = ["--repeat", "2", "--seed", "40", "--store", "s", "--no-deploy"]
    machines = ["-i", "hosts.yml", "--existing", "--patience", "3"]
    assert jepsenvm("scenario", "run", "./mine.yml", *words, *machines).exit_code == 0
    assert [plan.seed for plan in experiment.plans] == [40, 41]
    assert experiment.may_deploy == [False, False]
    assert {store.path.parent for store in experiment.stores} == {Path("s/mine")}
    options = {"bring_up": True, "existing": True, "patience": 3.0}
    assert inventories.calls == [(Path("hosts.yml"), options)]


@pytest.mark.parametrize(
    ("name", "version", "texts"),
    [
        ("aphyr-2014", "4.0.5", ["mirrored queues were removed in RabbitMQ 4.0"]),
        ("quorum-autoheal", "4.3.6", ["partition-handling: RabbitMQ ignores it since 4.3"]),
        ("rabbitmq-ci-08", "3.10.8", ["applies to RabbitMQ >=4.0, and the nodes run 3.10.8"]),
        ("power-stream", "3.10.8", ["needs 3 nodes", "--nodes 3"]),
    ],
)
def test_what_a_cluster_cannot_show_is_refused_and_leaves_nothing(
    jepsenvm: Jepsenvm, experiment: Experiment, name: str, version: str, texts: list[str]
) -> None:
    experiment.version = version
    result = jepsenvm("scenario", "run", name)
    assert_one_line(result, 254, *texts)
    assert experiment.plans == []
    assert not list(Path().rglob(FILE))


def test_a_damaged_record_is_refused_and_a_plain_run_has_none(tmp_path: Path) -> None:
    assert Record.read(tmp_path) is None
    for text in ("{", "[]", '{"scenario": 1}', json.dumps({"verdict": "lost"})):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(UsageError, match=r"scenario.json: damaged"):
            Record.read(tmp_path)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    begun = Record("mine", 1, 2)
    finished = begun.of("4.0.5", "invalid (rare)", Verdict.VALID, Comparison.BETTER)
    for record in (begun, finished):
        record.write(Store(tmp_path))
        assert Record.read(tmp_path) == record


def test_new_writes_a_scenario_and_overwrites_nothing(
    jepsenvm: Jepsenvm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = stored(tmp_path, Plan(seed=9), {})
    assert jepsenvm("scenario", "new", "outage", "--from", run).exit_code == 0
    assert read_scenario(Path("outage.yml")).plan.seed == 9
    before = Path("outage.yml").read_text()
    refused = jepsenvm("scenario", "new", "outage", "--from", run)
    assert_one_line(refused, 254, "outage.yml: exists already; choose another name")
    assert Path("outage.yml").read_text() == before
    elsewhere = ["--output", "missing"]
    refused = jepsenvm("scenario", "new", "other", "--from", run, *elsewhere)
    made = jepsenvm("scenario", "new", "third", "--from", run, "--json")
    assert json_of(made, "scenario new") == {"file": "third.yml"}
    assert_one_line(refused, 254, "missing/other.yml: cannot be written")
    assert_one_line(
        jepsenvm("scenario", "new", "x", "--from", tmp_path), 254, "there is no such history"
    )


def test_json(jepsenvm: Jepsenvm) -> None:
    scenarios = json_of(jepsenvm("scenario", "list", "--json"), "scenario list")
    name = scenarios[0]["name"]
    assert json_of(jepsenvm("scenario", "show", name, "--json"), "scenario show") == scenarios[0]
