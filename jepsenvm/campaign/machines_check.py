"""Whether the machines of a campaign can have the clusters of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.preparation import can_have
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.errors import UsageError


def require_possible(
    runs: Sequence[PlannedRun],
    machines: Sequence[Machines],
    sources: Mapping[str, VersionSource],
    source: str,
) -> None:
    """Raise UsageError if no machines can have a run, or if hosts would have to be wiped for one.

    ``source`` is the name of the campaign file for error messages.
    """
    for cluster in dict.fromkeys(run.cluster for run in runs):
        if not any(can_have(one, cluster, sources) for one in machines):
            count = sum(run.cluster == cluster for run in runs)
            version = f"RabbitMQ {cluster.version}" if cluster.version else "such a cluster"
            nodes = f" on {cluster.nodes} nodes" if cluster.nodes else ""
            raise UsageError(
                f"{source}: none of the machines can have {version}{nodes}, which {count} runs "
                "need",
                remedy="name its suite or its source in versions, or add machines",
            )
    versions = list(dict.fromkeys(run.cluster.version for run in runs))
    named = [version for version in versions if version is not None]
    for one in machines:
        if named and len(versions) > 1 and not (one.may_be_reset or one.existing):
            raise UsageError(
                f"{source}: machines: {one.name} must be wiped to change its RabbitMQ version",
                remedy="set may-reset: true there if nothing on it is needed, or give one version",
            )
