"""The lab tier: real hosts, a real five-node RabbitMQ cluster, real partitions. Where the lab
cannot run, it fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.experiment import client_access, preflight
from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory, load
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import cluster_view
from jepsenvm.rabbitmq.names import GROUP
from tests.lab.whole import NET_TICKTIME, is_as_needed, is_whole

JEPSENVM = str(Path(sys.executable).with_name("jepsenvm"))

VALID, INVALID, UNKNOWN = (
    verdict.exit_status for verdict in (Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN)
)

ORDER = {"test_0_lab": -3, "test_labs": -2, "test_deploy": -1, "test_sources": 1, "test_cloud": 2}
"""The order of modules; all others have 0. In another order, clusters would be deployed more often.

``test_labs`` runs while the default lab is down, so that this machine has three hosts instead of
eight.

``test_deploy`` deploys what the others need. ``test_sources`` leaves hosts bare, and ``test_cloud``
makes a lab of its own.
"""


THOROUGH = {
    "test_a_campaign_that_is_killed_in_a_run_continues",
    "test_down_clears_what_a_killed_up_left[0.25]",
    "test_down_clears_what_a_killed_up_left[0.35]",
    "test_down_clears_what_a_killed_up_left[0.45]",
    "test_a_cluster_that_no_restart_makes_whole_is_refused",
    "test_a_deployment_that_was_cut_short_is_made_good",
    "test_a_node_that_comes_back_bare_forms_the_cluster_anew",
    "test_other_partition_handling_leaves_the_cluster_whole",
    "test_other_policies_need_no_restart",
    "test_a_fault_of_packets_bites_and_heals[partition-flapping]",
    "test_stages_that_hide_each_other_are_each_proven_in_their_turn",
    "test_a_fault_of_the_broker_bites_and_heals[leave]",
    "test_a_fault_of_the_broker_bites_and_heals[replica-shrink]",
    "test_a_workload_is_valid_without_faults[dead-letter]",
    "test_a_partition_cuts_exactly_its_pairs[partition-bridge]",
    "test_a_partition_cuts_exactly_its_pairs[partition-halves]",
    "test_a_partition_cuts_exactly_its_pairs[partition-pair]",
    "test_a_partition_cuts_exactly_its_pairs[partition-random-groups]",
    "test_a_partition_cuts_exactly_its_pairs[partition-one-way]",
    "test_a_fault_of_the_broker_bites_and_heals[clients-drop]",
    "test_a_fault_of_the_broker_bites_and_heals[memory-alarm]",
    "test_a_fault_of_the_broker_bites_and_heals[partition-followers]",
    "test_a_fault_of_the_broker_bites_and_heals[restart]",
    "test_a_stuck_node_is_restarted_and_a_missing_policy_imported",
    "test_a_policy_of_a_run_is_no_deviation",
    "test_brokers_outlive_a_killed_controller[broker]",
    "test_brokers_outlive_a_killed_controller[members]",
    "test_brokers_outlive_a_killed_controller[disk]",
    "test_a_power_loss_of_a_classic_queues_node_is_proven",
    "test_clients_connect_with_tls_and_not_without_it",
    "test_an_existing_cluster_with_tls_is_verified_by_the_authority_that_is_named",
    "test_a_scenario_is_compared_and_recorded",
    "test_a_killed_load_process_makes_the_run_unknown",
    "test_a_workload_is_valid_without_faults[lock]",
    "test_a_workload_is_valid_without_faults[lock:fenced]",
    "test_a_workload_is_valid_without_faults[order:shared]",
    "test_a_workload_is_valid_without_faults[queue:stream]",
    "test_a_workload_is_valid_without_faults[queue:transactions]",
    "test_a_workload_is_valid_without_faults[queue:workers]",
    "test_a_workload_is_valid_without_faults[redelivery]",
    "test_a_workload_is_valid_without_faults[redelivery:bodies]",
    "test_a_workload_is_valid_without_faults[stream:bodies]",
    "test_a_stress_bites_and_heals[stress-cpu]",
    "test_a_corrupted_file_bites_and_heals[file-truncate-quorum]",
    "test_a_corrupted_file_bites_and_heals[file-corrupt-classic]",
    "test_a_corrupted_file_outlives_no_controller[quorum]",
    "test_a_disk_that_could_not_be_mounted_again_is_refused",
    "test_a_topology_is_valid_without_faults[classic]",
    "test_a_topology_gets_a_verdict_under_a_partition",
    "test_consumers_may_churn_crash_and_be_slow[order-classic]",
    "test_consumers_may_churn_crash_and_be_slow[order-quorum]",
    "test_consumers_may_churn_crash_and_be_slow[queue-classic]",
    "test_many_queues_are_valid_without_faults[500-classic]",
    "test_many_queues_are_valid_without_faults[headers-mirrored]",
    "test_many_queues_are_valid_without_faults[fanout-classic]",
    "test_many_classic_queues_get_a_verdict_under_a_partition",
    "test_a_deleted_queue_of_many_is_named",
    "test_dead_letters_at_least_once_are_kept_while_the_target_refuses_them",
    "test_a_killed_up_is_cleared_by_its_own_down[0.25]",
    "test_a_killed_up_is_cleared_by_its_own_down[0.45]",
    "test_hosts_of_two_labs_have_the_same_names",
    "test_hosts_reach_those_of_their_own_lab_only",
    "test_labs_at_the_same_time_have_clusters_of_their_own",
    "test_one_lab_goes_down_and_the_other_stays",
    "test_power_is_cut_in_one_lab_only",
    "test_the_default_lab_is_another_one",
}
"""Tests that only `script/test --all` runs: each takes minutes, or has a close sibling that runs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules into ORDER, and mark the tests in THOROUGH."""
    items.sort(key=lambda item: ORDER.get(item.path.stem, 0))
    for item in items:
        if item.name in THOROUGH:
            item.add_marker("thorough")


@pytest.fixture(scope="session", autouse=True)
def was_up() -> bool:
    """Whether there was a default lab before the first test. No test takes such a lab down."""
    return lab.DEFAULT_NAME in lab.lab_names()


@pytest.fixture(scope="session")
def lab_is_ours(was_up: bool) -> None:
    """Fail a test that takes the default lab down, if somebody else has brought it up."""
    if was_up:
        pytest.fail("the lab is up; take it down with `jepsenvm lab down` to run this test")


@pytest.fixture(scope="session")
def lab_inventory(was_up: bool) -> Iterator[Path]:
    """Bring up a lab of five hosts; take it down afterwards unless it was already up."""
    yield lab.up()
    if not was_up:
        lab.down()


@pytest.fixture(scope="module")
def cluster(lab_inventory: Path) -> Inventory:
    """The lab with RabbitMQ deployed. A short tick time lets partitions be noticed within short
    tests.
    """
    inventory = load(lab_inventory, GROUP)
    made_whole(inventory)
    return inventory


def jepsenvm(
    *words: str, expect: int | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run the jepsenvm command; assert its exit status if `expect` is set.

    A run that proves nothing is repeated once, as in a campaign: where this machine stalls while a
    fault is in force, nothing is confirmed under it. Every other outcome counts.
    """
    done = _done(words, timeout)
    if words[0] == "run" and expect in (VALID, INVALID) and done.returncode == UNKNOWN:
        warnings.warn(f"repeated, because it proved nothing: {words}\n{done.stdout}", stacklevel=2)
        done = _done(words, timeout)
    if expect is not None:
        assert done.returncode == expect, (
            f"{words} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def _done(words: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [JEPSENVM, *words], capture_output=True, text=True, timeout=timeout, check=False
    )


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition is true; return whether it is in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.2)
    return False


