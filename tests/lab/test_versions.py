"""The queue workload on the oldest and the newest RabbitMQ within reach, and on Khepri.

Each version needs a lab of its own. `script/test --all` runs these tests after the others, with the
lab down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jepsenvm.machines import lab
from tests.lab.conftest import jepsenvm, results

OLDEST, NEWEST = "bullseye", "forky"
"""Debian suites with RabbitMQ 3.8.9 and 4.3.6."""
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
