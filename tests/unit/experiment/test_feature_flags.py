"""Feature flags: which are enabled, and what is refused before anything is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import feature_flags
from jepsenvm.machines.ssh import Output
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import ctl
from tests.unit.fakes import NODES, FakeFleet


class Cluster(FakeFleet):
    """Brokers with feature flags. A node in ``deaf`` does not learn that a flag was enabled."""

    def __init__(self, states: Mapping[str, str], answer: str = "ok") -> None:
        super().__init__()
        self.states = {node: dict(states) for node in NODES}
        self.answer = answer
        self.deaf: set[str] = set()
        self.enabled: list[str] = []

    def run(self, node: str, script: str, **_: Any) -> Output:
        if "list_feature_flags" in script:
            rows = [{"name": name, "state": state} for name, state in self.states[node].items()]
            return Output(json.dumps(rows), "", 0)
        flag = re.search(r"rabbit_feature_flags:enable\(\D*?'?(\w+)'?", script)
        assert flag, script
        self.enabled.append(flag[1].strip("'"))
        if self.answer == "ok":
            for name in set(NODES) - self.deaf:
                self.states[name][self.enabled[-1]] = "enabled"
        return Output(self.answer, "", 0)


def plan(*flags: str) -> Plan:
    return Plan(feature_flags=flags)


def test_disabled_flags_are_enabled_once() -> None:
    cluster = Cluster({"khepri_db": "disabled", "quorum_queue": "enabled"})
    feature_flags.enable(plan("khepri_db", "quorum_queue"), cluster, None)
    assert cluster.enabled == ["khepri_db"]


def test_a_plan_without_flags_asks_nothing() -> None:
    feature_flags.enable(plan(), Cluster({}), None)


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ({"quorum_queue": "enabled"}, "no feature flag khepri_db; use one of other, quorum_queue"),
        ({"khepri_db": "unavailable"}, "khepri_db is unavailable"),
    ],
)
def test_a_flag_that_cannot_be_enabled_is_refused_before_any_is_enabled(
    states: Mapping[str, str], says: str
) -> None:
    cluster = Cluster({"other": "disabled", **states})
    with pytest.raises(UsageError, match=says):
        feature_flags.enable(plan("other", "khepri_db"), cluster, None)
    assert not cluster.enabled


def test_a_cluster_that_must_not_be_changed_is_not_changed() -> None:
    cluster = Cluster({"khepri_db": "disabled"})
    with pytest.raises(UsageError, match="khepri_db is disabled; run without --no-deploy"):
        feature_flags.enable(plan("khepri_db"), cluster, "run without --no-deploy")
    assert not cluster.enabled


def test_a_refusal_by_the_broker_is_an_error() -> None:
    cluster = Cluster({"khepri_db": "disabled"}, answer="{error,unsupported}")
    with pytest.raises(RunError, match="did not enable the feature flag khepri_db"):
        feature_flags.enable(plan("khepri_db"), cluster, None)


def test_a_node_that_did_not_enable_the_flag_is_named() -> None:
    cluster = Cluster({"khepri_db": "disabled"})
    cluster.deaf = {"n2"}
    with pytest.raises(RunError, match="n2: the feature flag khepri_db is not enabled"):
        feature_flags.enable(plan("khepri_db"), cluster, None)


@pytest.mark.parametrize("answer", ["", "[1]", '[{"name": "x"}]', "null"])
def test_a_malformed_list_is_an_error(answer: str) -> None:
    fleet = FakeFleet()
    fleet.outputs = {"n1": answer}
    with pytest.raises(RunError, match="n1: cannot read "):
        ctl.feature_flags(fleet, "n1")
