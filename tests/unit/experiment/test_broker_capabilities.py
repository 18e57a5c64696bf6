"""Faults that need a capability of the running broker."""

from __future__ import annotations

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.nemesis.faults.drain import Drain
from jepsenvm.nemesis.faults.kill import Kill
from jepsenvm.nemesis.requirements import BROKER_CAPABILITIES
from jepsenvm.rabbitmq import ctl
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import told

KILL = Kill(name="kill", nodes=("n1",))
DRAIN = Drain(name="drain", nodes=("n2", "n1"))


def fleet(**answers: str) -> FakeFleet:
    fake = FakeFleet("n1", "n2")
    fake.outputs = answers
    return fake


def test_each_broker_capability_can_be_asked_for() -> None:
    assert set(preflight._BROKER_CAN) == set(BROKER_CAPABILITIES)


def test_no_broker_is_asked_for_faults_without_such_a_need() -> None:
    fake = fleet()
    preflight.require_broker_capabilities(fake, [KILL])
    assert fake.scripts == []


def test_each_node_of_a_drain_is_asked_once() -> None:
    fake = fleet(n1=told([True]), n2=told([True]))
    preflight.require_broker_capabilities(fake, [KILL, DRAIN, DRAIN])
    assert sorted(node for node, _ in fake.scripts) == ["n1", "n2"]


def test_a_drain_without_maintenance_mode_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError) as refused:
        preflight.require_broker_capabilities(
            fleet(n1=told([True]), n2=told([False])), [KILL, DRAIN]
        )
    text = str(refused.value)
    assert text.startswith("n2: drain is not possible here: no maintenance-mode; ")
    assert "enable_feature_flag maintenance_mode_status" in text
    assert "\n" not in text


@pytest.mark.parametrize("answer", ["", "Error: undef", "true false"])
def test_an_answer_that_is_not_understood_is_no_permission(answer: str) -> None:
    with pytest.raises(RunError, match="n1: cannot read the state of the maintenance mode"):
        ctl.has_maintenance_mode(fleet(n1=answer), "n1")