def _degraded(fleet: Fleet) -> list[str]:
    nodes = list(fleet.nodes)
    views = fleet.each_or_error(lambda node: cluster_view.view(fleet, node))
    return [
        node for node, view in views.items() if isinstance(view, Exception) or view.troubles(nodes)
    ]


def _is_installed(node: str) -> bool:
    return on(node, "systemctl is-enabled rabbitmq-server 2>/dev/null; true").strip() == "enabled"


def _restarted(fleet: Fleet) -> None:
    """Restart RabbitMQ on nodes that are stuck. A deployment would take four times as long."""
    degraded = [node for node in _degraded(fleet) if _is_installed(node)]
    restart = "systemctl restart rabbitmq-server"
    fleet.each_or_error(lambda node: fleet.run(node, restart, timeout=180), degraded)
    if degraded:
        until(lambda: is_whole(fleet), 60)


def made_whole(cluster: Inventory) -> None:
    """Deploy where nobody has yet, or where the test before has left other settings; restart nodes
    that it has left stuck.
    """
    with Fleet(cluster.nodes) as fleet:
        if is_as_needed(fleet):
            return
        _restarted(fleet)
        state = preflight.cluster_state(fleet)
        mismatches = preflight.config_mismatches(state, Plan(net_ticktime=NET_TICKTIME))
        mismatches += client_access.listener_mismatches(state.views, cluster)
    if mismatches:
        jepsenvm("deploy", "-i", str(cluster.path), "--net-ticktime", str(NET_TICKTIME), expect=0)


def on_each(nodes: Iterable[str], command: str) -> dict[str, str]:
    """Run a command on nodes as root, all at once; return what each node printed."""
    names = list(nodes)
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        outputs = pool.map(partial(on, command=command), names)
        return dict(zip(names, outputs, strict=True))


def on(node: str, command: str, *, check: bool = True) -> str:
    """Run a command on a node as root, without the SSH client that the tests examine."""
    argv = lab.ssh_argv(node, ["sudo", "sh", "-c", f"'{command}'"])
    return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=60).stdout


def results(run: Path) -> dict[str, Any]:
    """Return a run's results.json."""
    return dict(json.loads((run / "results.json").read_text()))


def cut(pairs: Sequence[tuple[str, str]], addresses: dict[str, str]) -> list[bool]:
    """Return for each ordered pair whether a plain TCP connection to the port mapper stays without
    an answer.
    """
    connect = 'timeout 2 bash -c "</dev/tcp/{}/4369" 2>/dev/null; echo $?'

    def silent(pair: tuple[str, str]) -> bool:
        return on(pair[0], connect.format(addresses[pair[1]])).strip() == "124"

    with ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(silent, pairs))
