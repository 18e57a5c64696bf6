"""Faults of the network: the evidence that proves them active and healed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jepsenvm.machines.reachability import cut_pairs, pairs
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.grudge import one_way
from tests.unit.nemesis.builders import (
    CUT,
    GRUDGE,
    HOSTS,
    NO_OTHERS,
    OPEN,
    PARTED,
    active_problems,
    datagrams,
    fault_of,
    healed_problems,
    process_table,
)

ALL_CUT = ConcurrentFaults(cut=cut_pairs(GRUDGE))
CUT_LINKS = ("n1_n2", "n2_n1", "n1_n3", "n3_n1")


def without_link(first: str, second: str) -> dict[str, dict[str, bool]]:
    """Return PARTED with one more link cut."""
    return {
        a: {b: passes and {a, b} != {first, second} for b, passes in row.items()}
        for a, row in PARTED.items()
    }


# Partition.


def test_a_partition_is_proven_by_exactly_its_cut() -> None:
    assert active_problems(CUT, {"matrix": OPEN}, {"matrix": PARTED}) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({("n1", "n2"): True}, "n1 still reaches n2"),
        ({("n3", "n2"): False}, "n3 cannot reach n2, although the partition keeps that link"),
        ({("n2", "n1"): None}, "the probe from n2 to n1 failed"),
    ],
)
def test_any_other_state_of_a_link_is_a_problem(
    change: dict[tuple[str, str], bool | None], problem: str
) -> None:
    matrix = {
        a: {b: change.get((a, b), passes) for b, passes in row.items()} for a, row in PARTED.items()
    }
    assert active_problems(CUT, {"matrix": OPEN}, {"matrix": matrix}) == [problem]


BLOCKED = {"n2": {"n3": [25672]}}
"""One of the cluster's ports does not pass on a link that the partition keeps."""


def test_each_port_of_a_link_that_stays_must_pass() -> None:
    before = {"matrix": OPEN, "blocked-ports": {}}
    during = {"matrix": PARTED, "blocked-ports": BLOCKED}
    assert active_problems(CUT, before, during) == [
        "n2 cannot reach n3 on port 25672, although the partition keeps that link"
    ]
    blocked_before = {"matrix": OPEN, "blocked-ports": BLOCKED}
    assert active_problems(CUT, blocked_before, {"matrix": PARTED}) == [
        "n2 could not reach n3 on port 25672 before the fault"
    ]
    # Links that are cut have no port that passes.
    cut = {"n1": {"n2": [4369, 25672], "n3": [4369, 25672]}}
    assert active_problems(CUT, before, {"matrix": PARTED, "blocked-ports": cut}) == []


@pytest.mark.parametrize("ports", [[25672], [4369]])
def test_a_link_with_a_port_that_does_not_pass_is_not_healed(ports: list[int]) -> None:
    after = {"matrix": OPEN, "blocked-ports": {"n1": {"n3": ports}}}
    assert healed_problems(CUT, {}, after) == [
        f"n1 still cannot reach n3 on port {ports[0]} after healing"
    ]
    rough = ConcurrentFaults(rough=frozenset({("n1", "n3")}))
    assert healed_problems(CUT, {}, after, rough) == []
    # A broker that another fault pauses may leave connections without an answer.
    assert healed_problems(CUT, {}, after, ConcurrentFaults(mute=frozenset({"n3"}))) == []
    assert healed_problems(CUT, {}, after, ConcurrentFaults(mute=frozenset({"n1"}))) != []


def test_rules_that_were_never_set_are_a_problem_of_every_cut_pair() -> None:
    assert len(active_problems(CUT, {"matrix": OPEN}, {"matrix": OPEN})) == 4


def test_a_network_that_was_broken_before_is_a_problem() -> None:
    assert "n1 could not reach n2 before the fault" in active_problems(
        CUT, {"matrix": PARTED}, {"matrix": PARTED}
    )


def test_a_link_that_another_fault_cuts_is_no_problem() -> None:
    other = ConcurrentFaults(cut=frozenset({("n2", "n3"), ("n3", "n2")}))
    during = {"matrix": without_link("n2", "n3")}
    assert active_problems(CUT, {"matrix": OPEN}, during) != []
    assert active_problems(CUT, {"matrix": OPEN}, during, other) == []


def test_a_partition_is_hidden_if_other_faults_cut_all_its_links() -> None:
    assert CUT.hidden_by(ALL_CUT)
    assert CUT.hidden_by(ConcurrentFaults(off=frozenset({"n1"})))
    assert not CUT.hidden_by(ConcurrentFaults(cut=cut_pairs(GRUDGE) - {("n1", "n2")}))
    assert not CUT.hidden_by(NO_OTHERS)


def test_packets_on_a_cut_link_are_a_problem_whatever_other_faults_do() -> None:
    assert len(active_problems(CUT, {"matrix": OPEN}, {"matrix": OPEN}, ALL_CUT)) == 4


