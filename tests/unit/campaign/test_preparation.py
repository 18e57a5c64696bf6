"""The commands that give machines the cluster that a run needs."""

from __future__ import annotations

import pytest

from jepsenvm.campaign.machines_check import require_possible
from jepsenvm.campaign.planned import Cluster
from jepsenvm.campaign.preparation import INVENTORY, Condition, Deployment, steps
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.errors import UsageError
from tests.unit.campaign.builders import expansion

LAB, B = Machines(lab="default"), Machines(lab="b", nodes=3)
HOSTS = Machines(inventory="hosts.yml", may_reset=True)
OWN = Machines(inventory="hosts.yml", existing=True)
OLD, NEW = Cluster("3.10.8", "autoheal", 8), Cluster("4.3.6", None, 8)
ANY = Cluster(None, "autoheal", 15)


def words(
    machines: Machines,
    cluster: Cluster,
    now: Deployment = Deployment(),  # noqa: B008 - it is frozen
    sources: dict[str, VersionSource] | None = None,
) -> list[str]:
    return [" ".join(step.words) for step in steps(machines, cluster, now, sources or {})]


def deployed(cluster: Cluster, condition: Condition = Condition.READY) -> Deployment:
    return Deployment(cluster, "hosts.yml", condition)


DEPLOY = f"deploy -i {INVENTORY} --net-ticktime 8 --partition-handling autoheal"


def test_a_version_of_the_lab_comes_with_its_suite() -> None:
    assert words(LAB, OLD) == ["lab down", "lab up --nodes 5 --suite bookworm", DEPLOY]
    assert words(B, NEW) == [
        "lab down --name b",
        "lab up --name b --nodes 3 --suite forky",
        f"deploy -i {INVENTORY} --net-ticktime 8",
    ]
    (_, up, _) = steps(LAB, OLD, Deployment(), {})
    assert up.inventory


def test_a_suite_of_the_file_takes_precedence() -> None:
    sources = {"4.3.6": VersionSource(suite="sid")}
    assert "lab up --nodes 5 --suite sid" in words(LAB, NEW, sources=sources)


def test_a_cluster_that_is_ready_needs_nothing() -> None:
    assert words(LAB, OLD, deployed(OLD)) == []
    assert words(HOSTS, OLD, deployed(OLD)) == []


def test_other_partition_handling_keeps_the_hosts() -> None:
    other = Cluster("3.10.8", "ignore", 8)
    assert words(LAB, OLD, deployed(other)) == [DEPLOY]


def test_a_doubtful_cluster_is_deployed_again() -> None:
    assert words(LAB, OLD, deployed(OLD, Condition.DOUBTFUL)) == [DEPLOY]


def test_a_dirty_cluster_is_healed_and_wiped() -> None:
    now = deployed(OLD, Condition.DIRTY)
    assert words(LAB, OLD, now) == [
        f"heal -i {INVENTORY}",
        f"deploy -i {INVENTORY} --net-ticktime 8 --partition-handling autoheal --reset",
    ]


def test_new_hosts_need_no_healing() -> None:
    assert words(LAB, NEW, deployed(OLD, Condition.DIRTY))[0] == "lab down"
    assert not any("heal" in line for line in words(LAB, NEW, deployed(OLD, Condition.DIRTY)))


def test_a_version_of_hosts_comes_from_the_repository_after_a_reset() -> None:
    assert words(HOSTS, OLD) == [f"{DEPLOY} --reset --source repository --version 3.10.8"]
    sources = {
        "3.10.8": VersionSource(source="archive", file="/r.tar.xz", sha256="a" * 64),
    }
    assert words(HOSTS, OLD, sources=sources) == [
        f"{DEPLOY} --reset --source archive --version 3.10.8 --file /r.tar.xz --sha256 {'a' * 64}"
    ]


def test_a_cluster_of_which_nothing_is_known_is_wiped_if_it_may_be() -> None:
    assert words(LAB, ANY, Deployment(None, "lab.yml"))[-1].endswith("--reset")
    assert words(HOSTS, ANY, Deployment(None, "hosts.yml"))[-1].endswith("--reset")


def test_hosts_that_may_not_be_reset_are_not() -> None:
    hosts = Machines(inventory="hosts.yml")
    for condition in Condition:
        now = Deployment(None, "hosts.yml", condition)
        assert not any("--reset" in line for line in words(hosts, OLD, now))


