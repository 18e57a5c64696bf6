"""Every kind of fault: what nodes are told to do, and what counts as its proof, on sights with and without it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.host import Host
from jepsenvm.machines.reachability import cut_pairs, pairs
from jepsenvm.nemesis import heal_all as everything
from jepsenvm.nemesis import heal_timer as deadman
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.faults.registry import KINDS
from jepsenvm.nemesis.grudge import complete_grudge, one_way
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence
from jepsenvm.nemesis.requirements import ABILITIES

HOSTS = {
    "n1": Host(("10.0.0.1", "fd00::1"), "10.0.0.254", 22, "rabbit@n1"),
    "n2": Host(("10.0.0.2",), "10.0.0.254", 2222, "rabbit@n2"),
    "n3": Host(("10.0.0.3", "fe80::3"), None, 22, "rabbit@ip-10-0-0-3", answers=(2222,)),
}
GRUDGE = complete_grudge([["n1"], ["n2", "n3"]])
CUT = Fault("partition", "partition", "n1 | n2 n3", ("n1", "n2", "n3"), GRUDGE)
QUIET = ConcurrentFaults()


def rules(actions: list[Action]) -> dict[str, list[str]]:
    return {action.argv[0]: action.stdin.splitlines() for action in actions}


def acts(fault: Fault, node: str, way: str = "inject") -> list[Action]:
    return list(getattr(KINDS[fault.kind], way)(fault, "3", node, HOSTS))


@pytest.mark.parametrize(
    ("fault", "node", "table", "rule"),
    [
        (CUT, "n1", "iptables-restore", "-A JEPSENVM-3 -s 10.0.0.2 -j DROP"),
        (CUT, "n1", "ip6tables-restore", "-A JEPSENVM-3 -s fe80::3 -j DROP"),
        (CUT, "n2", "iptables-restore", "-A JEPSENVM-3 -s 10.0.0.1 -j DROP"),
        (
            replace(CUT, kind="loss", settings={"percent": 20}),
            "n2",
            "iptables-restore",
            "-A JEPSENVM-3 -s 10.0.0.1 -m statistic --mode random --probability 0.200000 -j DROP",
        ),
        (
            Fault("clients", "clients-drop", "", ("n1",), settings={"way": "drop"}),
            "n1",
            "ip6tables-restore",
            "-A JEPSENVM-3 -p tcp --dport 5672 -j DROP",
        ),
        (
            Fault("clients", "clients-reject", "", ("n2",), settings={"way": "reject"}),
            "n2",
            "iptables-restore",
            "-A JEPSENVM-3 -p tcp --dport 5672 -j REJECT --reject-with tcp-reset",
        ),
    ],
)
def test_rules_are_put_into_a_chain_of_the_faults_own_in_one_transaction(
    fault: Fault, node: str, table: str, rule: str
) -> None:
    lines = rules(acts(fault, node))[table]
    assert lines[:2] == ["*filter", ":JEPSENVM-3 - [0:0]"]
    assert rule in lines
    assert lines[-2:] == ["-A JEPSENVM -j JEPSENVM-3", "COMMIT"]


def test_a_node_without_grudge_does_nothing() -> None:
    assert acts(replace(CUT, grudge=complete_grudge([["n2"], ["n3"]])), "n1") == []


@pytest.mark.parametrize(
    "kind", sorted(set(KINDS) - {"partition", "flapping", "loss", "packets", "leave"})
)
def test_a_fault_leaves_other_nodes_alone(kind: str) -> None:
    fault = Fault(kind, kind, "n1", ("n1",), settings=SETTINGS.get(kind, {}))
    assert acts(fault, "n2") == []
    assert acts(fault, "n2", "heal") == []


SETTINGS: dict[str, dict[str, float | str]] = {
    "clients": {"way": "drop"},
    "clients-kill": {"way": "kill"},
    "clock": {"way": "bump", "seconds": 30},
    "disk-slow": {"write-kbyte-s": 200},
    "leader-transfer": {"queue": "jepsenvm.quorum.x", "heir": "n2"},
    "flapping": {"cut-ms": 300, "open-ms": 700},
    "loss": {"percent": 20},
    "packets": {"rate-kbit": 1000},
}

SHELL_CHECKED = [
    action.stdin + "\n" + action.argv[2]
    for kind in KINDS
    for way in ("inject", "heal")
    for node in HOSTS
    for action in acts(Fault(kind, kind, "n1", ("n1",), GRUDGE, SETTINGS.get(kind, {})), node, way)
    if action.argv[0] == "/bin/sh"
] + [kind.sweep for kind in KINDS.values() if kind.sweep]


@pytest.mark.parametrize("script", [*dict.fromkeys(SHELL_CHECKED), everything.heal_and_disarm()])
def test_every_script_is_one_that_a_shell_understands(script: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_what_is_done_ahead_swallows_nothing_of_the_script_and_keeps_its_variables() -> None:
    action = shell("echo then $word", ahead="word=this\ncat")
    done = subprocess.run(
        action.argv, input=action.stdin, capture_output=True, text=True, check=True
    )
    assert done.stdout == "then this\n"


@pytest.mark.parametrize("ahead", ["", "true\nfalse"])
def test_a_failure_ahead_or_in_the_script_ends_the_action(ahead: str) -> None:
    action = shell("false\necho not reached", ahead=ahead)
    done = subprocess.run(
        action.argv, input=action.stdin, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_the_controllers_ssh_passes_before_any_drop() -> None:
    script = chain.prepare(HOSTS["n2"])
    assert "iptables -w -I JEPSENVM 1 -s 10.0.0.254 -p tcp --dport 2222 -j RETURN" in script
    assert "RETURN" not in chain.prepare(HOSTS["n1"].__class__(("10.0.0.9",), None, 22))


def test_answers_to_the_controller_pass_where_it_or_its_way_is_on_a_node() -> None:
    script = chain.prepare(HOSTS["n3"])
    for table in ("iptables", "ip6tables"):
        assert f"{table} -w -I JEPSENVM 1 -p tcp --sport 2222 -j RETURN" in script
    assert "--sport" not in chain.prepare(HOSTS["n1"])


def test_healing_touches_our_chains_only() -> None:
    lines = [
        line.strip() for line in everything.heal_and_disarm().splitlines() if "$table -w -D" in line
    ]
    assert lines == ["while $table -w -D INPUT -j JEPSENVM 2>/dev/null; do :; done"]


def test_what_goes_wrong_with_one_kind_does_not_keep_the_others_from_being_healed() -> None:
    script = everything.heal().replace(KINDS["partition"].sweep, "false\necho not reached")
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            script.replace("rm -rf", "echo kept")
            .replace("systemctl", "true")
            .replace("tc ", "true "),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not reached" not in done.stdout
    assert "kept" in done.stdout
    assert done.returncode == 1


def test_a_new_timer_is_armed_before_the_old_ones_are_stopped() -> None:
    script = deadman.arm(75, "heal 'me'")
    assert script.index("systemd-run") < script.index("systemctl stop")
    assert "--on-active=75s" in script


def test_a_timer_is_one_that_systemd_can_read_again() -> None:
    (command,) = [
        line for line in deadman.arm(75, everything.heal()).splitlines() if "systemd-run" in line
    ]
    assert "--description=" in command


def test_every_need_has_a_remedy() -> None:
    faults = [Fault(kind, kind, "", ("n1",), GRUDGE, SETTINGS.get(kind, {})) for kind in KINDS]
    faults.append(Fault("packets", "delay", "", ("n1",), GRUDGE, {"delay-ms": 200}))
    assert {need for fault in faults for need in KINDS[fault.kind].needs(fault)} <= set(ABILITIES)


# Proofs.

OPEN: dict[str, Any] = {a: {b: True for b in HOSTS if b != a} for a in HOSTS}
PARTED: dict[str, Any] = {a: {b: "n1" not in (a, b) for b in HOSTS if b != a} for a in HOSTS}


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults = QUIET
) -> list[str]:
    return list(KINDS[fault.kind].doubts(fault, before, during, around))


def leftovers(
    fault: Fault, before: Evidence, after: Evidence, around: ConcurrentFaults = QUIET
) -> list[str]:
    return list(KINDS[fault.kind].leftovers(fault, before, after, around))


def test_a_partition_is_proven_by_exactly_its_cut() -> None:
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": PARTED}) == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({("n1", "n2"): True}, "n1 still reaches n2"),
        ({("n3", "n2"): False}, "n3 cannot reach n2, which the partition leaves connected"),
        ({("n2", "n1"): None}, "the probe from n2 to n1 failed"),
    ],
)
def test_any_other_link_is_a_doubt(change: dict[tuple[str, str], bool | None], doubt: str) -> None:
    seen = {
        a: {b: change.get((a, b), flows) for b, flows in row.items()} for a, row in PARTED.items()
    }
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": seen}) == [doubt]


def test_rules_that_were_never_set_are_a_doubt_for_every_cut_pair() -> None:
    assert len(doubts(CUT, {"matrix": OPEN}, {"matrix": OPEN})) == 4


def test_a_network_that_was_broken_before_is_a_doubt() -> None:
    assert "n1 could not reach n2 even before" in doubts(
        CUT, {"matrix": PARTED}, {"matrix": PARTED}
    )


def test_what_another_fault_cuts_is_no_doubt() -> None:
    other = ConcurrentFaults(cut=frozenset({("n2", "n3"), ("n3", "n2")}))
    seen = {
        a: {b: flows and {a, b} != {"n2", "n3"} for b, flows in row.items()}
        for a, row in PARTED.items()
    }
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": seen}) != []
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": seen}, other) == []


def test_a_partition_whose_every_link_another_fault_cuts_is_hidden() -> None:
    hidden = KINDS["partition"].hidden
    assert hidden(CUT, ConcurrentFaults(cut=cut_pairs(GRUDGE)))
    assert hidden(CUT, ConcurrentFaults(off=frozenset({"n1"})))
    assert not hidden(CUT, ConcurrentFaults(cut=cut_pairs(GRUDGE) - {("n1", "n2")}))
    assert not hidden(CUT, QUIET)


def test_what_flows_where_a_partition_cuts_is_a_doubt_whatever_others_do() -> None:
    assert (
        len(
            doubts(CUT, {"matrix": OPEN}, {"matrix": OPEN}, ConcurrentFaults(cut=cut_pairs(GRUDGE)))
        )
        == 4
    )


def test_what_was_cut_before_by_another_fault_that_was_healed_since_is_no_doubt() -> None:
    before = {"matrix": PARTED, "around": ConcurrentFaults(cut=cut_pairs(GRUDGE)).as_data()}
    assert doubts(CUT, before, {"matrix": PARTED}) == []
    assert len(doubts(CUT, {"matrix": PARTED}, {"matrix": PARTED})) == 4


def test_what_other_faults_explain_is_stored_and_read_again() -> None:
    around = ConcurrentFaults(
        cut_pairs(GRUDGE), frozenset({("n2", "n3")}), frozenset({"n4"}), frozenset({"n5"})
    )
    assert ConcurrentFaults.of({"around": json.loads(json.dumps(around.as_data()))}) == around
    assert ConcurrentFaults.of({}) == QUIET


def test_a_partition_is_seen_through_what_only_slows_its_links() -> None:
    rough = ConcurrentFaults(rough=cut_pairs(GRUDGE))
    assert not KINDS["partition"].hidden(CUT, rough)
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": PARTED}, rough) == []
    assert len(doubts(CUT, {"matrix": OPEN}, {"matrix": OPEN}, rough)) == 4, "slow is not cut"
    stray = {
        a: {b: flows and {a, b} != {"n2", "n3"} for b, flows in row.items()}
        for a, row in PARTED.items()
    }
    elsewhere = ConcurrentFaults(rough=frozenset({("n2", "n3"), ("n3", "n2")}))
    assert doubts(CUT, {"matrix": OPEN}, {"matrix": stray}, elsewhere) == []


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
def test_what_may_leave_nothing_but_silence(
    kind: str, settings: dict[str, float], silent: bool
) -> None:
    assert KINDS[kind].silences(replace(CUT, kind=kind, settings=settings)) is silent


@pytest.mark.parametrize("kind", ["partition", "flapping", "loss", "packets"])
def test_what_cannot_be_told_from_other_faults_is_not_proven(kind: str) -> None:
    """Not seeing anything must never pass for having seen it bite."""
    fault = replace(CUT, kind=kind, settings=SETTINGS.get(kind, {}))
    sights = {"matrix": PARTED, "datagrams": heard(), "burst": heard()}
    blind = {"matrix": OPEN, "datagrams": dict.fromkeys(HOSTS), "burst": dict.fromkeys(HOSTS)}
    assert KINDS[kind].hidden(fault, ConcurrentFaults(cut=cut_pairs(GRUDGE)))
    assert doubts(fault, {**sights, "matrix": OPEN}, blind)


def test_leftovers_of_a_partition() -> None:
    assert leftovers(CUT, {}, {"matrix": OPEN}) == []
    assert len(leftovers(CUT, {}, {"matrix": PARTED})) == 4


def heard(**counts: int) -> dict[str, Any]:
    """What datagrams show when ``a_b=count`` of 50 came from a to b, and all 50 elsewhere."""
    return {
        b: {
            "sent": 50,
            "heard": {
                a: {
                    "count": counts.get(f"{a}_{b}", 50),
                    "copies": 0,
                    "late": 0,
                    "bytes": 9600,
                    "seconds": 0.02,
                }
                for a in HOSTS
                if a != b
            },
            "echo": {a: {"count": 50, "median-ms": 1.0, "max-ms": 2.0} for a in HOSTS if a != b},
        }
        for b in HOSTS
    }


def test_a_one_way_cut_needs_deaf_ones_and_heard_ones() -> None:
    fault = replace(CUT, grudge=one_way(["n1"], ["n2", "n3"]))
    assert KINDS["partition"].looks(fault) == ("matrix", "datagrams")
    before = {"matrix": OPEN, "datagrams": heard()}
    assert doubts(fault, before, {"matrix": PARTED, "datagrams": heard(n2_n1=0, n3_n1=0)}) == []
    assert doubts(fault, before, {"matrix": PARTED, "datagrams": heard(n2_n1=0, n3_n1=9)}) == [
        "n1 still hears n3, or could not be asked"
    ]
    assert doubts(
        fault, before, {"matrix": PARTED, "datagrams": heard(n2_n1=0, n3_n1=0, n1_n2=0)}
    ) == ["n2 does not hear n1, which the partition leaves it"]


def test_a_flapping_link_passes_some() -> None:
    fault = Fault("flapping", "f", "n1 | n2 n3", ("n1", "n2", "n3"), GRUDGE, SETTINGS["flapping"])
    some = dict.fromkeys(("n1_n2", "n2_n1", "n1_n3", "n3_n1"), 35)
    assert doubts(fault, {"datagrams": heard()}, {"datagrams": heard(**some)}) == []
    assert len(doubts(fault, {"datagrams": heard()}, {"datagrams": heard()})) == 4
    assert (
        len(doubts(fault, {"datagrams": heard()}, {"datagrams": heard(**dict.fromkeys(some, 0))}))
        == 4
    )
    assert leftovers(fault, {}, {"datagrams": heard()}) == []
    assert len(leftovers(fault, {}, {"datagrams": heard(**some)})) == 4


def test_loss_is_counted_on_its_links_only() -> None:
    fault = replace(CUT, kind="loss", settings={"percent": 20})
    some = dict.fromkeys(("n1_n2", "n2_n1", "n1_n3", "n3_n1"), 40)
    before = {"datagrams": heard()}
    assert doubts(fault, before, {"datagrams": heard(**some)}) == []
    assert len(doubts(fault, before, before)) == 1
    assert len(doubts(fault, before, {"datagrams": heard(n2_n3=0)})) == 1
    assert len(doubts(fault, {"datagrams": heard(**some)}, {"datagrams": heard(**some)})) == 1
    assert leftovers(fault, before, before) == []
    assert len(leftovers(fault, before, {"datagrams": heard(**some)})) == 1


def test_packets_show_what_was_asked_for() -> None:
    slow = Fault("packets", "delay", "n1", ("n1",), GRUDGE, {"delay-ms": 200, "jitter-ms": 50})
    later = heard()
    for node, sources in GRUDGE.items():
        for source in sources:
            later[node]["echo"][source]["median-ms"] = 390.0
    assert doubts(slow, {"datagrams": heard()}, {"datagrams": later}) == []
    assert len(doubts(slow, {"datagrams": heard()}, {"datagrams": heard()})) == 1
    assert len(leftovers(slow, {"datagrams": heard()}, {"datagrams": later})) == 1
    held = replace(slow, settings={"rate-kbit": 1000})
    trickle = heard()
    for answer in trickle.values():
        for one in answer["heard"].values():
            one["seconds"] = 0.1
    assert doubts(held, {"burst": heard()}, {"burst": trickle}) == []
    assert len(doubts(held, {"burst": heard()}, {"burst": heard()})) == 1
    assert len(doubts(held, {"burst": trickle}, {"burst": trickle})) == 1, (
        "it was as slow even before"
    )
    assert len(leftovers(held, {"burst": heard()}, {"burst": trickle})) == 1
    double = replace(slow, settings={"duplicate-percent": 10})
    copied = heard()
    copied["n1"]["heard"]["n2"]["copies"] = 9
    assert doubts(double, {"datagrams": heard()}, {"datagrams": copied}) == []
    assert len(doubts(double, {"datagrams": heard()}, {"datagrams": heard()})) == 1


def table(
    state: str = "S", started: int = 100, *, amqp: bool = True, sessions: tuple[str, ...] = ()
) -> dict[str, Any]:
    runtime = {"pid": 7, "state": state, "started": started} if state else None
    return {"processes": {"n1": {"runtime": runtime, "amqp": amqp, "sessions": list(sessions)}}}


UP, DOWN, LOST = table(), table("", amqp=False), {"processes": {"n1": None}}


@pytest.mark.parametrize(
    ("kind", "bites", "does_not", "healed", "not_healed"),
    [
        ("kill", [DOWN], [UP, LOST, table(started=200)], [table(started=200)], [DOWN, LOST]),
        ("pause", [table("T")], [UP, DOWN, LOST], [UP], [table("T"), LOST]),
        ("stop-app", [table(amqp=False)], [UP, DOWN, LOST], [UP], [table(amqp=False), DOWN, LOST]),
        ("restart", [table(started=200), DOWN], [UP, LOST], [table(started=200)], [DOWN, LOST]),
    ],
)
def test_a_process_fault_is_proven_by_the_process_table(
    kind: str,
    bites: list[Evidence],
    does_not: list[Evidence],
    healed: list[Evidence],
    not_healed: list[Evidence],
) -> None:
    fault = Fault(kind, kind, "n1", ("n1",))
    assert [doubts(fault, UP, seen) for seen in bites] == [[]] * len(bites)
    assert all(doubts(fault, UP, seen) for seen in does_not)
    assert all(doubts(fault, DOWN, seen) for seen in bites), "there was nothing to break"
    assert [leftovers(fault, UP, seen) for seen in healed] == [[]] * len(healed)
    assert all(leftovers(fault, UP, seen) for seen in not_healed)


def test_killed_connections_are_those_from_before() -> None:
    fault = Fault("clients-kill", "clients-kill", "n1", ("n1",), settings={"way": "kill"})
    before = table(sessions=("10.0.0.254:40001", "10.0.0.254:40002"))
    assert doubts(fault, before, table(sessions=("10.0.0.254:50001",))) == []
    assert doubts(fault, before, table(sessions=("10.0.0.254:40002",))) == [
        "1 of 2 AMQP connections of n1 live on"
    ]
    assert doubts(fault, table(), table()) == ["n1 had no AMQP connection that could be killed"]


@pytest.mark.parametrize(("way", "seen"), [("drop", "silent"), ("reject", "refused")])
def test_a_client_cut_is_seen_from_the_controller(way: str, seen: str) -> None:
    fault = Fault("clients", f"clients-{way}", "n1", ("n1",), settings={"way": way})
    before = {"clients": {"n1": "open", "n2": "open"}}
    assert doubts(fault, before, {"clients": {"n1": seen, "n2": "open"}}) == []
    assert len(doubts(fault, before, before)) == 1
    assert (
        len(
            doubts(
                fault,
                {"clients": {"n1": seen, "n2": "open"}},
                {"clients": {"n1": seen, "n2": "open"}},
            )
        )
        == 1
    )


@pytest.mark.parametrize(("kind", "resource"), [("memory-alarm", "memory"), ("disk-full", "disk")])
def test_an_alarm_is_the_brokers_own_word(kind: str, resource: str) -> None:
    fault = Fault(kind, kind, "n1", ("n1",))
    none: Evidence = {"alarms": {"n1": [], "n2": []}}
    raised: Evidence = {"alarms": {"n1": [f"{resource} on n1"], "n2": [f"{resource} on n1"]}}
    elsewhere: Evidence = {"alarms": {"n1": [f"{resource} on n2"], "n2": [f"{resource} on n2"]}}
    silent: Evidence = {"alarms": {"n1": None, "n2": None}}
    assert doubts(fault, none, raised) == []
    assert all(doubts(fault, none, seen) for seen in (none, elsewhere, silent))
    assert doubts(fault, raised, raised)
    assert leftovers(fault, none, none) == []
    assert all(leftovers(fault, none, seen) for seen in (raised, silent))


def members(*names: str) -> dict[str, Any]:
    return {
        "members": {
            node: {"running": list(names), "members": list(names)} for node in ("n1", "n2", "n3")
        }
    }


def test_a_node_that_left_is_nobodys_member() -> None:
    fault = Fault("leave", "leave", "n3", ("n3",))
    assert doubts(fault, members("n1", "n2", "n3"), members("n1", "n2")) == []
    assert len(doubts(fault, members("n1", "n2", "n3"), members("n1", "n2", "n3"))) == 2
    assert leftovers(fault, {}, members("n1", "n2", "n3")) == []
    assert len(leftovers(fault, {}, members("n1", "n2"))) == 3
    assert "forget_cluster_node rabbit@ip-10-0-0-3" in acts(fault, "n1")[0].stdin
    assert acts(fault, "n2") == []


def test_replicas_and_leaders() -> None:
    full, less = (
        {"queue": {"leader": "n1", "members": ["n1", "n2"]}},
        {"queue": {"leader": "n2", "members": ["n2"]}},
    )
    shrunk, moved = (
        Fault("replica-shrink", "", "n1", ("n1",)),
        Fault("leader-transfer", "", "n1", ("n1",)),
    )
    for fault in (shrunk, moved):
        assert doubts(fault, full, less) == []
        assert doubts(fault, full, full)
        assert doubts(fault, {"queue": None}, {"queue": None})
    assert leftovers(shrunk, full, less)
    assert leftovers(shrunk, full, full) == []


def test_clocks() -> None:
    fault = Fault("clock", "clock-bump", "n1", ("n1",), settings=SETTINGS["clock"])
    before, moved = {"clocks": {"n1": [0.1, 0.1]}}, {"clocks": {"n1": [0.1, 30.1]}}
    assert doubts(fault, before, moved) == []
    assert doubts(fault, before, before)
    assert leftovers(fault, before, before) == []
    assert leftovers(fault, before, moved)


def test_power() -> None:
    fault = Fault("power-cut", "power-cut", "n1", ("n1",))
    on, off = {"hosts": {"n1": True}}, {"hosts": {"n1": False}}
    assert doubts(fault, on, off) == []
    assert doubts(fault, on, on)
    assert doubts(fault, off, off)
    assert leftovers(fault, on, on) == []
    assert leftovers(fault, on, off)


def test_pairs_skips_the_diagonal() -> None:
    assert list(pairs({"n1": {"n1": True, "n2": False}})) == [("n1", "n2", False)]
