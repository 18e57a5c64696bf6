"""A rolling upgrade under load."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from jepsenvm.machines.lab.base import base_path
from tests.lab import debs
from tests.lab.conftest import JEPSENVM, jepsenvm, on, results
from tests.lab.suites import UPGRADED, deployed, plan_file


def package(folder: Path, version: str) -> str:
    """Return a copy of the lab's own package with another version, which its broker reports."""
    archives = base_path(UPGRADED) / "var/cache/apt/archives"
    (deb,) = archives.glob("rabbitmq-server_*.deb")
    return str(debs.upgraded(deb, folder, version))


def version(node: str) -> str:
    """Return the version that a node's broker reports; an empty text if it does not answer."""
    status = on(node, 'rabbitmqctl -q status | grep "RabbitMQ version"', check=False)
    return status.strip().rpartition(" ")[2]


def wait_for(what: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(2)


def test_a_cluster_is_upgraded_under_load_and_an_upgrade_outlives_its_controller(
    tmp_path: Path,
) -> None:
    store = ("--store", str(tmp_path / "store"))
    first, second = (package(tmp_path, f"3.10.{patch}-1+jepsenvm1") for patch in (9, 10))
    keys = {"upgrade-to": first, "time-limit": 220}
    item = {"at": 10, "for": 200, "fault": "upgrade", "nodes": ["n3", "n1", "n2"]}
    plan = plan_file(tmp_path, {**keys, "schedule": [item]})
    with deployed(UPGRADED):
        for target, says in (
            (str(tmp_path / "missing.deb"), "No such file"),
            ("3.12.0", "RabbitMQ supports no rolling upgrade from 3.10.8 to 3.12.0"),
            ("3.10.99", "have no rabbitmq-server 3.10.99"),
        ):
            refused = jepsenvm("run", plan, "--set", f"upgrade-to={target}", *store, expect=254)
            assert says in refused.stderr
            assert refused.stderr.count("\n") == 1
        flags = [{"at": 10, "for": 10, "fault": "feature-flag"}]
        (tmp_path / "flags").mkdir()
        enabled = plan_file(tmp_path / "flags", {"time-limit": 60, "schedule": flags})
        refused = jepsenvm("run", enabled, *store, expect=254)
        assert "every stable feature flag is enabled already" in refused.stderr
        assert {version(node) for node in ("n1", "n2", "n3")} == {"3.10.8"}
        assert on("n1", "ls -d /opt/jepsenvm/upgrade", check=False) == ""

        jepsenvm("run", plan, *store, expect=0, timeout=900)
        assert {version(node) for node in ("n1", "n2", "n3")} == {"3.10.9"}
        nodes = results((tmp_path / "store/latest").resolve())["checkers"]["versions"]["nodes"]
        assert [period["version"][:6] for period in nodes["n3"]] == ["3.10.8", "3.10.9"]
        assert nodes["n3"][0]["until"] < nodes["n1"][0]["until"] < nodes["n2"][0]["until"]
        assert "RabbitMQ 3.10.9 on 3 nodes, changed=0" in jepsenvm("deploy", expect=0).stdout
        refused = jepsenvm("run", plan, *store, expect=254)
        assert "is not newer than 3.10.9-1+jepsenvm1, which is installed" in refused.stderr

        words = ["fault", "start", "upgrade", "n1", "--set", f"to={second}", "--for", "5"]
        with subprocess.Popen([JEPSENVM, *words], start_new_session=True) as controller:
            wait_for(lambda: on("n1", "cat /opt/jepsenvm/upgrade/phase", check=False) != "")
            os.killpg(controller.pid, signal.SIGKILL)
        wait_for(lambda: on("n1", "ls -d /opt/jepsenvm/upgrade", check=False) == "")
        wait_for(lambda: version("n1") == "3.10.10")
        assert "rabbit@n1" in on("n2", "rabbitmqctl -q cluster_status --formatter json")
        assert "n1 3.10.10-1+jepsenvm1, n2 3.10.9-1" in jepsenvm("deploy", expect=0).stdout
        mixed = jepsenvm("run", "--nemesis", "none", *store, expect=254)
        assert "the nodes run different RabbitMQ versions" in mixed.stderr
