"""Which run a cluster takes next, so that clusters are deployed as seldom as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jepsenvm.campaign.planned import Cluster, PlannedRun


@dataclass(frozen=True)
class Waiting:
    """A run that nobody runs at the moment, and the attempts that it already had."""

    run: PlannedRun
    attempts: int = 0


def next_run(
    waiting: Sequence[Waiting],
    here: Cluster | None,
    elsewhere: Collection[Cluster],
) -> PlannedRun | None:
    """Return the run that some machines take next; None if none is waiting for them.

    Runs of the cluster that is deployed ``here`` come first. Then come those of a cluster that is
    not deployed ``elsewhere``, of the same version as ``here``, and with the most waiting runs.
    Repeated attempts come after first ones.
    """
    if not waiting:
        return None
    sizes = Counter(one.run.cluster for one in waiting)
    order = sorted(sizes, key=_spelled)
    # min keeps the order of the campaign among equals.
    best = min(
        waiting,
        key=lambda one: (
            one.run.cluster != here,
            one.run.cluster in elsewhere,
            here is None or one.run.cluster.version != here.version,
            -sizes[one.run.cluster],
            order.index(one.run.cluster),
            one.attempts,
        ),
    )
    return best.run


def by_cluster(runs: Sequence[PlannedRun]) -> Mapping[Cluster, Sequence[PlannedRun]]:
    """Return the runs of each cluster, in the order in which one inventory would take them."""
    return {cluster: list(_of(runs, cluster)) for cluster in dict.fromkeys(_clusters(runs))}


def _of(runs: Sequence[PlannedRun], cluster: Cluster) -> Iterator[PlannedRun]:
    return (run for run in runs if run.cluster == cluster)


def _clusters(runs: Sequence[PlannedRun]) -> Iterator[Cluster]:
    """Yield the clusters in the order in which ``next_run`` chooses them on one inventory."""
    left, here = list(runs), None
    while left:
        run = next_run([Waiting(one) for one in left], here, ())
        assert run is not None  # noqa: S101 - some are left
        here = run.cluster
        yield here
        left = [one for one in left if one.cluster != here]


def _spelled(cluster: Cluster) -> str:
    return cluster.key
