"""The command line with a fake inventory of two nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from jepsenvm.cli.json_shapes import SHAPES, ScenarioShape
from jepsenvm.cli.main import cli
from jepsenvm.errors import JepsenvmError
from jepsenvm.machines import cluster_lock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.plan.keys import keys_of
from tests.unit.fakes import LockedHosts

Jepsenvm = Callable[..., Result]


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

    def run(*words: object) -> Result:
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


def json_of(result: Result, command: str, status: int = 0) -> Any:
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


def assert_one_line(result: Result, status: int, *texts: str) -> None:
    """Assert that a command failed with this status and one line on stderr with these texts."""
    assert result.exit_code == status, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("jepsenvm: ")
    for text in texts:
        assert text in line
