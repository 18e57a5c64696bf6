"""The queue workload on the oldest and the newest RabbitMQ within reach.

Each version needs a lab of its own. `script/test --all` runs the files `test_versions*` after the
others, with the lab down. A file's fixture keeps its lab up until the end of the file, so tests of
other suites have files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import jepsenvm, results
from tests.lab.suites import NEWEST, OLDEST, TIMED_OUT, deployed


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def suite(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bring up three hosts of a suite with RabbitMQ on them; take them down afterwards."""
    with deployed(request.param):
        yield str(request.param)


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
