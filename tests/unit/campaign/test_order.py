"""Which run a cluster takes next."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.campaign.ci_matrix import ci_matrix
from jepsenvm.campaign.order import Waiting, by_cluster, next_run
from jepsenvm.campaign.planned import Cluster, PlannedRun
from tests.unit.campaign.builders import expansion

MANY = expansion(
    {
        "version": ["3.10.8", "4.0.5"],
        "partition-handling": ["autoheal", "ignore", "pause_minority"],
        "nemesis": ["kill", "pause"],
    }
).runs
A, B = Cluster("3.10.8", "autoheal", 15), Cluster("3.10.8", "ignore", 15)


def order_of(runs: list[PlannedRun], here: Cluster | None = None) -> list[Cluster]:
    left, found = list(runs), []
    while left:
        run = next_run([Waiting(one) for one in left], here, ())
        assert run is not None
        left.remove(run)
        here = run.cluster
        found.append(here)
    return found


@settings(max_examples=50, deadline=None)
@given(runs=st.permutations(MANY), here=st.sampled_from([None, A, B]))
def test_each_cluster_is_deployed_once_and_each_version_too(
    runs: list[PlannedRun], here: Cluster | None
) -> None:
    found = order_of(runs, here)
    assert len(list(groupby(found))) == 6
    assert len(list(groupby(cluster.version for cluster in found))) == 2
    if here is not None:
        assert found[0] == here


def test_feature_flags_are_clusters_of_their_own() -> None:
    runs = expansion({"feature-flags": [[], ["khepri_db"]]}).runs
    assert [run.cluster.feature_flags for run in runs] == [(), ("khepri_db",)]
    assert runs[1].cluster.key == "autoheal-15-khepri_db"


def test_nothing_is_next_if_nothing_waits() -> None:
    assert next_run([], A, ()) is None


def test_a_cluster_that_is_deployed_elsewhere_is_left_to_it() -> None:
    waiting = [Waiting(run) for run in MANY]
    run = next_run(waiting, None, {cluster for cluster in by_cluster(MANY) if cluster != B})
    assert run is not None
    assert run.cluster == B
    run = next_run(waiting, None, set(by_cluster(MANY)))
    assert run is not None  # it helps where there is nothing else to do


def test_repeated_attempts_come_last() -> None:
    first, second = [run for run in MANY if run.cluster == A]
    run = next_run([Waiting(first, 1), Waiting(second)], A, ())
    assert run == second


def test_a_ci_matrix_has_a_job_for_each_cluster() -> None:
    jobs = ci_matrix(MANY, {})["include"]
    assert [job["runs"] for job in jobs] == [2] * 6
    assert {job["suite"] for job in jobs} == {"bookworm", "trixie"}
    assert {job["cluster"] for job in jobs} == {run.cluster.key for run in MANY}
    assert all(job["minutes"] > 5 for job in jobs)
