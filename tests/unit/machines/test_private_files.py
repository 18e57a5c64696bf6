"""Files and folders that may hold secrets are for their owner only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cli.run_progress import RunProgress
from jepsenvm.errors import UsageError
from jepsenvm.experiment import store
from jepsenvm.experiment.logs import collect
from jepsenvm.experiment.store import create
from jepsenvm.machines import ansible
from jepsenvm.machines.lab import locks, topology
from jepsenvm.plan.plan import Plan
from tests.unit.fakes import FakeFleet


@pytest.fixture(autouse=True)
def an_open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_the_plan_and_the_logs_of_a_run(tmp_path: Path) -> None:
    run = create(tmp_path / "store", Plan())
    progress = RunProgress()
    with progress.kept_in(run.path / store.LOG):
        pass
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = "7 12 rabbit@n1.log\n"
    collect(fleet, run, {"n1": {}})
    files = [run.path / store.PLAN, run.path / store.LOG, run.path / "nodes/n1/rabbit@n1.log"]
    assert {mode(file) for file in files} == {"0o600"}
    assert {mode(run.path / "nodes"), mode(run.path / "nodes/n1")} == {"0o700"}


def test_the_output_of_ansible(tmp_path: Path) -> None:
    with ansible._log(tmp_path / "ansible.log") as write:
        write("TASK [x] \x1b[31m")
    assert (tmp_path / "ansible.log").read_text() == "TASK [x] \\x1b[31m\n"
    assert mode(tmp_path / "ansible.log") == "0o600"


def test_the_cache_of_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a cache that an earlier version made."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(topology, "CACHE", cache)
    with locks.one_at_a_time():
        assert mode(cache) == "0o700"
    cache.chmod(0o755)
    with locks.one_at_a_time():
        assert mode(cache) == "0o700"


@pytest.mark.parametrize(
    "value", ["{{ lookup('pipe', 'id') }}", "a{% x %}", "{# x #}", ["{{ x }}"]]
)
def test_no_value_becomes_a_template(value: Any) -> None:
    with pytest.raises(
        UsageError, match=r"rabbitmq_file is .*, which Ansible would take for a temp"
    ):
        ansible._require_no_templates({"rabbitmq_version": "4.1.3", "rabbitmq_file": value})
