"""Partitions as rules, and what counts as their proof."""

from __future__ import annotations

import pytest

from jepsenvm.faults import deadman, everything, partition
from jepsenvm.faults.host import Host
from jepsenvm.plan.grudge import complete_grudge

HOSTS = {
    "n1": Host(("10.0.0.1", "fd00::1"), "10.0.0.254", 22),
    "n2": Host(("10.0.0.2",), "10.0.0.254", 2222),
    "n3": Host(("10.0.0.3", "fe80::3"), None, 22),
}
GRUDGE = complete_grudge([["n1"], ["n2", "n3"]])


@pytest.mark.parametrize(
    ("node", "script"),
    [
        (
            "n1",
            "iptables-restore --noflush -w <<'RULES'\n*filter\n:JEPSENVM - [0:0]\n"
            "-A JEPSENVM -s 10.0.0.254 -p tcp --dport 22 -j RETURN\n"
            "-A JEPSENVM -s 10.0.0.2 -j DROP\n-A JEPSENVM -s 10.0.0.3 -j DROP\nCOMMIT\nRULES\n"
            "ip6tables-restore --noflush -w <<'RULES'\n*filter\n:JEPSENVM - [0:0]\n"
            "-A JEPSENVM -s fe80::3 -j DROP\nCOMMIT\nRULES",
        ),
        (
            "n2",
            "iptables-restore --noflush -w <<'RULES'\n*filter\n:JEPSENVM - [0:0]\n"
            "-A JEPSENVM -s 10.0.0.254 -p tcp --dport 2222 -j RETURN\n"
            "-A JEPSENVM -s 10.0.0.1 -j DROP\nCOMMIT\nRULES\n"
            "ip6tables-restore --noflush -w <<'RULES'\n*filter\n:JEPSENVM - [0:0]\n"
            "-A JEPSENVM -s fd00::1 -j DROP\nCOMMIT\nRULES",
        ),
    ],
)
def test_rules_drop_the_grudge_only_and_never_the_controllers_ssh(node: str, script: str) -> None:
    assert partition.inject(node, GRUDGE, HOSTS) == script


def test_a_node_without_grudge_gets_no_rules() -> None:
    assert partition.inject("n1", {}, HOSTS) == ""


def test_healing_touches_our_chain_only() -> None:
    lines = [line.strip() for line in everything.heal_and_disarm().splitlines() if "$table" in line]
    assert lines
    assert all(partition.CHAIN in line for line in lines)


def test_a_new_timer_is_armed_before_the_old_ones_are_stopped() -> None:
    script = deadman.arm(75, "heal 'me'")
    assert script.index("systemd-run") < script.index("systemctl stop")
    assert "--on-active=75s" in script


OPEN = {a: {b: True for b in HOSTS if b != a} for a in HOSTS}  # fmt: skip
CUT = {a: {b: "n1" not in (a, b) for b in HOSTS if b != a} for a in HOSTS}


def test_a_partition_is_proven_by_exactly_its_cut() -> None:
    assert list(partition.doubts(OPEN, CUT, GRUDGE)) == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({("n1", "n2"): True}, "n1 still reaches n2"),
        ({("n3", "n2"): False}, "n3 cannot reach n2, which the partition leaves connected"),
        ({("n2", "n1"): None}, "the probe from n2 to n1 failed"),
    ],
)
def test_any_other_link_is_a_doubt(change: dict[tuple[str, str], bool | None], doubt: str) -> None:
    seen = {a: {b: change.get((a, b), flows) for b, flows in row.items()} for a, row in CUT.items()}
    assert list(partition.doubts(OPEN, seen, GRUDGE)) == [doubt]


def test_rules_that_were_never_set_are_a_doubt_for_every_cut_pair() -> None:
    assert len(list(partition.doubts(OPEN, OPEN, GRUDGE))) == 4


def test_a_network_that_was_broken_before_is_a_doubt() -> None:
    assert "n1 could not reach n2 even before" in list(partition.doubts(CUT, CUT, GRUDGE))


def test_leftovers_after_healing() -> None:
    assert list(partition.leftovers(OPEN)) == []
    assert len(list(partition.leftovers(CUT))) == 4
