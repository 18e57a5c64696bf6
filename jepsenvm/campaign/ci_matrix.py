"""A campaign as the matrix of a CI system: one job for each cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from jepsenvm.campaign.estimate import Estimate
from jepsenvm.campaign.order import by_cluster
from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.preparation import suite_of
from jepsenvm.campaign.spec import VersionSource
from jepsenvm.errors import UsageError

MOST_JOBS: Final = 256
"""Jobs of a matrix of GitHub Actions, at most."""


def ci_matrix(
    runs: Sequence[PlannedRun], sources: Mapping[str, VersionSource]
) -> dict[str, list[dict[str, Any]]]:
    """Return the matrix: ``jepsenvm campaign run FILE --cluster CLUSTER`` is one job.

    Raises UsageError if there are more jobs than a matrix can have.
    """
    clusters = by_cluster(runs)
    if len(clusters) > MOST_JOBS:
        raise UsageError(
            f"the campaign has {len(clusters)} clusters, and a matrix of GitHub Actions at most "
            f"{MOST_JOBS} jobs",
            remedy="divide it into several files",
        )
    usual = Estimate()
    return {
        "include": [
            {
                "cluster": cluster.key,
                "version": cluster.version or "",
                "suite": (suite_of(cluster.version, sources) if cluster.version else None) or "",
                "runs": len(of_cluster),
                "minutes": ceil(usual.of_runs(of_cluster, 1) / 60),
            }
            for cluster, of_cluster in clusters.items()
        ]
    }
