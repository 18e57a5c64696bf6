"""Grudges: whom they cut, and whom never."""

from __future__ import annotations

from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from jepsenvm.plan.grudge import complete_grudge, cut_pairs, majority, random_groups, random_halves
from jepsenvm.plan.nemesis import FEWEST_NODES, NEMESES, next_fault

NODES = st.integers(3, 9).map(lambda count: [f"n{number}" for number in range(1, count + 1)])


@given(NODES, st.integers())
def test_random_halves_are_a_fair_cut_of_all_nodes(nodes: list[str], seed: int) -> None:
    small, large = random_halves(nodes, Random(seed))
    assert sorted((*small, *large)) == sorted(nodes)
    assert len(large) - len(small) in (0, 1)


@given(NODES, st.integers())
def test_a_complete_grudge_is_symmetric_and_cuts_nobody_from_itself(nodes: list[str], seed: int) -> None:
    groups = random_halves(nodes, Random(seed))
    grudge = complete_grudge(groups)
    assert set(grudge) == set(nodes)
    for a in nodes:
        assert a not in grudge[a]
        for b in nodes:
            together = any(a in group and b in group for group in groups)
            assert (b in grudge[a]) == (a in grudge[b]) == (not together)


def test_one_dropped_direction_cuts_both_for_whoever_needs_an_answer() -> None:
    assert cut_pairs({"n1": frozenset({"n2"})}) == {("n1", "n2"), ("n2", "n1")}


PARTITIONS = st.sampled_from(sorted(set(NEMESES) - {"none"}))


@given(PARTITIONS, NODES, st.integers())
def test_whoever_is_not_heard_does_not_hear_and_nobody_is_cut_from_itself(
    nemesis: str, nodes: list[str], seed: int
) -> None:
    assume(len(nodes) >= FEWEST_NODES.get(nemesis, 2))
    grudge = next_fault(nemesis, nodes, Random(seed)).grudge
    assert cut_pairs(grudge), "a fault that cuts nothing is none"
    for node, dropped in grudge.items():
        assert node not in dropped
        assert dropped <= set(nodes)
        assert all(node in grudge[other] for other in dropped)


def heard(nemesis: str, nodes: list[str], seed: int) -> dict[str, frozenset[str]]:
    grudge = next_fault(nemesis, nodes, Random(seed)).grudge
    return {node: frozenset(nodes) - grudge.get(node, frozenset()) for node in nodes}


@given(NODES, st.integers())
def test_in_the_ring_every_node_hears_a_majority_and_no_two_the_same(nodes: list[str], seed: int) -> None:
    assume(len(nodes) >= 4)
    views = heard("partition-majorities-ring", nodes, seed)
    assert all(len(view) >= majority(len(nodes)) for view in views.values())
    assert len(set(views.values())) == len(nodes)


@given(NODES, st.integers())
def test_one_node_of_a_bridge_hears_all_and_no_other_does(nodes: list[str], seed: int) -> None:
    views = heard("partition-bridge", nodes, seed)
    assert sum(view == frozenset(nodes) for view in views.values()) == 1


@given(NODES, st.integers())
def test_a_pair_cuts_one_link(nodes: list[str], seed: int) -> None:
    assert len(cut_pairs(next_fault("partition-pair", nodes, Random(seed)).grudge)) == 2


@given(NODES, st.integers())
def test_one_node_is_alone(nodes: list[str], seed: int) -> None:
    sizes = sorted(len(view) for view in heard("partition-random-node", nodes, seed).values())
    assert sizes == [1] + [len(nodes) - 1] * (len(nodes) - 1)


@given(st.sampled_from(["partition-same-majority", "partition-random-majority"]), NODES, st.integers())
def test_there_is_one_majority(nemesis: str, nodes: list[str], seed: int) -> None:
    views = heard(nemesis, nodes, seed)
    large = {view for view in views.values() if len(view) >= majority(len(nodes))}
    assert len(large) == 1
    assert len(set(views.values())) == 2


def test_the_same_majority_stays_the_same() -> None:
    nodes = ["n1", "n2", "n3", "n4", "n5"]
    assert {next_fault("partition-same-majority", nodes, Random(seed)).text for seed in range(9)} == {
        "n1 n2 n3 | n4 n5"
    }


@given(NODES, st.integers())
def test_random_groups_are_a_partition_in_the_sense_of_sets(nodes: list[str], seed: int) -> None:
    groups = random_groups(nodes, Random(seed))
    assert 2 <= len(groups) <= len(nodes)
    assert all(groups)
    assert sorted(node for group in groups for node in group) == sorted(nodes)


def test_faults_say_whom_they_touch() -> None:
    nodes = ["n1", "n2", "n3", "n4", "n5"]
    texts = {name: next_fault(name, nodes, Random(1)).text for name in sorted(set(NEMESES) - {"none"})}
    assert texts["partition-halves"] == "n1 n2 | n3 n4 n5"
    assert texts["partition-bridge"].count(" + ") == 2
    assert "all others see both" in texts["partition-pair"]
    assert texts["partition-majorities-ring"].startswith("ring of ")
