"""One experiment: what it leaves in the store when it succeeds, and when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import outputs
from jepsenvm.experiment import run as module
from jepsenvm.experiment import store as stores
from jepsenvm.experiment.prepare import Cluster, Prepared
from jepsenvm.experiment.run import finish, run_experiment
from jepsenvm.experiment.store import PLAN, REPORT, Store, create, history_file
from jepsenvm.history.journal import Journal
from jepsenvm.machines.inventory import Inventory
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.rabbitmq.topology_listing import Listing
from tests.unit.fakes import FakeFleet


class Fleet:
    closed: ClassVar[list[bool]] = []

    def __init__(self, _nodes: object, patience: float) -> None:
        assert patience == 1.0

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.append(True)


def inventory(tmp_path: Path, *, existing: bool = False) -> Inventory:
    path = tmp_path / "hosts.yml"
    return Inventory(path, "cloud", (), tmp_path / "secrets", {}, existing=existing)


def fake(
    monkeypatch: pytest.MonkeyPatch,
    *,
    execute: Callable[[Prepared, Store], Results],
    seed: int = 1,
) -> list[str]:
    """Replace preparation, phases and virtual host; return what is done with the virtual host."""
    acts: list[str] = []
    login = Credentials("u", "p")

    def prepare(
        _plan: Plan,
        on: Inventory,
        fleet: Any,
        _lock: object,
        *,
        may_deploy: bool,
        accept_version: object,
    ) -> Prepared:
        assert may_deploy
        assert accept_version is None
        return Prepared(Plan(seed=seed), (), Cluster(on, fleet, {}, login))

    def create_virtual_host(*_: object) -> bool:
        acts.append("create")
        return True

    def remove_virtual_host(_fleet: object, *, created: bool, decided: bool) -> None:
        acts.append(f"remove {created} {decided}")

    monkeypatch.setattr(module, "Fleet", Fleet)
    monkeypatch.setattr(module, "finish", lambda *_: acts.append("finish"))
    monkeypatch.setattr(module, "prepare", prepare)
    monkeypatch.setattr(module, "execute", lambda prepared, store, _: execute(prepared, store))
    monkeypatch.setattr(module, "create_virtual_host", create_virtual_host)
    monkeypatch.setattr(module, "remove_virtual_host", remove_virtual_host)
    return acts


def with_history(verdict: Verdict) -> Callable[[Prepared, Store], Results]:
    def execute(_prepared: Prepared, store: Store) -> Results:
        Journal(store.history, lambda: 0).close()
        return Results(verdict, (), {})

    return execute


def run(tmp_path: Path, *, existing: bool = False) -> tuple[Store, Results]:
    store = create(tmp_path / "store", Plan(seed=1))
    on = inventory(tmp_path, existing=existing)
    return store, run_experiment(Plan(seed=1), on, store, lambda *_: None, may_deploy=True)


def test_a_run_leaves_its_plan_report_and_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    acts = fake(monkeypatch, execute=with_history(Verdict.VALID), seed=9)
    store, results = run(tmp_path)
    assert results.verdict is Verdict.VALID
    assert acts == ["finish"]
    assert "seed: 9" in (store.path / PLAN).read_text()
    assert "VALID" in (store.path / REPORT).read_text()
    assert (tmp_path / "store" / "latest").resolve() == store.path.resolve()
    assert history_file(store.path) == store.history


@pytest.mark.parametrize(
    ("verdict", "decided", "finished"),
    [
        (Verdict.VALID, True, []),
        (Verdict.INVALID, True, []),
        (Verdict.UNKNOWN, False, ["finish"]),
    ],
)
def test_an_existing_cluster_is_tested_in_a_virtual_host(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verdict: Verdict,
    decided: bool,
    finished: list[str],
) -> None:
    acts = fake(monkeypatch, execute=with_history(verdict))
    run(tmp_path, existing=True)
    assert acts == ["create", *finished, f"remove True {decided}"]


@pytest.mark.parametrize("error", [UsageError("no"), KeyboardInterrupt("no"), ValueError("no")])
def test_a_run_that_ends_before_its_history_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def refuse(_prepared: Prepared, _store: Store) -> Results:
        raise error

    fake(monkeypatch, execute=refuse)
    with pytest.raises(type(error), match="no"):
        run(tmp_path)
    assert not list((tmp_path / "store").rglob(PLAN))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a plot")])
def test_a_report_that_cannot_be_made_does_not_change_the_verdict(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail(*_: object) -> str:
        raise error

    fake(monkeypatch, execute=with_history(Verdict.INVALID))
    monkeypatch.setattr(outputs, "page", fail)
    with caplog.at_level("INFO", "jepsenvm"):
        store, results = run(tmp_path)
    assert results.verdict is Verdict.INVALID
    (line,) = [line for line in caplog.messages if REPORT in line]
    assert line.startswith(f"{store.path / REPORT} could not be written: ")
    assert "the verdict stays" in line


def test_results_that_cannot_be_written_do_not_change_the_verdict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = create(tmp_path / "store", Plan(seed=1))
    monkeypatch.setattr(Path, "replace", full)
    with caplog.at_level("INFO", "jepsenvm"):
        outputs.write_results(store, Results(Verdict.VALID, (), {}))
    (line,) = caplog.messages
    assert "results.json could not be written: No space left on device" in line
    assert not list(store.path.glob(".results*"))


def test_a_run_that_fails_midway_keeps_its_history(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_prepared: Prepared, store: Store) -> Results:
        Journal(store.history, lambda: 0)
        raise RunError("midway")

    acts = fake(monkeypatch, execute=fail)
    with pytest.raises(RunError, match="midway"):
        run(tmp_path, existing=True)
    assert len(list((tmp_path / "store").rglob(stores.HISTORY))) >= 1
    assert acts == ["create", "remove True False"]


def test_a_store_without_space_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stores, "MIN_FREE_BYTES", 1 << 80)
    with pytest.raises(UsageError, match=r"MB free, a run needs .*; free some space or choose"):
        create(tmp_path / "store", Plan())
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        create(file, Plan())


def test_a_missing_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"history\.arrow: there is no such history"):
        history_file(tmp_path)


@pytest.mark.parametrize(
    ("queues", "exchanges", "recorded"),
    [
        (["jepsenvm.quorum.{}"], [""], ["", "jepsenvm.quorum.{}"]),
        (["theirs"], ["jepsenvm.quorum.{}.7"], ["jepsenvm.quorum.{}.7", "theirs"]),
        (["theirs"], ["amq.topic"], None),
    ],
)
def test_a_run_is_recorded_as_finished_while_a_queue_or_an_exchange_of_it_exists(
    queues: list[str],
    exchanges: list[str],
    recorded: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = "20261125T140311.000000Z"
    store: Any = SimpleNamespace(path=Path("store") / run)

    def named(templates: list[str]) -> list[str]:
        return [template.format(run) for template in templates]

    asked: list[tuple[list[str], list[str]]] = []
    listed = Listing(frozenset(named(queues)), frozenset(named(exchanges)), frozenset())
    monkeypatch.setattr(module, "listing", lambda *_: listed)
    monkeypatch.setattr(module, "finished_runs", lambda *_: frozenset({"earlier"}))
    monkeypatch.setattr(
        module,
        "record_finished",
        lambda _fleet, _node, runs, names: asked.append((sorted(runs), sorted(names))),
    )
    finish(FakeFleet("n1"), store)
    assert asked == ([] if recorded is None else [([run, "earlier"], named(recorded))])
