"""The command line with a fake inventory of two nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from click.testing import Result as Answer

from jepsenvm.checkers.verdict import Result, Results, Verdict
from jepsenvm.cli import run, scenario
from jepsenvm.cli.json_shapes import SHAPES, ScenarioShape
from jepsenvm.cli.main import cli
from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.experiment.prepare import AcceptVersion
from jepsenvm.experiment.store import Store
from jepsenvm.machines import cluster_lock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios import running
from tests.unit.fakes import LockedHosts

Jepsenvm = Callable[..., Answer]


def node(name: str, number: int) -> Node:
    address = f"10.0.0.{number}"
    return Node(
        name=name,
        ssh_host=address,
        ssh_port=None,
        ssh_user=None,
        ssh_key=None,
        known_hosts=None,
        become_password=None,
        cluster_address=address,
        amqp_host=address,
        amqp_port=5672,
    )


@pytest.fixture
def jepsenvm() -> Jepsenvm:
    """Run the command line with these words; the result has its exit status, stdout and stderr."""

    def run(*words: object) -> Answer:
        return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jepsenvm")

    return run


class NoFleet:
    """Stands for a fleet whose SSH connections are not used."""

    patience: ClassVar[float] = 1.0

    def __init__(self, nodes: Sequence[Node], *_: object, **__: object) -> None:
        self.nodes = {node.name: node for node in nodes}

    def each_or_error(
        self, task: Callable[[str], Any], nodes: Sequence[str] | None = None
    ) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for node in nodes if nodes is not None else self.nodes:
            try:
                answers[node] = task(node)
            except JepsenvmError as error:
                answers[node] = error
        return answers

    def __enter__(self) -> NoFleet:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def locks(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> LockedHosts:
    """The locks of the hosts."""
    hosts = LockedHosts(tmp_path_factory.mktemp("locks"))
    monkeypatch.setattr(cluster_lock, "_ask", hosts.ask)
    return hosts


@dataclass
class Inventories:
    """Stands for ``inventory_for``, and remembers how it was called."""

    inventory: Inventory
    calls: list[tuple[Path | None, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, path: Path | None, **options: Any) -> Inventory:
        self.calls.append((path, options))
        return self.inventory


@pytest.fixture
def inventories(tmp_path: Path) -> Inventories:
    nodes = (node("n1", 1), node("n2", 2))
    return Inventories(Inventory(tmp_path / "hosts.yml", "cloud", nodes, tmp_path / "secrets", {}))


@dataclass
class Experiment:
    """Stands for ``run_experiment`` on a cluster with this version."""

    version: str = "3.10.8"
    verdicts: list[Verdict] = field(default_factory=lambda: [Verdict.VALID])
    plans: list[Plan] = field(default_factory=list)
    may_deploy: list[bool] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    def __call__(
        self,
        plan: Plan,
        _on: Inventory,
        store: Store,
        _show: Any,
        *,
        may_deploy: bool,
        accept_version: AcceptVersion | None = None,
    ) -> Results:
        try:
            if accept_version is not None:
                accept_version(self.version)
        except UsageError:
            store.discard()
            raise
        self.plans.append(plan)
        self.stores.append(store)
        self.may_deploy.append(may_deploy)
        turn = min(len(self.plans), len(self.verdicts)) - 1
        verdict = self.verdicts[turn]
        return Results(verdict, ("because",), {"total-queue": Result(verdict)})


@pytest.fixture
def experiment(
    monkeypatch: pytest.MonkeyPatch, inventories: Inventories, tmp_path: Path
) -> Experiment:
    """The experiment of `jepsenvm run` and `jepsenvm scenario run`, in a folder of its own."""
    fake = Experiment()
    for command in (run, scenario):
        monkeypatch.setattr(command, "inventory_for", inventories)
    for caller in (run, running):
        monkeypatch.setattr(caller, "run_experiment", fake)
    monkeypatch.chdir(tmp_path)
    return fake


def json_of(result: Answer, command: str, status: int = 0) -> Any:
    """Return the JSON that a command has printed; assert its documented shape and its status."""
    assert result.exit_code == status, result.output
    data, shape = json.loads(result.stdout), SHAPES[command]
    model = shape[0] if isinstance(shape, list) else shape
    keys = {key.key for key in keys_of(model)}
    assert isinstance(data, list) == isinstance(shape, list)
    for one in data if isinstance(data, list) else [data]:
        # A scenario has the keys of its file, too.
        assert set(one) == keys or (model is ScenarioShape and set(one) > keys)
    return data


PRINTS_IMPORTS = """
import sys
from jepsenvm.cli.main import main
try:
    main()
finally:
    print("imported", *sys.modules)
"""


def imported_by(*words: str) -> tuple[int, set[str]]:
    """Run the command line in a process; return its exit status and the modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PRINTS_IMPORTS, *words], capture_output=True, text=True, check=False
    )
    mark, *modules = done.stdout.splitlines()[-1].split()
    assert mark == "imported"
    return done.returncode, set(modules)


def assert_one_line(result: Answer, status: int, *texts: str) -> None:
    """Assert that a command failed with this status and one line on stderr with these texts."""
    assert result.exit_code == status, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("jepsenvm: ")
    for text in texts:
        assert text in line
