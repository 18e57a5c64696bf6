"""jepsenvm resume: which machines it uses, what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.cli import resume
from jepsenvm.experiment.resume import UnfinishedRun
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.store import LOG, Store, create
from jepsenvm.history.journal import Journal
from jepsenvm.machines.inventory import Inventory
from jepsenvm.plan.plan import Plan
from tests.unit.cli.conftest import Inventories, Jepsenvm, assert_one_line, json_of


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, inventories: Inventories, tmp_path: Path) -> Store:
    """A run whose controller was killed."""
    store = create(tmp_path / "store", Plan(seed=1))
    Journal(store.history, lambda: 0)
    Resumption(str(tmp_path / "theirs.yml"), "rabbitmq", True, 2.5, "q", 0.0, "m", {}).write(store)
    monkeypatch.setattr(resume, "inventory_for", inventories)
    return store


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.VALID, 0), (Verdict.INVALID, 1), (Verdict.UNKNOWN, 2)]
)
def test_the_exit_status_is_the_verdict(
    jepsenvm: Jepsenvm,
    killed: Store,
    monkeypatch: pytest.MonkeyPatch,
    verdict: Verdict,
    status: int,
) -> None:
    def judge(run: UnfinishedRun, _inventory: Inventory, _watch: object) -> Results:
        assert run.store.path == killed.path.resolve()
        return Results(verdict, ("because",), {})

    monkeypatch.setattr(resume, "resume", judge)
    result = jepsenvm("resume", killed.path)
    assert result.exit_code == status
    assert verdict.upper() in result.stdout
    assert f"stored in {killed.path.resolve()}" in result.stdout
    assert verdict.upper() in (killed.path / LOG).read_text()


def test_the_inventory_of_the_run_is_the_default(
    jepsenvm: Jepsenvm,
    killed: Store,
    inventories: Inventories,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(resume, "resume", lambda *_: Results(Verdict.UNKNOWN, (), {}))
    jepsenvm("resume", killed.path)
    jepsenvm("resume", killed.path, "-i", "mine.yml", "--patience", "3")
    options = {"existing": True, "may_be_off": True}
    assert inventories.calls == [
        (tmp_path / "theirs.yml", {**options, "patience": 2.5}),
        (Path("mine.yml"), {**options, "patience": 3.0}),
    ]


def test_what_is_no_run_is_refused_in_one_line(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    assert_one_line(jepsenvm("resume", tmp_path), 254, "not the folder of a run")
    assert_one_line(jepsenvm("resume", tmp_path / "missing"), 254, "not the folder of a run")
    assert_one_line(jepsenvm("resume"), 254, "RUN")


def test_help_names_the_arguments(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("resume", "--help").stdout
    for word in ("RUN", "--inventory", "--patience", "--vault-password-file"):
        assert word in text


def test_json(jepsenvm: Jepsenvm, killed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "resume", lambda *_: Results(Verdict.UNKNOWN, ("because",), {}))
    result = jepsenvm("resume", killed.path, "--json")
    assert json_of(result, "resume", 2)["verdict"] == "unknown"
    assert "UNKNOWN" in result.stderr
