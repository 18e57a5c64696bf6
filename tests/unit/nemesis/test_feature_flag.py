"""Feature flags as a fault: what a node is told, and what proves that a flag was enabled."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import plan_of_new_run
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.schedule import schedule
from tests.unit.nemesis.builders import active_problems, fault_of, healed, healed_problems, injected

NODES = ("n1", "n2", "n3")
KHEPRI = fault_of("feature-flag", "n1")
ALL = fault_of("feature-flag", "n1", settings={"flag": "all"})


def listing(*nodes: str, **flags: str) -> dict[str, Any]:
    """Return what nodes list: a flag's state, and its stability after a space."""
    each = {name: text.split() for name, text in flags.items()}
    return {"feature-flags": dict.fromkeys(nodes or NODES, each)}


OFF = listing(khepri_db="disabled experimental", stream_queue="disabled stable")
KHEPRI_ON = listing(khepri_db="enabled experimental", stream_queue="disabled stable")
STABLE_ON = listing(khepri_db="disabled experimental", stream_queue="enabled stable")


def drawn(**texts: str) -> Fault:
    (stage,) = stages("feature-flag", FaultRequest(NODES, Random(1), texts=texts))
    return stage.fault


def test_one_node_enables_the_flag_that_is_named_or_all_stable_ones() -> None:
    assert drawn().describe() == "feature-flag {all stable feature flags}"
    assert drawn(flag="khepri_db").describe() == "feature-flag {khepri_db}"
    assert len(drawn().nodes) == 1


def test_a_schedule_names_the_flag() -> None:
    items = [{"at": 1, "for": 5, "fault": "feature-flag", "flag": "khepri_db"}]
    plan = plan_of_new_run(None, {"seed": 1, "schedule": items})
    (step,) = schedule(plan, NODES)
    assert step.fault.settings == {"flag": "khepri_db"}
    assert "flag: khepri_db" in plan.to_yaml()
    wrong = plan_of_new_run(None, {"seed": 1, "schedule": [{**items[0], "fault": "kill"}]})
    with pytest.raises(UsageError, match="schedule item 1: nemesis: kill: it takes no flag"):
        schedule(wrong, NODES)


@pytest.mark.parametrize("flag", ["Khepri", "a b", "x;y", ""])
def test_a_name_that_is_no_flag_is_refused(flag: str) -> None:
    item = {"at": 1, "for": 5, "fault": "feature-flag", "flag": flag}
    with pytest.raises(UsageError, match="flag"):
        plan_of_new_run(None, {"seed": 1, "schedule": [item]})


def test_rabbitmq_is_told_once() -> None:
    (action,) = injected(KHEPRI, "n1")
    assert "ok = rabbit_feature_flags:enable('\"'\"'khepri_db'\"'\"')." in action.stdin
    (action,) = injected(ALL, "n1")
    assert action.stdin.endswith("rabbitmqctl --quiet enable_feature_flag all")
    assert injected(ALL, "n2") == healed(ALL, "n1") == []


def test_an_enabled_flag_is_proven_on_every_node() -> None:
    assert active_problems(KHEPRI, OFF, KHEPRI_ON) == []
    assert active_problems(ALL, OFF, STABLE_ON) == []
    assert healed_problems(KHEPRI, OFF, KHEPRI_ON) == []


def test_a_node_without_the_flag_is_named() -> None:
    partly = {"feature-flags": {**KHEPRI_ON["feature-flags"], "n2": OFF["feature-flags"]["n2"]}}
    assert active_problems(KHEPRI, OFF, partly) == ["khepri_db is not enabled on n2"]
    assert active_problems(KHEPRI, OFF, listing(other="enabled stable"))[0].startswith("khepri_db")
    assert active_problems(ALL, OFF, OFF)[0] == "stream_queue is not enabled on n1"


def test_all_includes_a_stable_flag_that_only_the_new_version_has() -> None:
    during = listing(stream_queue="enabled stable", newer="disabled stable")
    assert "newer is not enabled on n1" in active_problems(ALL, OFF, during)


def test_a_flag_that_was_enabled_before_proves_nothing() -> None:
    says = "khepri_db was enabled before the fault, or not measured"
    assert active_problems(KHEPRI, KHEPRI_ON, KHEPRI_ON) == [says]
    assert "all stable feature flags were" in active_problems(ALL, STABLE_ON, STABLE_ON)[0]


def test_a_silent_node_is_named_unless_another_fault_explains_it() -> None:
    silent = {"feature-flags": {**KHEPRI_ON["feature-flags"], "n3": None}}
    says = "n3 does not answer the request for its feature flags"
    assert active_problems(KHEPRI, OFF, silent) == [says]
    others = ConcurrentFaults(mute=frozenset({"n3"}))
    assert active_problems(KHEPRI, OFF, silent, others) == []
    everyone = ConcurrentFaults(off=frozenset(NODES))
    assert "no node was asked" in active_problems(KHEPRI, OFF, KHEPRI_ON, everyone)[0]