def test_a_link_that_another_fault_had_cut_before_is_no_problem() -> None:
    before = {"matrix": PARTED, "around": ALL_CUT.as_data()}
    assert active_problems(CUT, before, {"matrix": PARTED}) == []
    assert len(active_problems(CUT, {"matrix": PARTED}, {"matrix": PARTED})) == 4


def test_concurrent_faults_are_stored_and_read_again() -> None:
    concurrent = ConcurrentFaults(
        cut_pairs(GRUDGE), frozenset({("n2", "n3")}), frozenset({"n4"}), frozenset({"n5"})
    )
    stored = {"around": json.loads(json.dumps(concurrent.as_data()))}
    assert ConcurrentFaults.of(stored) == concurrent
    assert ConcurrentFaults.of({}) == NO_OTHERS


def test_a_fault_that_only_slows_links_does_not_hide_a_partition() -> None:
    rough = ConcurrentFaults(rough=cut_pairs(GRUDGE))
    assert not CUT.hidden_by(rough)
    assert active_problems(CUT, {"matrix": OPEN}, {"matrix": PARTED}, rough) == []
    assert len(active_problems(CUT, {"matrix": OPEN}, {"matrix": OPEN}, rough)) == 4, (
        "slow is not cut"
    )
    elsewhere = ConcurrentFaults(rough=frozenset({("n2", "n3"), ("n3", "n2")}))
    during = {"matrix": without_link("n2", "n3")}
    assert active_problems(CUT, {"matrix": OPEN}, during, elsewhere) == []


def test_a_healed_partition_leaves_no_link_cut() -> None:
    assert healed_problems(CUT, {}, {"matrix": OPEN}) == []
    assert len(healed_problems(CUT, {}, {"matrix": PARTED})) == 4


def test_a_one_way_cut_is_proven_in_both_directions() -> None:
    fault = replace(CUT, grudge=one_way(["n1"], ["n2", "n3"]))
    assert fault.probes() == ("matrix", "blocked-ports", "datagrams")
    before = {"matrix": OPEN, "datagrams": datagrams()}

    def problems(**counts: int) -> list[str]:
        return active_problems(fault, before, {"matrix": PARTED, "datagrams": datagrams(**counts)})

    assert problems(n2_n1=0, n3_n1=0) == []
    assert problems(n2_n1=0, n3_n1=9) == ["n1 still receives packets from n3"]
    assert problems(n2_n1=0, n3_n1=0, n1_n2=0) == [
        "n2 receives no packets from n1, although the partition keeps that direction"
    ]
    failed = {"matrix": PARTED, "datagrams": {**datagrams(), "n1": None}}
    assert set(active_problems(fault, before, failed)) == {"the probe on n1 failed"}


# Links that pass some packets.


@pytest.mark.parametrize(
    ("kind", "settings", "silent"),
    [
        ("partition", {}, True),
        ("flapping", {"cut-ms": 300, "open-ms": 700}, True),
        ("loss", {"percent": 20}, False),
        ("loss", {"percent": 90}, True),
        ("packets", {"rate-kbit": 1000}, False),
        ("packets", {"rate-kbit": 8}, True),
        ("packets", {"delay-ms": 200, "jitter-ms": 50}, False),
        ("packets", {"delay-ms": 900}, True),
        ("kill", {}, False),
    ],
)
def test_faults_that_may_silence_links(
    kind: str, settings: dict[str, float | str], silent: bool
) -> None:
    assert fault_of(kind, grudge=GRUDGE, settings=settings).silences_links() is silent


@pytest.mark.parametrize("kind", ["partition", "flapping", "loss", "packets"])
def test_a_fault_that_was_not_measured_is_not_proven(kind: str) -> None:
    fault = fault_of(kind, *HOSTS, grudge=GRUDGE)
    before = {"matrix": OPEN, "datagrams": datagrams(), "burst": datagrams()}
    nothing = dict.fromkeys(HOSTS)
    assert fault.hidden_by(ALL_CUT)
    assert active_problems(fault, before, {"matrix": OPEN, "datagrams": nothing, "burst": nothing})


def test_a_flapping_link_passes_some_datagrams() -> None:
    fault = fault_of("flapping", *HOSTS, grudge=GRUDGE)
    before = {"datagrams": datagrams()}
    some = {"datagrams": datagrams(**dict.fromkeys(CUT_LINKS, 35))}
    none = {"datagrams": datagrams(**dict.fromkeys(CUT_LINKS, 0))}
    assert active_problems(fault, before, some) == []
    assert len(active_problems(fault, before, before)) == 4
    assert len(active_problems(fault, before, none)) == 4
    assert healed_problems(fault, {}, before) == []
    assert len(healed_problems(fault, {}, some)) == 4
    assert healed_problems(fault, {}, {"datagrams": {**datagrams(), "n1": None}}) != []


