"""The state of the brokers that is stored with a run that is not valid."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jepsenvm.experiment.broker_state import CLUSTER, FOLDER, collect_broker_state
from jepsenvm.experiment.store import Store
from tests.unit.fakes import FakeFleet

QUEUE = "jepsenvm.quorum.T"


def collected(fleet: FakeFleet, path: Path, queue_type: str = "quorum") -> dict[str, str]:
    collect_broker_state(fleet, Store(path), QUEUE, queue_type)
    return {file.name: file.read_text() for file in (path / FOLDER).iterdir()}


def test_each_node_answers_and_one_lists_what_the_cluster_has(tmp_path: Path) -> None:
    fleet = FakeFleet("n1", "n2")
    fleet.outputs = {"n1": "of n1", "n2": "of n2"}
    assert collected(fleet, tmp_path) == {"n1.txt": "of n1", "n2.txt": "of n2", CLUSTER: "of n1"}
    assert all("rabbitmqctl cluster_status" in script for _, script in fleet.scripts[:2])
    (last, script) = fleet.scripts[-1]
    assert last == "n1"
    for command in ("list_queues -p /", "list_channels", "list_feature_flags", "quorum_status"):
        assert command in script
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / FOLDER / CLUSTER).stat().st_mode & 0o777 == 0o600


def test_a_silent_node_is_named_and_another_lists(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fleet = FakeFleet("n1", "n2")
    fleet.broken, fleet.outputs = {"n1"}, {"n2": "of n2"}
    found = collected(fleet, tmp_path)
    assert found[CLUSTER] == "of n2"
    assert "n1" in found["n1.txt"]
    assert "no answer of n1" in caplog.text


def test_a_silent_cluster_has_the_errors_instead(tmp_path: Path) -> None:
    fleet = FakeFleet("n1", "n2")
    fleet.broken = {"n1", "n2"}
    assert len(collected(fleet, tmp_path)[CLUSTER].splitlines()) == 2


def test_only_a_quorum_queue_has_a_raft_state(tmp_path: Path) -> None:
    fleet = FakeFleet("n1")
    collected(fleet, tmp_path, "classic")
    assert not any("quorum_status" in script for _, script in fleet.scripts)


def test_a_store_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / FOLDER).write_text("")
    collect_broker_state(FakeFleet("n1"), Store(tmp_path), QUEUE, "quorum")
    assert "could not be stored" in caplog.text
