"""The queue workload on the oldest and the newest RabbitMQ within reach, and on Khepri.

Each version needs a lab of its own. `script/test --all` runs these tests after the others, with the
lab down.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from jepsenvm.machines import lab
from jepsenvm.machines.lab.base import base_path
from tests.lab import debs
from tests.lab.conftest import JEPSENVM, jepsenvm, on, results

OLDEST, NEWEST = "bullseye", "forky"
"""Debian suites with RabbitMQ 3.8.9 and 4.3.6."""
UPGRADED = "bookworm"
"""The Debian suite with RabbitMQ 3.10.8. A copy of its package with a newer version is the target."""
KHEPRI_IS_AN_OPTION = "trixie"
"""The Debian suite with RabbitMQ 4.0.5, where khepri_db is disabled unless it is asked for."""


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def suite(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bring up three hosts of a suite with RabbitMQ on them; take them down afterwards."""
    with deployed(request.param):
        yield str(request.param)


@contextmanager
def deployed(suite: str) -> Iterator[None]:
    """Keep three hosts of a suite up, with RabbitMQ on them."""
    if lab.is_up():
        pytest.fail("the lab is up; take it down with `jepsenvm lab down` to test other versions")
    lab.up(3, suite)
    try:
        jepsenvm("deploy", expect=0, timeout=900)
        yield
    finally:
        lab.down()


@pytest.mark.parametrize(
    "nemesis", ["none", "partition-random-halves", "partition-leader", "kill", "leader-transfer"]
)
def test_the_queue_workload_is_valid_on_a_quorum_queue(
    suite: str, nemesis: str, tmp_path: Path
) -> None:
    words = ["--queue-type", "quorum", "--nemesis", nemesis, "--time-limit", "60"]
    done = jepsenvm("run", *words, "--store", str(tmp_path / suite), timeout=600)
    assert done.returncode == 0, f"{suite}, {nemesis}:\n{done.stdout}\n{done.stderr}"


def test_the_queue_workload_ends_with_a_verdict_on_a_mirrored_queue(
    suite: str, tmp_path: Path
) -> None:
    words = ["--queue-type", "mirrored", "--nemesis", "none", "--time-limit", "30"]
    expect = 0 if suite == OLDEST else 254  # mirrored queues were removed in RabbitMQ 4.0
    jepsenvm("run", *words, "--store", str(tmp_path / suite), expect=expect)


TIMED_OUT = [
    *("--nemesis", "none", "--time-limit", "150", "--consumers", "3", "--rate", "20"),
    *("--set", "prefetch=1", "--set", "consumer-timeout=5", "--set", "consumer-delay=100"),
]
"""The broker looks for consumers past their timeout once a minute."""


def test_consumers_past_their_timeout_subscribe_again(suite: str, tmp_path: Path) -> None:
    words = [*TIMED_OUT, "--store", str(tmp_path)]
    if suite == OLDEST:
        refused = jepsenvm("run", *words, expect=254)
        assert "consumer timeouts of queues came with RabbitMQ 3.12" in refused.stderr
        return
    jepsenvm("run", *words, expect=0, timeout=600)
    # 4.3 cancels such a consumer. Before, the broker closed its channel.
    found = results((tmp_path / "latest").resolve())["checkers"]
    assert found["new-subscriptions"]["cancelled-count"] > 0
    assert found["total-queue"]["verdict"] == "valid"
    classic = jepsenvm("run", *words, "--queue-type", "classic", expect=254)
    assert "classic queues have no consumer timeout since RabbitMQ 4.3" in classic.stderr


def test_a_channel_that_the_consumer_timeout_closed_is_replaced(tmp_path: Path) -> None:
    with deployed(KHEPRI_IS_AN_OPTION):
        jepsenvm("run", *TIMED_OUT, "--store", str(tmp_path), expect=0, timeout=600)
    found = results((tmp_path / "latest").resolve())["checkers"]
    assert found["new-subscriptions"]["consumer-timeout-count"] > 0
    assert found["total-queue"]["verdict"] == "valid"


def test_a_feature_flag_is_enabled_before_the_load(tmp_path: Path) -> None:
    words = ["--set", "feature-flags=[khepri_db]", "--time-limit", "60", "--store", str(tmp_path)]
    with deployed(KHEPRI_IS_AN_OPTION):
        refused = jepsenvm("run", *words, "--no-deploy", expect=254)
        assert "khepri_db is disabled; run without --no-deploy" in refused.stderr
        enabled = jepsenvm("run", *words, expect=0, timeout=600)
        assert "enabling the feature flag khepri_db" in enabled.stdout + enabled.stderr
        again = jepsenvm("run", *words, "--nemesis", "none", expect=0, timeout=600)
        assert "enabling" not in again.stdout + again.stderr


def test_a_feature_flag_is_enabled_under_load(tmp_path: Path) -> None:
    item = {"at": 20, "for": 30, "fault": "feature-flag", "flag": "khepri_db"}
    plan = plan_file(tmp_path, {"time-limit": 60, "schedule": [item]})
    with deployed(KHEPRI_IS_AN_OPTION):
        jepsenvm("run", plan, "--store", str(tmp_path), expect=0, timeout=600)
        assert "khepri_db\tenabled" in on("n2", "rabbitmqctl -q list_feature_flags name state")
        again = jepsenvm("run", plan, "--store", str(tmp_path), expect=254)
        assert "khepri_db is enabled, not disabled" in again.stderr


def plan_file(folder: Path, plan: dict[str, Any]) -> str:
    file = folder / "plan.yml"
    file.write_text(yaml.safe_dump(plan))
    return str(file)


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
