"""What every workload declares about itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from jepsenvm.checkers.topology_states import CHANGES
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import UsageError
from jepsenvm.experiment.foreign_analysis import FOREIGN_WORKLOADS
from jepsenvm.experiment.plan_file import read_plan
from jepsenvm.experiment.preflight import require_supported_version
from jepsenvm.experiment.run_analysis import presentation_of, run_checkers
from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import resolve
from jepsenvm.workloads import lock, order
from jepsenvm.workloads.dead_letter import DeadLetterOptions
from jepsenvm.workloads.lock import LockOptions
from jepsenvm.workloads.order import OrderOptions
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.topology import TopologyOptions


def plan_of(workload: str, **keys: object) -> Plan:
    return resolve({"workload": workload, **keys}, "plan.yml", WORKLOADS, NEMESES)


@pytest.mark.parametrize(
    ("name", "options", "keys"),
    [
        ("queue", WorkloadOptions, []),
        (
            "dead-letter",
            DeadLetterOptions,
            ["message-ttl", "dead-letter-strategy", "dead-letter-target"],
        ),
        ("order", OrderOptions, ["single-active"]),
        ("lock", LockOptions, ["hold", "fenced"]),
        ("stream", WorkloadOptions, []),
        ("redelivery", WorkloadOptions, []),
        ("topology", TopologyOptions, ["names"]),
    ],
)
def test_the_options_of_a_workload(
    name: str, options: type[WorkloadOptions], keys: list[str]
) -> None:
    workload = WORKLOADS[name]
    assert workload.options is options
    assert [entry.key for entry in keys_of(options)] == keys
    assert workload.options_of(Plan(workload=name)) == options()
    assert workload.options_of(plan_of(name)) == options()


def test_options_have_their_defaults() -> None:
    assert DeadLetterOptions() == DeadLetterOptions(
        message_ttl=1, dead_letter_strategy="at-least-once", dead_letter_target="accepting"
    )
    assert OrderOptions() == OrderOptions(single_active=True)
    assert LockOptions() == LockOptions(hold=(0, 1), fenced=False)


def test_a_plan_with_the_options_of_another_workload_is_a_mistake() -> None:
    plan = Plan(workload="lock", options=OrderOptions())
    with pytest.raises(TypeError, match="workload lock has LockOptions, not OrderOptions"):
        lock.WORKLOAD.options_of(plan)


def test_no_key_belongs_to_two_models() -> None:
    keys = [entry.key for workload in WORKLOADS.values() for entry in keys_of(workload.options)]
    keys += [entry.key for entry in keys_of(Plan)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("name", "consumers", "prefetch", "queue_types"),
    [
        ("queue", 0, 500, ("quorum", "mirrored", "classic", "stream")),
        ("dead-letter", 0, 500, ("quorum",)),
        ("order", 5, 1, ("quorum", "mirrored", "classic")),
        ("lock", 0, 500, ("quorum", "mirrored", "classic")),
        ("stream", 0, 500, ("stream",)),
        ("redelivery", 5, 20, ("quorum",)),
        ("topology", 0, 500, ("quorum", "mirrored", "classic")),
    ],
)
def test_defaults_and_queue_types(
    name: str, consumers: int, prefetch: int, queue_types: tuple[str, ...]
) -> None:
    plan = plan_of(name)
    assert (plan.consumers, plan.prefetch) == (consumers, prefetch)
    assert WORKLOADS[name].queue_types == queue_types
    assert plan.queue_type == queue_types[0]
    assert resolve(
        {"workload": name, "seed": 4}, "plan.yml", WORKLOADS, NEMESES
    ) == plan.model_copy(update={"seed": 4})


def test_the_plan_file_takes_precedence_over_the_workloads_defaults() -> None:
    assert plan_of("order", consumers=2).consumers == 2


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_plan_file_of_each_workload_is_read_back(name: str, tmp_path: Path) -> None:
    plan = plan_of(name)
    (tmp_path / "plan.yml").write_text(plan.to_yaml())
    assert read_plan(tmp_path / "plan.yml") == plan


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_main_checker_and_its_headline(name: str) -> None:
    workload, plan = WORKLOADS[name], plan_of(name)
    assert list(workload.checkers(plan)) == [workload.main_checker]
    result = workload.checkers(plan)[workload.main_checker](from_ops([]))
    assert result.verdict is Verdict.UNKNOWN
    assert re.search(r"\b0\b", workload.headline(result.figures))
    assert run_checkers(plan, {}).keys() > {workload.main_checker, "vacuity", "availability"}


def test_headlines_show_thousands_separators_and_undecided_messages() -> None:
    figures = {
        f"{name}-count": 1000
        for name in (
            "acknowledged",
            "ok",
            "lost",
            "duplicated",
            "unexpected",
            "corrupted",
            "recovered",
        )
    }
    assert WORKLOADS["queue"].headline({**figures, "undecided-count": 0}) == (
        "acknowledged 1,000, drained 1,000, LOST 1,000, duplicated 1,000, unexpected 1,000, "
        "corrupted 1,000, recovered 1,000"
    )
    more = {**figures, "undecided-count": 2, "returned-count": 3, "dropped-count": 4}
    more |= {"out-of-order-count": 5, "two-active-count": 6}
    assert WORKLOADS["dead-letter"].headline(more).endswith("recovered 1,000, undecided 2")
    assert WORKLOADS["redelivery"].headline(more).endswith("undecided 2, returned 3, DROPPED 4")
    assert WORKLOADS["order"].headline(more).endswith("undecided 2, out of order 5, two active 6")


def test_headlines_of_the_stream_and_the_lock() -> None:
    kinds = (
        "divergent",
        "nonmonotonic",
        "out-of-order",
        "unexpected",
        "corrupted",
        "duplicated",
        "recovered",
    )
    figures = {f"{kind}-count": 0 for kind in kinds}
    figures |= {"acknowledged-count": 1000, "record-count": 999, "lost-count": 1}
    assert WORKLOADS["stream"].headline(figures) == (
        "acknowledged 1,000, 999 records, lost 1, divergent 0, nonmonotonic 0, out-of-order 0, "
        "unexpected 0, corrupted 0, duplicated 0, recovered 0"
    )
    figures = {"acquire-count": 3, "release-count": 2, "doubled-count": 1, "tokens": 0}
    assert WORKLOADS["lock"].headline(figures) == (
        "acquired 3, released 2, TWO HOLDERS 1, tokens left 0"
    )
    assert "tokens left unknown" in WORKLOADS["lock"].headline({**figures, "tokens": None})


def test_only_lock_and_topology_promise_something_other_than_to_keep_messages() -> None:
    acknowledged = {name: tuple(workload.acknowledgements) for name, workload in WORKLOADS.items()}
    assert acknowledged.pop("lock") == ("acquire",)
    assert set(acknowledged.pop("topology")) < set(CHANGES)
    assert set(acknowledged.values()) == {("enqueue",)}


def test_plots_are_of_the_ops_of_the_workload() -> None:
    assert presentation_of(lock.WORKLOAD).plots == {"acquire": "acquired"}
    assert presentation_of(order.WORKLOAD).plots == {
        "enqueue": "confirmed",
        "dequeue": "delivered",
    }
    assert WORKLOADS["stream"].plots == {"enqueue": "confirmed", "read": "read"}


def test_histories_of_other_programs_have_seven_workloads() -> None:
    sets = ["set", "set-full", "set-full-linearizable"]
    assert sorted(FOREIGN_WORKLOADS) == ["lock", "order", "queue", "register", *sets]
    read = Op("ok", "read", [], process=0)
    history = from_ops([Op("invoke", "read", process=0), read])
    for workload in FOREIGN_WORKLOADS.values():
        assert re.search(
            r"\b0\b", workload.presentation.headline(workload.checker(history).figures)
        )


@pytest.mark.parametrize("name", ["lock", "order", "queue"])
def test_histories_of_other_programs_are_shown_as_those_of_runs(name: str) -> None:
    foreign, own = FOREIGN_WORKLOADS[name].presentation, presentation_of(WORKLOADS[name])
    assert replace(foreign, headline=own.headline) == own


@pytest.mark.parametrize(
    ("keys", "version", "problem"),
    [
        ({"workload": "dead-letter"}, "3.9.29", "came with RabbitMQ 3.10, and the nodes run 3.9"),
        ({"workload": "dead-letter"}, "3.10.0", None),
        ({"workload": "stream"}, "3.8.9", "streams came with RabbitMQ 3.9"),
        ({"workload": "queue", "queue-type": "stream"}, "3.8.9", "streams came with RabbitMQ 3.9"),
        ({"workload": "stream"}, "3.9.0", None),
        (
            {"workload": "queue", "queue-type": "mirrored"},
            "4.0.5",
            "mirrored queues were removed in RabbitMQ 4.0, and the nodes run 4.0.5",
        ),
        ({"workload": "queue", "queue-type": "mirrored"}, "3.13.7", None),
        ({"workload": "queue"}, "3.8.9", None),
        (
            {"consumers": 5, "consumer-timeout": 60},
            "3.10.8",
            "consumer timeouts of queues came with RabbitMQ 3.12, and the nodes run 3.10.8; use "
            "machines with a newer RabbitMQ (`jepsenvm lab up --suite trixie`)",
        ),
        ({"consumers": 5, "consumer-timeout": 60}, "3.12.0", None),
        ({"consumers": 5, "consumer-timeout": 60}, "4.3.6", None),
        ({"consumers": 5, "consumer-timeout": 60, "queue-type": "classic"}, "4.2.1", None),
        (
            {"consumers": 5, "consumer-timeout": 60, "queue-type": "classic"},
            "4.3.0",
            "consumer-timeout: classic queues have no consumer timeout since RabbitMQ 4.3, and the "
            "nodes run 4.3.0; use queue-type quorum, or leave out consumer-timeout",
        ),
        ({"consumers": 5, "consumer-churn": 5, "queue-type": "classic"}, "4.3.6", None),
        ({"message-size": 134_217_728}, "3.13.7", None),
        ({"message-size": [64, 16_777_216]}, "4.0.5", None),
        (
            {"message-size": 16_777_217},
            "4.0.5",
            "message-size: RabbitMQ 4.0.5 accepts messages of at most 16777216 bytes (found "
            "16777217); use a smaller message-size",
        ),
        ({"message-size": [64, 134_217_728]}, "4.3.6", "at most 16777216 bytes (found 134217728)"),
    ],
)
def test_the_versions_that_a_plan_needs(
    keys: dict[str, object], version: str, problem: str | None
) -> None:
    plan = resolve(keys, "plan.yml", WORKLOADS, NEMESES)
    if problem is None:
        require_supported_version(plan, version)
        return
    with pytest.raises(UsageError, match=re.escape(problem)):
        require_supported_version(plan, version)