def test_loss_is_counted_on_its_links_only() -> None:
    fault = fault_of("loss", *HOSTS, grudge=GRUDGE)
    before = {"datagrams": datagrams()}
    some = {"datagrams": datagrams(**dict.fromkeys(CUT_LINKS, 40))}
    assert active_problems(fault, before, some) == []
    assert len(active_problems(fault, before, before)) == 1
    assert len(active_problems(fault, before, {"datagrams": datagrams(n2_n3=0)})) == 1
    assert len(active_problems(fault, some, some)) == 1
    assert healed_problems(fault, before, before) == []
    assert len(healed_problems(fault, before, some)) == 1
    assert len(healed_problems(fault, before, {"datagrams": dict.fromkeys(HOSTS)})) == 1


def test_a_delay_shows_in_round_trips() -> None:
    fault = fault_of("packets", grudge=GRUDGE, settings={"delay-ms": 200, "jitter-ms": 50})
    before, late = {"datagrams": datagrams()}, datagrams()
    for node, sources in GRUDGE.items():
        for source in sources:
            late[node]["echo"][source]["median-ms"] = 390.0
    assert active_problems(fault, before, {"datagrams": late}) == []
    assert len(active_problems(fault, before, before)) == 1
    assert len(healed_problems(fault, before, {"datagrams": late})) == 1


def test_a_rate_shows_in_a_burst() -> None:
    fault = fault_of("packets", grudge=GRUDGE, settings={"rate-kbit": 1000})
    before, slow = {"burst": datagrams()}, datagrams()
    for answer in slow.values():
        for arrival in answer["heard"].values():
            arrival["seconds"] = 0.1
    assert active_problems(fault, before, {"burst": slow}) == []
    assert len(active_problems(fault, before, before)) == 1
    assert len(active_problems(fault, {"burst": slow}, {"burst": slow})) == 1, (
        "it was as slow before the fault"
    )
    assert len(healed_problems(fault, before, {"burst": slow})) == 1


def test_duplicates_show_in_copies() -> None:
    fault = fault_of("packets", grudge=GRUDGE, settings={"duplicate-percent": 10})
    before, copied = {"datagrams": datagrams()}, datagrams()
    copied["n1"]["heard"]["n2"]["copies"] = 9
    assert active_problems(fault, before, {"datagrams": copied}) == []
    assert len(active_problems(fault, before, before)) == 1


@pytest.mark.parametrize(
    ("setting", "effect"),
    [
        ("duplicate-percent", {"copies": 20}),
        ("reorder-percent", {"late": 20}),
        ("corrupt-percent", {"count": 30}),
    ],
)
def test_an_effect_that_stays_is_not_healed(setting: str, effect: dict[str, int]) -> None:
    settings: dict[str, float | str] = {
        setting: 20,
        **({"delay-ms": 20} if "late" in effect else {}),
    }
    fault = fault_of("packets", grudge=GRUDGE, settings=settings)
    before, shaped = {"datagrams": datagrams()}, datagrams()
    for node, sources in GRUDGE.items():
        for source in sources:
            shaped[node]["heard"][source].update(effect)
    assert healed_problems(fault, before, before) == []
    assert len(healed_problems(fault, before, {"datagrams": shaped})) == 1


# Clients.


@pytest.mark.parametrize(("way", "state"), [("drop", "silent"), ("reject", "refused")])
def test_a_cut_of_clients_shows_in_the_ports_state(way: str, state: str) -> None:
    fault = fault_of("clients", settings={"way": way})
    before = {"clients": {"n1": "open", "n2": "open"}}
    during = {"clients": {"n1": state, "n2": "open"}}
    assert active_problems(fault, before, during) == []
    assert len(active_problems(fault, before, before)) == 1
    assert len(active_problems(fault, during, during)) == 1
    assert healed_problems(fault, before, before) == []
    assert len(healed_problems(fault, before, during)) == 1
    down = ConcurrentFaults(mute=frozenset({"n1"}))
    refused = {"clients": {"n1": "refused", "n2": "open"}}
    assert healed_problems(fault, before, refused, down) == []


def test_killed_connections_are_the_ones_from_before() -> None:
    fault = fault_of("clients-kill")
    before = process_table(sessions=("10.0.0.254:40001", "10.0.0.254:40002"))
    new, old = (process_table(sessions=(f"10.0.0.254:{port}",)) for port in (50001, 40002))
    assert active_problems(fault, before, new) == []
    assert active_problems(fault, before, old) == ["1 of 2 AMQP connections of n1 are still alive"]
    assert active_problems(fault, process_table(), process_table()) == [
        "n1 had no AMQP connection before the fault"
    ]


def test_pairs_skips_the_diagonal() -> None:
    assert list(pairs({"n1": {"n1": True, "n2": False}})) == [("n1", "n2", False)]
