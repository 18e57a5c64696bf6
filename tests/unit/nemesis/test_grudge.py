"""Grudges and nemeses: what each nemesis draws, which links it cuts, what it takes and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.machines.reachability import components, cut_pairs, leaves_a_majority, majority
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.grudge import (
    bridge,
    complete_grudge,
    isolate,
    one_way,
    random_groups,
    random_halves,
    random_minority,
    rolling_stale,
    with_rest,
)
from jepsenvm.nemesis.registry import MIXES, NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage

NODES = st.integers(3, 9).map(lambda count: [f"n{number}" for number in range(1, count + 1)])
SYMMETRIC = [name for name in MIXES["partitions"] if name != "partition-one-way"]

FIVE = ("n1", "n2", "n3", "n4", "n5")
SEEDS = st.integers(0, 2**32)
SPECS: Mapping[str, NemesisSpec] = {
    name: spec for name, spec in NEMESES.items() if spec is not None
}
DOCS = Path(__file__).parents[3] / "docs" / "nemeses.md"


def cutting(name: str, nodes: list[str], seed: int) -> Fault:
    (stage,) = stages(name, FaultRequest(nodes, Random(seed)))
    return stage.fault


def enough(name: str, nodes: list[str]) -> bool:
    spec = NEMESES[name]
    return spec is not None and len(nodes) >= spec.fewest_nodes


@given(NODES, st.integers())
def test_random_halves_contain_all_nodes_and_differ_by_at_most_one(
    nodes: list[str], seed: int
) -> None:
    small, large = random_halves(nodes, Random(seed))
    assert sorted((*small, *large)) == sorted(nodes)
    assert len(large) - len(small) in (0, 1)


@given(NODES, st.integers())
def test_a_complete_grudge_is_symmetric_and_cuts_no_node_from_itself(
    nodes: list[str], seed: int
) -> None:
    groups = random_halves(nodes, Random(seed))
    grudge = complete_grudge(groups)
    assert set(grudge) == set(nodes)
    for a in nodes:
        assert a not in grudge[a]
        for b in nodes:
            together = any(a in group and b in group for group in groups)
            assert (b in grudge[a]) == (a in grudge[b]) == (not together)


def test_one_dropped_direction_cuts_connections_of_both() -> None:
    assert cut_pairs({"n1": frozenset({"n2"})}) == {("n1", "n2"), ("n2", "n1")}


@given(st.sampled_from([*SYMMETRIC, "partition-flapping", "delay", "loss"]), NODES, st.integers())
def test_symmetric_nemeses_cut_both_directions_and_no_node_from_itself(
    nemesis: str, nodes: list[str], seed: int
) -> None:
    assume(enough(nemesis, nodes))
    grudge = cutting(nemesis, nodes, seed).grudge
    assert cut_pairs(grudge), "the fault cuts nothing"
    for node, dropped in grudge.items():
        assert node not in dropped
        assert dropped <= set(nodes)
        assert all(node in grudge[other] for other in dropped)


def reachable(nemesis: str, nodes: list[str], seed: int) -> dict[str, frozenset[str]]:
    grudge = cutting(nemesis, nodes, seed).grudge
    return {node: frozenset(nodes) - grudge.get(node, frozenset()) for node in nodes}


@given(NODES, st.integers())
def test_in_the_ring_every_node_reaches_a_different_majority(nodes: list[str], seed: int) -> None:
    assume(len(nodes) >= 4)
    views = reachable("partition-majorities-ring", nodes, seed)
    assert all(len(view) >= majority(len(nodes)) for view in views.values())
    assert len(set(views.values())) == len(nodes)


@given(NODES, st.integers())
def test_only_one_node_of_a_bridge_reaches_all(nodes: list[str], seed: int) -> None:
    views = reachable("partition-bridge", nodes, seed)
    assert sum(view == frozenset(nodes) for view in views.values()) == 1


@given(NODES, st.integers())
def test_a_pair_cuts_one_link(nodes: list[str], seed: int) -> None:
    assert len(cut_pairs(cutting("partition-pair", nodes, seed).grudge)) == 2


@given(NODES, st.integers())
def test_a_random_node_is_isolated(nodes: list[str], seed: int) -> None:
    sizes = sorted(len(view) for view in reachable("partition-random-node", nodes, seed).values())
    assert sizes == [1] + [len(nodes) - 1] * (len(nodes) - 1)


@given(
    st.sampled_from(["partition-same-majority", "partition-random-majority"]), NODES, st.integers()
)
def test_there_is_one_majority(nemesis: str, nodes: list[str], seed: int) -> None:
    views = reachable(nemesis, nodes, seed)
    large = {view for view in views.values() if len(view) >= majority(len(nodes))}
    assert len(large) == 1
    assert len(set(views.values())) == 2


def test_the_same_majority_stays_the_same() -> None:
    nodes = ["n1", "n2", "n3", "n4", "n5"]
    assert {cutting("partition-same-majority", nodes, seed).text for seed in range(9)} == {
        "n1 n2 n3 | n4 n5"
    }


@given(NODES, st.integers())
def test_random_groups_are_disjoint_not_empty_and_contain_all_nodes(
    nodes: list[str], seed: int
) -> None:
    groups = random_groups(nodes, Random(seed))
    assert 2 <= len(groups) <= len(nodes)
    assert all(groups)
    assert sorted(node for group in groups for node in group) == sorted(nodes)


@given(NODES, st.integers())
def test_one_way_drops_in_one_direction_only(nodes: list[str], seed: int) -> None:
    receivers, senders = random_halves(nodes, Random(seed))
    grudge = one_way(receivers, senders)
    assert set(grudge) == set(receivers)
    assert all(dropped == set(senders) for dropped in grudge.values())


def test_either_of_two_random_halves_may_drop() -> None:
    nodes = ["n1", "n2", "n3", "n4", "n5"]
    assert {len(cutting("partition-one-way", nodes, seed).grudge) for seed in range(30)} == {2, 3}


@given(NODES, st.integers())
def test_victims_are_isolated_from_all_nodes_and_other_nodes_only_from_victims(
    nodes: list[str], seed: int
) -> None:
    victims = set(random_minority(nodes, Random(seed)))
    assert 1 <= len(victims) <= len(nodes) // 2
    grudge = isolate(sorted(victims), nodes)
    for node in nodes:
        assert grudge[node] == (set(nodes) - {node} if node in victims else victims)


@given(NODES, st.integers())
def test_the_rolling_scheme_moves_the_middle_part_from_one_side_to_the_other(
    nodes: list[str], seed: int
) -> None:
    first, second, third = rolling_stale(nodes, Random(seed))
    a, b, c = map(set, second)
    assert [set(group) for group in first] == [a | b, c]
    assert [set(group) for group in third] == [a, b | c]
    assert sorted((*a, *b, *c)) == sorted(nodes)
    assert max(map(len, (a, b, c))) - min(map(len, (a, b, c))) <= 1
    assert min(map(len, (a, b, c))) >= 1


@given(NODES, st.integers())
def test_every_stage_of_the_rolling_scheme_overlaps_the_next(nodes: list[str], seed: int) -> None:
    drawn = stages("partition-rolling-stale", FaultRequest(nodes, Random(seed)))
    assert [(round(stage.begins, 2), round(stage.ends, 2)) for stage in drawn] == [
        (0, 0.4),
        (0.33, 0.74),
        (0.67, 1),
    ]
    assert [len(stage.fault.text.split(" | ")) for stage in drawn] == [2, 3, 2]
    for stage in drawn:
        assert all(node not in dropped and dropped for node, dropped in stage.fault.grudge.items())


def test_the_remaining_nodes_form_one_more_group() -> None:
    nodes = ["n1", "n2", "n3", "n4"]
    assert with_rest([("n2",)], nodes) == (("n2",), ("n1", "n3", "n4"))
    assert with_rest([("n2", "n1"), ("n3", "n4")], nodes) == (("n1", "n2"), ("n3", "n4"))


def draw(
    name: str, seed: int = 0, nodes: tuple[str, ...] = FIVE, **given: Any
) -> tuple[Stage, ...]:
    if name == "partition":
        given = {"groups": (("n1", "n2"),), **given}
    if name == "upgrade":
        given = {"texts": {"to": "3.10.9"}, **given}
    return stages(name, FaultRequest(nodes, Random(seed), **given))


def one(name: str, seed: int = 0, **given: Any) -> Fault:
    (stage,) = draw(name, seed, **given)
    return stage.fault


@given(st.sampled_from(sorted(SPECS)), st.integers(5, 9), SEEDS)
def test_every_nemesis_repeats_its_draw_and_names_only_nodes_of_the_cluster(
    name: str, count: int, seed: int
) -> None:
    nodes = tuple(f"n{number}" for number in range(1, count + 1))
    drawn = draw(name, seed, nodes)
    assert drawn
    assert drawn == draw(name, seed, nodes)
    for stage in drawn:
        fault = stage.fault
        assert 0 <= stage.begins < stage.ends <= 1
        assert fault.nodes
        assert {
            *fault.nodes,
            *fault.grudge,
            *(node for drops in fault.grudge.values() for node in drops),
        } <= set(nodes)
        assert all(node not in dropped for node, dropped in fault.grudge.items())
        assert fault.name in MIXES.get(name, (name,))
        assert fault.text


@given(st.sampled_from(sorted(SPECS)), SEEDS)
def test_a_nemesis_works_with_its_fewest_nodes_and_refuses_fewer(name: str, seed: int) -> None:
    fewest = SPECS[name].fewest_nodes
    nodes = tuple(f"n{number}" for number in range(1, fewest + 1))
    assert draw(name, seed, nodes, **({"groups": (("n1",),)} if name == "partition" else {}))
    with pytest.raises(
        UsageError,
        match=f"nemesis: {name} needs at least {fewest} nodes, and the cluster has {fewest - 1}",
    ):
        stages(name, FaultRequest(nodes[:-1], Random(seed)))


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("partition-halves", "partition", {}),
        ("partition-flapping", "flapping", {"cut-ms": 300, "open-ms": 700}),
        ("clients-drop", "clients", {"way": "drop"}),
        ("clients-reject", "clients", {"way": "reject"}),
        ("clients-kill", "clients-kill", {"way": "kill"}),
        ("delay", "packets", {"delay-ms": 200, "jitter-ms": 50}),
        ("duplicate", "packets", {"duplicate-percent": 10}),
        ("reorder", "packets", {"reorder-percent": 25, "delay-ms": 20}),
        ("corrupt", "packets", {"corrupt-percent": 5}),
        ("rate", "packets", {"rate-kbit": 1000}),
        ("loss", "loss", {"percent": 20}),
        ("link-reset", "link-reset", {"blip-ms": 5}),
        ("kill", "kill", {}),
        ("kill-all", "kill", {}),
        ("pause", "pause", {}),
        ("stop-app", "stop-app", {}),
        ("drain", "drain", {}),
        ("restart", "restart", {}),
        (
            "file-corrupt",
            "file-corrupt",
            {"way": "flip", "victims": "drawn", "at-percent": 50},
        ),
        (
            "file-truncate",
            "file-corrupt",
            {"way": "truncate", "victims": "drawn", "at-percent": 50},
        ),
        ("power-cut", "power-cut", {}),
        ("clock-strobe", "clock", {"way": "strobe", "seconds": 5, "every-ms": 200}),
        ("disk-full", "disk-full", {}),
        ("disk-slow", "disk-slow", {"write-kbyte-s": 200}),
        ("memory-alarm", "memory-alarm", {}),
        ("stress-cpu", "stress", {"way": "cpu", "workers": 1}),
        (
            "stress-memory",
            "stress",
            {"way": "memory", "memory-percent": 10, "memory-mbyte": 0},
        ),
        ("leave", "leave", {}),
        ("replica-shrink", "replica-shrink", {}),
        ("leader-transfer", "leader-transfer", {}),
    ],
)
def test_kinds_and_settings(name: str, kind: str, settings: Mapping[str, float | str]) -> None:
    fault = one(name)
    assert (fault.kind, dict(fault.settings)) == (kind, settings)


def test_a_fault_of_links_affects_all_links_of_its_victims() -> None:
    fault = one("loss", victims=("n2", "n3"), settings={"percent": 50})
    assert fault.nodes == ("n2", "n3")
    assert fault.describe() == "loss {n2 n3, percent 50}"
    others = {"n1", "n4", "n5"}
    assert fault.grudge == {
        "n2": others | {"n3"}, "n3": others | {"n2"}, **dict.fromkeys(sorted(others), frozenset({"n2", "n3"}))
    }  # fmt: skip


def test_given_groups_are_separated_from_each_other_and_from_the_rest() -> None:
    assert one("partition", groups=(("n1",), ("n3", "n2"))).text == "n1 | n2 n3 | n4 n5"
    assert (
        one("partition-flapping", groups=(("n5",),)).text
        == "n5 | n1 n2 n3 n4, cut-ms 300, open-ms 700"
    )


def test_one_way_leaves_other_nodes_unaffected() -> None:
    fault = one("partition-one-way", groups=(("n1", "n2"), ("n3",)))
    assert fault.grudge == {"n1": {"n3"}, "n2": {"n3"}}
    assert fault.nodes == ("n1", "n2")


def test_a_given_grudge_stays_unchanged() -> None:
    grudge = {"n1": frozenset({"n2", "n3"}), "n4": frozenset({"n1"})}
    (stage,) = stages("partition", FaultRequest(FIVE, Random(0), grudge=grudge))
    assert stage.fault.grudge == grudge
    assert stage.fault.text == "n1 drops n2 n3; n4 drops n1"


def test_a_rolling_restart_restarts_each_node_once_and_never_two_at_a_time() -> None:
    drawn = draw("rolling-restart", 3)
    assert sorted(stage.fault.nodes for stage in drawn) == [(node,) for node in FIVE]
    assert all(a.ends < b.begins for a, b in pairwise(drawn))
    assert [stage.fault.nodes for stage in drawn] != [
        stage.fault.nodes for stage in draw("rolling-restart", 4)
    ]


def test_kill_all_kills_every_node() -> None:
    assert one("kill-all").nodes == FIVE


@given(SEEDS)
def test_a_bump_is_never_zero(seed: int) -> None:
    seconds = one("clock-bump", seed).settings["seconds"]
    assert isinstance(seconds, int)
    assert 1 <= abs(seconds) <= 300
    assert one("clock-bump", seed, settings={"seconds": -7}).settings == {
        "way": "bump",
        "seconds": -7,
    }


@pytest.mark.parametrize("mix", sorted(MIXES))
def test_a_mix_draws_each_of_its_nemeses_with_enough_nodes(mix: str) -> None:
    drawn = {one(mix, seed).name for seed in range(300)}
    assert drawn == set(MIXES[mix])
    few = {draw(mix, seed, ("n1", "n2"))[0].fault.name for seed in range(300)}
    assert few == {name for name in MIXES[mix] if SPECS[name].fewest_nodes <= 2}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("none", {}, "none injects no faults"),
        (
            "gremlins",
            {},
            "unknown nemesis 'gremlins' (known: none, partition-flapping, partition,",
        ),
        ("x" * 500, {}, f"unknown nemesis '{'x' * 57}...' (known: none"),
        ("partition-pair", {"victims": ("n1",)}, "partition-pair takes no nodes"),
        ("kill", {"groups": (("n1",), ("n2",))}, "kill takes no groups"),
        (
            "kill",
            {"grudge": {"n1": frozenset({"n2"})}},
            "kill takes no grudge (only partition does)",
        ),
        ("kill", {"victims": ("n1", "n9")}, "kill: unknown nodes n9 (known: n1 n2 n3 n4 n5)"),
        ("kill", {"victims": ("n1", "n1")}, "kill: node n1 is given twice"),
        (
            "partition",
            {"groups": (("n1", "n2"), ("n2",))},
            "partition: node n2 is in the groups twice",
        ),
        ("partition", {"groups": (FIVE,)}, "partition: all nodes are in one group"),
        ("partition", {"groups": (("n1",), ())}, "partition: a group is empty"),
        ("partition", {"groups": ()}, "partition needs either groups or a grudge"),
        (
            "partition",
            {"groups": (), "grudge": {"n1": frozenset()}},
            "partition needs either groups or a grudge",
        ),
        (
            "partition",
            {"grudge": {"n1": frozenset({"n2"})}},
            "partition needs either groups or a grudge",
        ),
        (
            "partition",
            {"grudge": {"n1": frozenset({"n1"})}},
            "partition: n1 cannot drop its own packets",
        ),
        ("partition", {"grudge": {"n8": frozenset({"n9"})}}, "partition: unknown nodes n8 n9"),
        (
            "partition-one-way",
            {"groups": (("n1",), ("n2",), ("n3",))},
            "partition-one-way takes two groups",
        ),
        (
            "loss",
            {"settings": {"percents": 3}},
            "loss: unknown setting 'percents' (known: percent)",
        ),
        ("kill", {"settings": {"percent": 3}}, "kill: unknown setting 'percent' (known: none)"),
        ("mixed", {"settings": {"percent": 3}}, "mixed: unknown setting 'percent' (known: none)"),
        (
            "loss",
            {"settings": {"percent": 101}},
            "loss: percent must be more than 0 and at most 100, not 101",
        ),
        ("delay", {"settings": {"delay-ms": 0}}, "delay: delay-ms must be more than 0, not 0"),
        ("delay", {"settings": {"jitter-ms": -1}}, "delay: jitter-ms must be 0 or more, not -1"),
        (
            "clock-bump",
            {"settings": {"seconds": float("inf")}},
            "clock-bump: seconds must be a finite number",
        ),
    ],
)
def test_an_invalid_request_is_refused_in_one_line(
    name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        draw(name, **given)
    line = str(refused.value)
    assert line.startswith("nemesis: ")
    assert message in line
    assert "\n" not in line


def test_all_problems_of_a_request_are_reported_at_once() -> None:
    with pytest.raises(UsageError, match=r"takes no groups.*unknown nodes n9.*unknown setting 'x'"):
        draw("kill", groups=(("n9",),), settings={"x": 1})


@given(st.integers(3, 9), SEEDS, st.data())
def test_partition_leader_isolates_the_leader(count: int, seed: int, data: st.DataObject) -> None:
    nodes = tuple(f"n{number}" for number in range(1, count + 1))
    leader = data.draw(st.sampled_from(nodes))
    (stage,) = draw("partition-leader", seed, nodes)
    assert sorted(stage.fault.nodes) == sorted(nodes)
    fault = stage.fault.resolve(leader)
    assert fault.role is None
    assert fault.grudge[leader] == set(nodes) - {leader}
    assert cut_pairs(fault.grudge) == {pair for node in nodes if node != leader for pair in
                                       ((leader, node), (node, leader))}  # fmt: skip


@given(st.integers(3, 9), SEEDS, st.data())
def test_the_leader_keeps_a_majority_when_followers_are_isolated(
    count: int, seed: int, data: st.DataObject
) -> None:
    nodes = tuple(f"n{number}" for number in range(1, count + 1))
    leader = data.draw(st.sampled_from(nodes))
    (stage,) = draw("partition-followers", seed, nodes)
    fault = stage.fault.resolve(leader)
    assert fault.role is None
    isolated = fault.grudge[leader]
    assert isolated == {node for node in stage.fault.nodes if node in isolated}
    assert isolated
    assert len(nodes) - len(isolated) >= majority(len(nodes))
    assert {node for node in nodes if fault.grudge[node] == isolated} == set(nodes) - isolated


def test_only_nodes_with_a_replica_are_isolated_as_followers() -> None:
    """By default a quorum queue of five nodes is on three of them."""
    (stage,) = draw("partition-followers", 3, FIVE)
    fault = stage.fault.resolve("n4", ("n2", "n4", "n5"))
    assert fault.grudge["n4"] in ({"n2"}, {"n5"})


@given(SEEDS, st.sets(st.sampled_from(FIVE), min_size=1))
def test_faults_of_replicas_act_on_nodes_with_a_replica(seed: int, replicas: set[str]) -> None:
    (shrink,) = draw("replica-shrink", seed, FIVE)
    assert set(shrink.fault.resolve(min(replicas), replicas).nodes) <= replicas
    (transfer,) = draw("leader-transfer", seed, FIVE)
    if len(replicas) > 1:
        heir = transfer.fault.resolve(min(replicas), replicas).settings["heir"]
        assert heir in replicas - {min(replicas)}


def test_a_given_node_needs_no_role() -> None:
    assert one("replica-shrink", victims=("n2",)).role is None


def test_leader_transfer_resolves_to_the_leader_and_a_fault_without_role_to_itself() -> None:
    fault = one("leader-transfer").resolve("n4")
    assert (fault.nodes, fault.role, fault.text) == (("n4",), None, "n4")
    kill = one("kill")
    assert kill.resolve("n4") is kill


def test_texts_name_the_affected_nodes() -> None:
    texts = {name: one(name, 1).text for name in MIXES["partitions"]}
    assert texts["partition-halves"] == "n1 n2 | n3 n4 n5"
    assert texts["partition-bridge"].count(" + ") == 2
    assert texts["partition-pair"].endswith(", all other links work")
    assert texts["partition-majorities-ring"].startswith("ring of ")
    assert texts["partition-one-way"].endswith(", but not vice versa")
    assert one("clients-kill", victims=("n1",)).describe() == "clients-kill {clients of n1}"


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_documentation_lists_every_nemesis_and_its_settings(name: str) -> None:
    table = DOCS.read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    assert SPECS[name].about.replace("|", r"\|") in rows[0]
    assert all(f"`{key}` {value:g}" in rows[0] for key, value in SPECS[name].settings.items())


@given(NODES, st.integers())
def test_halves_leave_a_majority_of_an_odd_number_of_nodes(nodes: list[str], seed: int) -> None:
    assert leaves_a_majority(complete_grudge(random_halves(nodes, Random(seed))), nodes) is bool(
        len(nodes) % 2
    )
    assert not leaves_a_majority(complete_grudge([[node] for node in nodes]), nodes)
    assert leaves_a_majority({}, nodes)


def test_nodes_connected_through_a_bridge_are_one_group() -> None:
    _, grudge = bridge(FIVE, Random(1))
    assert components(FIVE, cut_pairs(grudge)) == (FIVE,)
    assert components(FIVE, cut_pairs(complete_grudge([FIVE[:2], FIVE[2:]]))) == (
        FIVE[:2],
        FIVE[2:],
    )


def test_the_nemeses_of_each_mix_and_their_order() -> None:
    """A mix chooses by index, so this order is part of what a seed means."""
    assert MIXES == {
        "mixed": (
            "partition-random-node",
            "partition-random-groups",
            "loss",
            "kill",
            "pause",
            "restart",
            "clients-drop",
        ),
        "partitions": (
            "partition-halves",
            "partition-random-halves",
            "partition-random-node",
            "partition-same-majority",
            "partition-random-majority",
            "partition-random-groups",
            "partition-majorities-ring",
            "partition-bridge",
            "partition-pair",
            "partition-one-way",
        ),
        "processes": ("kill", "pause", "stop-app", "drain", "restart"),
    }
    assert next(iter(NEMESES)) == "none"
    assert list(NEMESES)[-3:] == ["mixed", "partitions", "processes"]