def test_an_existing_cluster_is_only_healed() -> None:
    assert words(OWN, ANY) == []
    assert words(OWN, ANY, deployed(ANY, Condition.DIRTY)) == [f"heal -i {INVENTORY}"]


def test_without_a_version_the_lab_is_not_taken_down() -> None:
    lines = words(LAB, ANY, Deployment(None, None, Condition.DIRTY))
    assert lines[0] == "lab up --nodes 5"
    assert lines[1].startswith("heal ")
    assert lines[2].endswith("--reset")


def test_feature_flags_are_disabled_by_a_reset() -> None:
    plain, khepri = Cluster("4.0.5", None, 8), Cluster("4.0.5", None, 8, None, ("khepri_db",))
    deploy = f"deploy -i {INVENTORY} --net-ticktime 8"
    assert words(LAB, khepri, deployed(plain)) == [deploy]
    assert words(LAB, plain, deployed(khepri)) == [f"{deploy} --reset"]


def test_what_a_run_changed_for_good_is_replaced() -> None:
    now = deployed(OLD, Condition.CHANGED)
    assert words(LAB, OLD, now)[0] == "lab down"
    assert "--reset" in words(HOSTS, OLD, now)[0]
    assert "--reset" in words(LAB, ANY, deployed(ANY, Condition.CHANGED))[0]


def test_runs_without_a_number_of_nodes_have_that_of_the_lab_whatever_ran_before() -> None:
    """Seen in a campaign: after a run on three nodes, the others ran on three as well."""
    three = OLD._replace(nodes=3)
    back = ["lab down", "lab up --nodes 5 --suite bookworm", DEPLOY]
    assert words(LAB, OLD, deployed(three)) == back
    assert words(LAB, ANY, deployed(ANY._replace(nodes=3)))[:2] == ["lab down", "lab up --nodes 5"]
    # A lab that has the number anyway stays.
    assert words(LAB, OLD, deployed(OLD._replace(nodes=5))) == [DEPLOY]
    assert words(LAB, OLD._replace(nodes=5), deployed(OLD)) == [DEPLOY]


def test_another_number_of_hosts_is_another_lab() -> None:
    three = OLD._replace(nodes=3)
    assert words(LAB, three)[:2] == ["lab down", "lab up --nodes 3 --suite bookworm"]
    assert words(LAB, three, deployed(OLD))[1] == "lab up --nodes 3 --suite bookworm"
    assert words(LAB, three, deployed(three)) == []
    assert words(LAB, ANY._replace(nodes=3))[:2] == ["lab down", "lab up --nodes 3"]


def test_an_inventory_has_the_hosts_that_it_has() -> None:
    runs = expansion({"nodes": [3]}).runs
    with pytest.raises(UsageError, match="such a cluster on 3 nodes, which 1 runs need"):
        require_possible(runs, [HOSTS, OWN], {}, "c.yml")
    three = Machines(inventory="hosts.yml", nodes=3)
    require_possible(runs, [three], {}, "c.yml")
    require_possible(runs, [LAB], {}, "c.yml")
    with pytest.raises(UsageError, match="on 10 nodes"):
        require_possible(expansion({"nodes": [10]}).runs, [LAB], {}, "c.yml")


def test_machines_without_a_version_are_refused_with_the_count() -> None:
    runs = expansion({"version": ["4.1.5", "4.3.6"], "nemesis": ["kill", "pause"]}).runs
    with pytest.raises(UsageError, match=r"can have RabbitMQ 4\.1\.5, which 2 runs need"):
        require_possible(runs, [LAB], {}, "c.yml")
    require_possible(runs, [LAB], {"4.1.5": VersionSource(suite="sid")}, "c.yml")
    require_possible(runs, [LAB, HOSTS], {}, "c.yml")
    with pytest.raises(UsageError, match="none of the machines"):
        require_possible(runs, [OWN], {}, "c.yml")


def test_hosts_are_wiped_only_with_permission() -> None:
    runs = expansion({"version": ["3.10.8", "4.3.6"]}).runs
    with pytest.raises(UsageError, match="set may-reset: true there"):
        require_possible(runs, [Machines(inventory="hosts.yml")], {}, "c.yml")
    one = expansion({"version": ["4.3.6"]}).runs
    require_possible(one, [Machines(inventory="hosts.yml")], {}, "c.yml")
