"""The commands that give machines the cluster that a run needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from jepsenvm.campaign.planned import Cluster
from jepsenvm.campaign.spec import LAB_SUITES, Machines, VersionSource
from jepsenvm.machines.lab.names import DEFAULT_NAME
from jepsenvm.machines.lab.topology import MOST_HOSTS


class Condition(Enum):
    """What is known about the cluster of some machines."""

    ABSENT = "not deployed by this process"
    READY = "deployed"
    CHANGED = "a run upgraded it, or enabled feature flags"
    DOUBTFUL = "a run was refused: it may be degraded"
    DIRTY = "a run was killed, failed or did not recover: faults and queues may be left"


@dataclass(frozen=True)
class Deployment:
    """The cluster of some machines."""

    cluster: Cluster | None = None
    """The cluster of the last deployment; None before the first."""
    inventory: str | None = None
    """None for a lab that is not up yet."""
    condition: Condition = Condition.ABSENT

    def serves(self, cluster: Cluster) -> bool:
        """Return whether a run that needs this cluster can begin at once."""
        return self.condition is Condition.READY and self.cluster == cluster


@dataclass(frozen=True)
class Step:
    """One command of jepsenvm."""

    words: tuple[str, ...]
    inventory: bool = False
    """Whether its output names the inventory of the machines. ``INVENTORY`` in the words of later
    steps stands for it."""


INVENTORY = "{inventory}"


def can_have(machines: Machines, cluster: Cluster, sources: Mapping[str, VersionSource]) -> bool:
    """Return whether machines can have a cluster: its version and its number of nodes."""
    version = cluster.version
    if machines.lab is None:
        fits = cluster.nodes in (None, machines.nodes)
        return fits and (version is None or not machines.existing)
    if (cluster.nodes or machines.nodes) > MOST_HOSTS:
        return False
    return version is None or suite_of(version, sources) is not None


def suite_of(version: str, sources: Mapping[str, VersionSource]) -> str | None:
    """Return the suite of the lab's hosts that has a version; None if there is none."""
    source = sources.get(version)
    return (source.suite if source else None) or LAB_SUITES.get(version)


def steps(
    machines: Machines,
    cluster: Cluster,
    now: Deployment,
    sources: Mapping[str, VersionSource],
) -> Iterator[Step]:
    """Yield the commands after which the machines have the cluster."""
    if now.serves(cluster):
        return
    of_inventory = ("-i", INVENTORY)
    if machines.existing:
        if now.condition is Condition.DIRTY:
            yield Step(("heal", *of_inventory))
        return
    same_version = now.cluster is not None and now.cluster.version == cluster.version
    new_version = cluster.version is not None and not same_version
    changed = now.condition is Condition.CHANGED
    first_size = now.cluster is None and cluster.nodes is not None
    new_size = first_size or _size(machines, now.cluster) != _size(machines, cluster)
    replaced = changed and (cluster.version is not None or cluster.nodes is not None)
    new_hosts = machines.lab is not None and (new_version or new_size or replaced)
    if new_hosts or (machines.lab is not None and now.inventory is None):
        yield from _lab_steps(machines, cluster, sources, new_size=new_size)
    dirty = now.condition is Condition.DIRTY and not new_hosts
    if dirty:
        yield Step(("heal", *of_inventory))
    # Only a reset replaces a version by an older one, removes the queues of a killed run, and
    # disables feature flags.
    unwanted = now.cluster is None or not set(now.cluster.feature_flags) <= {*cluster.feature_flags}
    used = dirty or new_version or changed or unwanted
    reset = machines.may_be_reset and not new_hosts and used
    handling = cluster.partition_handling
    yield Step(
        (
            *("deploy", *of_inventory, "--net-ticktime", str(cluster.net_ticktime)),
            *(("--partition-handling", handling) if handling else ()),
            *(("--reset",) if reset else ()),
            *(_source_words(cluster.version, sources) if machines.lab is None else ()),
        )
    )


def _size(machines: Machines, cluster: Cluster | None) -> int | None:
    """Return the number of hosts of a lab with a cluster; of one without, its own number.

    Runs that name no number of nodes have that of the lab, whatever runs were before them.
    """
    return (cluster.nodes if cluster else None) or machines.nodes


def _lab_steps(
    machines: Machines,
    cluster: Cluster,
    sources: Mapping[str, VersionSource],
    *,
    new_size: bool,
) -> Iterator[Step]:
    name = () if machines.lab == DEFAULT_NAME else ("--name", str(machines.lab))
    suite = suite_of(cluster.version, sources) if cluster.version is not None else None
    if suite is not None or cluster.nodes is not None or new_size:
        yield Step(("lab", "down", *name))
    size = ("--nodes", str(cluster.nodes or machines.nodes))
    yield Step(("lab", "up", *name, *size, *(("--suite", suite) if suite else ())), inventory=True)


def _source_words(version: str | None, sources: Mapping[str, VersionSource]) -> tuple[str, ...]:
    if version is None:
        return ()
    source = sources.get(version, VersionSource())
    named = {
        "--source": source.source,
        "--version": None if source.source == "distribution" else source.version or version,
        "--file": source.file,
        "--sha256": source.sha256,
    }
    return tuple(word for key, value in named.items() if value for word in (key, value))
