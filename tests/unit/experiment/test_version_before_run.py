"""The version of RabbitMQ before a deployment: running, requested, installed or available."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.experiment.version_before_run import version_before_run
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Output
from jepsenvm.rabbitmq.ctl import Settings
from tests.unit.fakes import FakeFleet


class Hosts(FakeFleet):
    """Hosts whose commands print these texts."""

    def __init__(self, tools: str = "", candidate: str = "") -> None:
        super().__init__("n1", "n2")
        self._texts = {"rabbitmqctl": tools, "apt-cache": candidate}

    def run(self, node: str, script: str, **options: Any) -> Output:
        super().run(node, script)
        text = next(text for word, text in self._texts.items() if word in script)
        return Output(f"{text}\n", "", 0 if text else 1)


def found(
    hosts: Hosts,
    running: Mapping[str, str] | None = None,
    variables: Mapping[str, object] | None = None,
) -> str | None:
    settings = {node: Settings(of, "autoheal", 15) for node, of in (running or {}).items()}
    inventory = Inventory(Path("/hosts.yml"), "cloud", (), Path("/secrets"), dict(variables or {}))
    return version_before_run(settings, hosts, inventory)


def test_the_version_that_runs_counts_and_nothing_else_is_asked() -> None:
    hosts = Hosts("3.8.9", "4.0.5-1")
    assert found(hosts, {"n1": "3.10.8", "n2": "3.10.8"}) == "3.10.8"
    assert found(hosts, {"n1": "3.10.8", "n2": "4.0.5"}) is None
    assert hosts.scripts == []


@pytest.mark.parametrize(
    ("tools", "candidate", "version"),
    [
        ("3.10.8", "4.0.5-1", "3.10.8"),
        ("", "3.10.8-1.1+deb12u1", "3.10.8"),
        ("", "1:4.0.5-4", "4.0.5"),
        ("", "(none)", None),
        ("", "", None),
        ("Error: no Erlang", "4.3.6-1", "4.3.6"),
    ],
)
def test_hosts_without_a_running_broker_are_asked(
    tools: str, candidate: str, version: str | None
) -> None:
    assert found(Hosts(tools, candidate)) == version


@pytest.mark.parametrize(
    ("variables", "version"),
    [
        ({"rabbitmq_version": "4.1.3"}, "4.1.3"),
        ({"rabbitmq_source": "apt", "rabbitmq_version": "4.1.3-1"}, "4.1.3"),
        ({"rabbitmq_source": "archive"}, None),
        ({"rabbitmq_version": "newest"}, None),
    ],
)
def test_what_the_inventory_requests_comes_before_what_is_installed(
    variables: dict[str, object], version: str | None
) -> None:
    assert found(Hosts("3.10.8", "3.10.8-1"), variables=variables) == version
