"""Faults of nodes and brokers: the evidence that proves them active and healed."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.nemesis.fault import Evidence
from tests.unit.nemesis.builders import (
    active_problems,
    fault_of,
    healed_problems,
    maintenance,
    members,
    process_table,
)

UP, DOWN = process_table(), process_table("", amqp=False)
NEW = process_table(started=200)
PROBE_FAILED = {"processes": {"n1": None}}


@pytest.mark.parametrize(
    ("kind", "active", "not_active", "healed", "not_healed"),
    [
        ("kill", [DOWN], [UP, PROBE_FAILED, NEW], [NEW], [DOWN, PROBE_FAILED]),
        (
            "pause",
            [process_table("T")],
            [UP, DOWN, PROBE_FAILED],
            [UP],
            [process_table("T"), PROBE_FAILED],
        ),
        (
            "stop-app",
            [process_table(amqp=False)],
            [UP, DOWN, PROBE_FAILED],
            [UP],
            [process_table(amqp=False), DOWN, PROBE_FAILED],
        ),
        ("restart", [NEW, DOWN], [UP, PROBE_FAILED], [NEW], [DOWN, PROBE_FAILED]),
    ],
)
def test_a_fault_of_processes_is_proven_by_the_process_table(
    kind: str,
    active: list[Evidence],
    not_active: list[Evidence],
    healed: list[Evidence],
    not_healed: list[Evidence],
) -> None:
    fault = fault_of(kind)
    assert [active_problems(fault, UP, during) for during in active] == [[]] * len(active)
    assert all(active_problems(fault, UP, during) for during in not_active)
    assert all(active_problems(fault, DOWN, during) for during in active), "nothing ran before"
    assert [healed_problems(fault, UP, after) for after in healed] == [[]] * len(healed)
    assert all(healed_problems(fault, UP, after) for after in not_healed)


SERVING = maintenance("not under maintenance", UP)
DRAINED = maintenance("marked for maintenance", process_table(amqp=False))


def test_a_drained_node_is_under_maintenance_and_does_not_listen() -> None:
    fault = fault_of("drain")
    coloured = maintenance("\x1b[35mmarked for maintenance\x1b[0m", process_table(amqp=False))
    assert active_problems(fault, SERVING, DRAINED) == []
    assert active_problems(fault, SERVING, coloured) == []
    assert healed_problems(fault, SERVING, SERVING) == []


@pytest.mark.parametrize(
    "evidence",
    [
        maintenance("marked for maintenance", UP),
        maintenance("not under maintenance", process_table(amqp=False)),
        maintenance("unknown", process_table(amqp=False)),
        maintenance(None, process_table(amqp=False)),
        maintenance(None, PROBE_FAILED),
        maintenance("unknown", UP),
        maintenance(None, UP),
    ],
)
def test_half_a_drain_is_neither_active_nor_healed_nor_a_beginning(evidence: Evidence) -> None:
    fault = fault_of("drain")
    assert active_problems(fault, SERVING, evidence)
    assert healed_problems(fault, SERVING, evidence)
    assert active_problems(fault, evidence, DRAINED)


def test_a_node_in_service_is_not_drained_and_a_drained_one_is_not_healed() -> None:
    fault = fault_of("drain")
    assert active_problems(fault, SERVING, SERVING)
    assert active_problems(fault, DRAINED, DRAINED)
    assert healed_problems(fault, SERVING, DRAINED)
    assert active_problems(fault, SERVING, maintenance("marked for maintenance", PROBE_FAILED))


@pytest.mark.parametrize(("kind", "resource"), [("memory-alarm", "memory"), ("disk-full", "disk")])
def test_an_alarm_is_proven_by_the_brokers_report(kind: str, resource: str) -> None:
    fault = fault_of(kind)
    none: Evidence = {"alarms": {"n1": [], "n2": []}}
    raised: Evidence = {"alarms": {"n1": [f"{resource} on n1"], "n2": [f"{resource} on n1"]}}
    elsewhere: Evidence = {"alarms": {"n1": [f"{resource} on n2"], "n2": [f"{resource} on n2"]}}
    silent: Evidence = {"alarms": {"n1": None, "n2": None}}
    assert active_problems(fault, none, raised) == []
    assert all(active_problems(fault, none, during) for during in (none, elsewhere, silent))
    assert active_problems(fault, raised, raised)
    assert healed_problems(fault, none, none) == []
    assert all(healed_problems(fault, none, after) for after in (raised, silent))


def test_no_node_lists_a_node_that_left() -> None:
    fault = fault_of("leave", "n3")
    before, without = members("n1", "n2", "n3"), members("n1", "n2")
    assert active_problems(fault, before, without) == []
    assert len(active_problems(fault, before, before)) == 2
    assert healed_problems(fault, {}, before) == []
    assert len(healed_problems(fault, {}, without)) == 3


def test_replicas_and_leaders() -> None:
    full = {"queue": {"leader": "n1", "members": ["n1", "n2"]}}
    less = {"queue": {"leader": "n2", "members": ["n2"]}}
    shrink, transfer = fault_of("replica-shrink"), fault_of("leader-transfer")
    for fault in (shrink, transfer):
        assert active_problems(fault, full, less) == []
        assert active_problems(fault, full, full)
        assert active_problems(fault, {"queue": None}, {"queue": None})
    assert active_problems(shrink, full, {"queue": None})
    assert healed_problems(shrink, full, less)
    assert healed_problems(shrink, full, {"queue": None})
    assert healed_problems(shrink, full, full) == []


def test_a_moved_clock() -> None:
    fault = fault_of("clock")
    before, moved = {"clocks": {"n1": [0.1, 0.1]}}, {"clocks": {"n1": [0.1, 30.1]}}
    assert active_problems(fault, before, moved) == []
    assert active_problems(fault, before, before)
    assert active_problems(fault, before, {"clocks": {"n1": None}})
    assert healed_problems(fault, before, before) == []
    assert healed_problems(fault, before, moved)
    assert healed_problems(fault, before, {"clocks": {"n1": None}})


def test_a_slow_disk() -> None:
    fault = fault_of("disk-slow")
    fast, slow, unknown = ({"writes": {"n1": seconds}} for seconds in (0.1, 2.0, None))
    assert active_problems(fault, fast, slow) == []
    assert active_problems(fault, fast, fast)
    assert active_problems(fault, fast, unknown)
    assert healed_problems(fault, fast, fast) == []
    assert healed_problems(fault, fast, slow)
    assert healed_problems(fault, fast, unknown)


def test_a_cut_power() -> None:
    fault = fault_of("power-cut")
    on, off = {"hosts": {"n1": True}}, {"hosts": {"n1": False}}
    assert active_problems(fault, on, off) == []
    assert active_problems(fault, on, on)
    assert active_problems(fault, off, off)
    assert healed_problems(fault, on, on) == []
    assert healed_problems(fault, on, off)


def sentinels(
    synced: str | None, unsynced: str | None, *, own: bool = True, writable: bool = True
) -> dict[str, Any]:
    """Return that n1 answers, with these sentinels."""
    of_n1 = {"synced": synced, "unsynced": unsynced, "own": own, "writable": writable}
    return {"hosts": {"n1": True}, "sentinels": {"n1": of_n1}}


NO_SENTINELS = sentinels(None, None)
OFF: dict[str, Any] = {"hosts": {"n1": False}, "sentinels": {"n1": None}}
UNREAD: dict[str, Any] = {"hosts": {"n1": True}, "sentinels": {"n1": None}}


def test_a_power_loss_is_in_force_while_its_host_is_off() -> None:
    fault = fault_of("power-loss")
    assert active_problems(fault, NO_SENTINELS, OFF) == []
    assert active_problems(fault, NO_SENTINELS, NO_SENTINELS)
    assert active_problems(fault, OFF, OFF) == ["the disk of n1 was not read before the fault"]


@pytest.mark.parametrize("unsynced", [None, ""])
@pytest.mark.parametrize("before", [NO_SENTINELS, sentinels("fault 1, 5\n", None)])
def test_a_power_loss_is_proven_by_what_it_kept_and_lost(
    before: dict[str, Any], unsynced: str | None
) -> None:
    assert (
        healed_problems(fault_of("power-loss"), before, sentinels("fault 1, 9\n", unsynced)) == []
    )


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (sentinels("fault 1, 9\n", "fault 1, 9\n"), "n1 kept a file that was not synced"),
        (sentinels("fault 1, 9\n", "fau"), "n1 kept a file that was not synced"),
        (sentinels(None, None), "n1 lost a file that was synced"),
        (sentinels("", None), "n1 lost a file that was synced"),
        (sentinels("fault 1,", None), "n1 lost a file that was synced"),
        (sentinels("fault 1, 5\n", None), "n1 lost a file that was synced"),
        (sentinels("fault 1, 9\n", None, own=False), "n1 has RabbitMQ's data on another"),
        (sentinels("fault 1, 9\n", None, writable=False), "n1 cannot write"),
        (OFF, "n1 does not answer"),
        (UNREAD, "the disk of n1 could not be read"),
    ],
)
def test_a_power_loss_that_lost_anything_else_is_not_proven(
    after: dict[str, Any], problem: str
) -> None:
    before = sentinels("fault 1, 5\n", None)
    found = healed_problems(fault_of("power-loss"), before, after)
    assert found[0].startswith(problem)
    again_up = {**NEW, **after}
    assert healed_problems(fault_of("service-loss"), {**UP, **before}, again_up) == [
        one for one in found if one != "n1 does not answer"
    ]


def test_a_power_loss_needs_evidence_from_before() -> None:
    after = sentinels("fault 1, 9\n", None)
    assert healed_problems(fault_of("power-loss"), OFF, after)
    assert healed_problems(fault_of("service-loss"), {**UP, **OFF}, {**NEW, **after})


def test_a_service_loss_is_in_force_while_rabbitmq_is_down() -> None:
    fault = fault_of("service-loss")
    before, down = {**UP, **NO_SENTINELS}, {**DOWN, **UNREAD}
    assert active_problems(fault, before, down) == []
    assert active_problems(fault, before, {**UP, **UNREAD})
    assert active_problems(fault, before, {**PROBE_FAILED, **UNREAD})
    assert active_problems(fault, {**DOWN, **NO_SENTINELS}, down)
    assert active_problems(fault, {**UP, **UNREAD}, down)
    lost = sentinels("fault 1, 9\n", None)
    assert healed_problems(fault, before, {**NEW, **lost}) == []
    assert healed_problems(fault, before, {**DOWN, **lost})


def test_a_power_loss_of_hosts_that_nobody_can_switch_is_a_service_loss() -> None:
    fault = fault_of("power-loss", "n1", "n2").without_power()
    assert (fault.kind, fault.name, fault.nodes) == ("service-loss", "power-loss", ("n1", "n2"))
    assert fault.text
    assert not fault.powers_off
    assert fault_of("power-cut").without_power() == fault_of("power-cut")
