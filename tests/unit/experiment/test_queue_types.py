"""Faults that apply only to some types of queues."""

from __future__ import annotations

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.nemesis.faults.kill import Kill
from jepsenvm.nemesis.faults.leader_transfer import LeaderTransfer
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.faults.replica_shrink import ReplicaShrink
from jepsenvm.plan.plan import Plan

LEADER = Partition(name="partition-leader", nodes=("n1", "n2"), role="leader")
ALL = [Kill(name="kill"), ReplicaShrink(name="replica-shrink"), LeaderTransfer(name="transfer")]


def test_every_fault_applies_to_quorum_queues() -> None:
    preflight.require_supported_queue_type(Plan(queue_type="quorum"), ALL)


@pytest.mark.parametrize("fault", ALL[1:])
def test_faults_of_replicas_are_refused_for_other_queues(fault: ReplicaShrink) -> None:
    with pytest.raises(UsageError, match="applies to quorum queues, and the plan's queue-type is"):
        preflight.require_supported_queue_type(Plan(queue_type="stream"), [ALL[0], fault])


def test_faults_of_a_queue_are_refused_for_a_workload_without_one() -> None:
    topology = Plan(workload="topology", queue_type="quorum")
    preflight.require_queue_of_run(topology, [ALL[0]])
    preflight.require_queue_of_run(Plan(), [*ALL, LEADER])
    with pytest.raises(
        UsageError, match=r"^partition-leader acts on the nodes of the run's queue, and"
    ):
        preflight.require_queue_of_run(topology, [ALL[0], LEADER])
