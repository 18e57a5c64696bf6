"""What was not measured is not proven: no fault takes a missing measurement for a good one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jepsenvm.nemesis.active import ActiveFault, ActiveFaults
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.evidence import EvidenceCollector, problems_of
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import FAULTS
from tests.unit.fakes import FakeClock
from tests.unit.nemesis.builders import (
    GRUDGE,
    HOSTS,
    NO_OTHERS,
    SETTINGS,
    datagrams,
    fault_of,
)

LINK_KINDS = ("partition", "flapping", "loss", "packets", "link-reset")

NOTHING: dict[str, Any] = {
    "missing": None,
    "none": {"probe": None},
    "empty": {"probe": {}},
    "no answers": {"probe": dict.fromkeys(HOSTS)},
    "no nodes": {"probe": {"n9": None}},
    "numbers": {"probe": 7},
    "a text": {"probe": "x"},
}

PACKET_SETTINGS: list[dict[str, float | str]] = [
    {"rate-kbit": 1000},
    {"delay-ms": 200, "jitter-ms": 50},
    {"duplicate-percent": 10},
    {"reorder-percent": 25, "delay-ms": 20},
    {"corrupt-percent": 5},
]


def every_fault() -> list[Fault]:
    """Return each kind of fault, and each way to shape packets."""
    faults = [
        fault_of(kind, grudge=GRUDGE if kind in LINK_KINDS else None) for kind in sorted(FAULTS)
    ]
    shaping = [fault_of("packets", grudge=GRUDGE, settings=each) for each in PACKET_SETTINGS]
    one_way = fault_of("partition", grudge={"n1": frozenset({"n2"})})
    return [*faults, *shaping, one_way]


def evidence(fault: Fault, kind: str) -> dict[str, Any]:
    """Return evidence in which no probe of the fault measured anything."""
    content = NOTHING[kind]
    return {} if content is None else dict.fromkeys(fault.probes(), content["probe"])


def verdicts(fault: Fault, before: Any, now: Any) -> dict[str, list[str]]:
    return {
        name: problems_of(fault, getattr(type(fault), name), before, now, NO_OTHERS)
        for name in ("verify_active", "verify_healed")
    }


@pytest.mark.parametrize("kind", NOTHING)
@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.kind)
def test_no_fault_is_verified_by_evidence_that_shows_nothing(fault: Fault, kind: str) -> None:
    nothing = evidence(fault, kind)
    found = verdicts(fault, nothing, nothing)
    assert found["verify_active"]
    # Killed connections, a transfer and an enabled feature flag leave nothing to heal.
    if fault.kind not in ("clients-kill", "leader-transfer", "feature-flag") or kind in (
        "missing",
        "none",
    ):
        assert found["verify_healed"]


@pytest.mark.parametrize("settings", PACKET_SETTINGS, ids=str)
def test_shaping_without_datagrams_or_echoes_is_not_proven(
    settings: dict[str, float | str],
) -> None:
    """A median of nothing is not 0: that would be the lowest rate, and the shortest delay."""
    fault = fault_of("packets", grudge=GRUDGE, settings=settings)
    probe = fault.probes()[0]
    silent = {node: {**answer, "heard": {}, "echo": {}} for node, answer in datagrams().items()}
    whole, nothing = {probe: datagrams()}, {probe: silent}
    for before, now in ((whole, nothing), (nothing, whole), (nothing, nothing)):
        assert verdicts(fault, before, now)["verify_active"]
    assert verdicts(fault, whole, nothing)["verify_healed"]


@pytest.mark.parametrize("kind", ["loss", "packets"])
def test_a_difference_whose_beginning_another_fault_hid_is_hidden(kind: str) -> None:
    settings = SETTINGS.get(kind, {})
    fault = fault_of(kind, grudge=GRUDGE, settings=settings)
    rough = ConcurrentFaults(rough=frozenset((a, b) for a in HOSTS for b in HOSTS if a != b))
    probe = fault.probes()[0]
    before = {probe: datagrams(), "around": rough.as_data()}
    active = ActiveFaults()
    active[1] = ActiveFault(fault, before)
    collector = EvidenceCollector(
        lambda names: dict.fromkeys(names, datagrams()), active, FakeClock()
    )
    seen = collector.observe(1, fault, type(fault).verify_active, before, 0)
    assert seen.hidden


@pytest.mark.parametrize("unsynced", [None, "fault 1, 9\n"])
def test_a_loss_is_proven_on_nodes_that_other_faults_hide(unsynced: str | None) -> None:
    """Another fault stops RabbitMQ on n1. It does not touch what is on the disk of n1."""
    fault = fault_of("power-loss", "n1", "n2")
    empty = {"synced": None, "unsynced": None, "own": True, "writable": True}
    lost = {**empty, "synced": "fault 1, 9\n"}
    hosts = {"n1": True, "n2": True}
    before = {"hosts": hosts, "sentinels": {"n1": empty, "n2": empty}}
    after = {"hosts": hosts, "sentinels": {"n1": {**lost, "unsynced": unsynced}, "n2": lost}}
    active = ActiveFaults()
    active[1] = ActiveFault(fault, before)
    active[2] = ActiveFault(fault_of("kill", "n1"), {})
    collector = EvidenceCollector(lambda _: after, active, FakeClock())
    seen = collector.observe(1, fault, type(fault).verify_healed, before, 0)
    assert bool(seen.problems) == bool(unsynced)
    assert not seen.hidden


def test_a_link_that_the_matrix_does_not_have_is_not_cut() -> None:
    fault = fault_of("partition", grudge=GRUDGE)
    whole = {a: {b: True for b in HOSTS if b != a} for a in HOSTS}
    partial = {"n2": {"n3": True}, "n3": {"n2": True}}
    no_blocked_ports: dict[str, dict[str, list[int]]] = {host: {} for host in HOSTS}
    ports = {"blocked-ports": no_blocked_ports}
    found = verdicts(fault, {"matrix": whole, **ports}, {"matrix": partial, **ports})
    assert "the link from n1 to n2 was not measured" in found["verify_active"]
    assert "the link from n1 to n2 was not measured" in found["verify_healed"]


def test_a_node_whose_process_table_was_not_read_keeps_its_connections() -> None:
    fault = fault_of("clients-kill")
    table = {"n1": {"runtime": None, "amqp": True, "sessions": ["a"]}}
    found = verdicts(fault, {"processes": table}, {"processes": {"n1": None, "n2": {}}})
    assert found["verify_active"] == ["the process table of n1 could not be read"]


def test_a_fault_that_names_no_link_is_hidden() -> None:
    fault = replace(fault_of("partition"), grudge={})
    assert fault.hidden_by(NO_OTHERS)
