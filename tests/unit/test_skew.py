"""The measurement of how far apart the nodes of a fault act."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.skew import Skew, Summary, skews, stored_results, summaries, summary
from jepsenvm.experiment.store import RESULTS


def window(kind: str, skew: float | None, *nodes: str, **more: Any) -> dict[str, Any]:
    fault = {"kind": kind, "nodes": list(nodes), "grudge": {}, **more}
    return {"window": 1, "fault": fault, "skew-ms": skew}


def results(*windows: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "valid", "checkers": {"faults": {"windows": list(windows)}}}


def test_only_faults_that_acted_on_two_nodes_count() -> None:
    stored = results(
        window("kill", 2.5, "n1", "n2", "n3"),
        window("kill", 0.0, "n1"),
        window("pause", None, "n1", "n2"),  # it could not be injected
        window("pause", 0.0, "n1", "n2"),
    )
    assert list(skews(stored)) == [Skew("kill", 3, 2.5), Skew("pause", 2, 0.0)]


def test_the_nodes_that_drop_packets_act_in_a_grudge() -> None:
    grudge = {"n1": ["n2"], "n2": ["n1"], "n3": []}
    one_way = {"n1": ["n2", "n3"]}
    stored = results(
        window("partition", 1.0, "n1", "n2", "n3", grudge=grudge),
        window("partition", 0.0, "n1", "n2", "n3", grudge=one_way),
    )
    assert list(skews(stored)) == [Skew("partition", 2, 1.0)]


@pytest.mark.parametrize("checkers", [{}, {"faults": {}}, {"faults": {"windows": []}}])
def test_results_without_faults_have_no_skew(checkers: dict[str, Any]) -> None:
    assert list(skews({"checkers": checkers})) == []


def test_the_median_and_the_99th_percentile_are_skews_of_faults() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert summary(hundred[::-1]) == Summary(100, 50.0, 99.0, 100.0, 0.1)
    # Of fewer than a hundred faults, each is within the 99th percentile.
    assert summary([1.0, 200.0]) == Summary(2, 1.0, 200.0, 200.0, 0.5)
    assert summary([10.0]) == Summary(1, 10.0, 10.0, 10.0, 1.0)
    assert summary([10.1]).within_target == 0.0


def test_faults_are_grouped_by_their_nodes_and_then_by_their_kind() -> None:
    found = summaries([Skew("kill", 5, 4.0), Skew("pause", 2, 1.0), Skew("pause", 5, 30.0)])
    assert {name: (of.count, of.most) for name, of in found.items()} == {
        "2 nodes": (1, 1.0),
        "2 nodes pause": (1, 1.0),
        "5 nodes": (2, 30.0),
        "5 nodes kill": (1, 4.0),
        "5 nodes pause": (1, 30.0),
    }
    assert list(found) == ["2 nodes", "2 nodes pause", "5 nodes", "5 nodes kill", "5 nodes pause"]


def test_each_run_below_the_folders_is_read_once(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        run = tmp_path / name
        run.mkdir(parents=True)
        (run / RESULTS).write_text(json.dumps({"name": name}))
    (tmp_path / "latest").symlink_to("a")
    found = stored_results([tmp_path, tmp_path / "latest", tmp_path / "b"])
    assert [stored["name"] for stored in found] == ["a", "b/c"]
