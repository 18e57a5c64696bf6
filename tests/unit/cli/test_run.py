"""jepsenvm run: how options become a plan, what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.cli import run
from jepsenvm.errors import RunError
from jepsenvm.experiment.store import LOG, PLAN
from tests.unit.cli.conftest import Experiment, Inventories, Jepsenvm, assert_one_line, json_of


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.VALID, 0), (Verdict.INVALID, 1), (Verdict.UNKNOWN, 2)]
)
def test_the_exit_status_is_the_verdict(
    jepsenvm: Jepsenvm, experiment: Experiment, verdict: Verdict, status: int
) -> None:
    experiment.verdicts = [verdict]
    result = jepsenvm("run")
    assert result.exit_code == status
    assert verdict.upper() in result.stdout
    assert "because" in result.stdout
    (store,) = experiment.stores
    assert f"stored in {store.path}, report: {store.path}/report.html" in result.stdout
    assert verdict.upper() in (store.path / LOG).read_text()


def test_options_override_the_plan_file(jepsenvm: Jepsenvm, experiment: Experiment) -> None:
    Path("plan.yml").write_text("workload: order\nseed: 3\nconsumers: 4\n")
    words = ["--consumers", "2", "--set", "prefetch=20", "--name", "mine", "--time-limit", "120"]
    assert jepsenvm("run", "plan.yml", *words, "--no-deploy", "--store", "s").exit_code == 0
    (plan,) = experiment.plans
    assert (plan.workload, plan.seed, plan.consumers) == ("order", 3, 2)
    assert plan.prefetch == 20
    assert experiment.may_deploy == [False]
    (file,) = Path("s/mine").glob(f"*/{PLAN}")
    assert "consumers: 2" in file.read_text()


def test_the_machines_are_chosen_before_the_store_is_written(
    jepsenvm: Jepsenvm, experiment: Experiment, inventories: Inventories
) -> None:
    jepsenvm("run", "-i", "hosts.yml", "--existing", "--patience", "3")
    options = {"bring_up": True, "existing": True, "patience": 3.0}
    assert inventories.calls == [(Path("hosts.yml"), options)]
    assert experiment.may_deploy == [True]


def test_a_run_that_fails_is_one_line(
    jepsenvm: Jepsenvm, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Results:
        raise RunError("not everything could be healed: n1", remedy="run `jepsenvm heal`")

    monkeypatch.setattr(run, "run_experiment", fail)
    assert_one_line(jepsenvm("run"), 255, "could be healed: n1; run `jepsenvm heal`")


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["missing.yml"], ["missing.yml", "No such file"]),
        (["--nemesis", "earthquake"], ["--nemesis", "earthquake"]),
        (["--rate", "fast"], ["--rate", "fast"]),
        (["--set", "nonsense"], ["--set nonsense"]),
        (["--set", "no-such-key=1"], ["no-such-key"]),
        (["--publishers", "0"], ["publishers"]),
        (["--store"], ["--store"]),
    ],
)
def test_bad_usage_names_the_option(
    jepsenvm: Jepsenvm, experiment: Experiment, words: list[str], texts: list[str]
) -> None:
    assert_one_line(jepsenvm("run", *words), 254, *texts)
    assert experiment.plans == []
    assert not Path("store").exists()


def test_help_names_the_arguments_and_explains_every_option(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("run", "--help").stdout
    for word in ("PLAN.yml", "--workload", "--nemesis", "--store", "--set", "--no-deploy"):
        assert word in text
    for option in run.command.params[1:]:
        assert getattr(option, "help", None), f"{option.name} has no help"


def test_json_has_the_results_and_progress_goes_to_stderr(
    jepsenvm: Jepsenvm, experiment: Experiment
) -> None:
    experiment.verdicts = [Verdict.INVALID]
    result = jepsenvm("run", "--json")
    data = json_of(result, "run", 1)
    (store,) = experiment.stores
    assert (data["verdict"], data["folder"]) == ("invalid", str(store.path))
    assert data["results"]["reasons"] == ["because"]
    assert "INVALID" in result.stderr
