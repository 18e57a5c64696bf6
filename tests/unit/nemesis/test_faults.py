"""Every kind of fault: the actions of nodes, the shell scripts, and what each kind declares."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.host import Host
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis import heal_all, heal_timer, iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Fault, StopsLoad
from jepsenvm.nemesis.grudge import complete_grudge
from jepsenvm.nemesis.registry import FAULTS, fault_from_data
from jepsenvm.nemesis.requirements import BROKER_CAPABILITIES, CAPABILITIES
from tests.unit.nemesis.builders import CUT, GRUDGE, HOSTS, fault_of, healed, injected

ON_LINKS = {"partition", "flapping", "loss", "packets", "link-reset"}
NODES = sorted(HOSTS)


def rules(actions: list[Action]) -> dict[str, list[str]]:
    return {action.argv[0]: action.stdin.splitlines() for action in actions}


@pytest.mark.parametrize(
    ("fault", "node", "table", "rule"),
    [
        (CUT, "n1", "iptables-restore", "-A JEPSENVM-3 -s 10.0.0.2 -j DROP"),
        (CUT, "n1", "ip6tables-restore", "-A JEPSENVM-3 -s fe80::3 -j DROP"),
        (CUT, "n2", "iptables-restore", "-A JEPSENVM-3 -s 10.0.0.1 -j DROP"),
        (
            fault_of("loss", *NODES, grudge=GRUDGE),
            "n2",
            "iptables-restore",
            "-A JEPSENVM-3 -s 10.0.0.1 -m statistic --mode random --probability 0.200000 -j DROP",
        ),
        (
            fault_of("clients", "n1", settings={"way": "drop"}),
            "n1",
            "ip6tables-restore",
            "-A JEPSENVM-3 -p tcp --dport 5672 -j DROP",
        ),
        (
            fault_of("clients", "n2", settings={"way": "reject"}),
            "n2",
            "iptables-restore",
            "-A JEPSENVM-3 -p tcp --dport 5672 -j REJECT --reject-with tcp-reset",
        ),
    ],
)
def test_rules_go_into_the_faults_own_chain_in_one_transaction(
    fault: Fault, node: str, table: str, rule: str
) -> None:
    lines = rules(injected(fault, node))[table]
    assert lines[:2] == ["*filter", ":JEPSENVM-3 - [0:0]"]
    assert rule in lines
    assert lines[-2:] == ["-A JEPSENVM -j JEPSENVM-3", "COMMIT"]


def test_faults_of_clients_affect_the_port_at_which_the_broker_accepts_them() -> None:
    """With TLS, or on an existing cluster, that is another port than 5672."""
    hosts = {"n1": replace(HOSTS["n1"], amqp_port=5671)}
    cut = fault_of("clients", "n1", settings={"way": "drop"})
    kill = fault_of("clients-kill", "n1")
    lines = rules(list(cut.inject("3", "n1", hosts)))["iptables-restore"]
    assert "-A JEPSENVM-3 -p tcp --dport 5671 -j DROP" in lines
    (action,) = kill.inject("3", "n1", hosts)
    assert action.stdin == "ss --kill state established '( sport = :5671 )'"


def test_a_node_without_grudge_does_nothing() -> None:
    grudge = complete_grudge([["n2"], ["n3"]])
    assert injected(fault_of("partition", "n2", "n3", grudge=grudge), "n1") == []


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - ON_LINKS - {"leave"}))
def test_a_fault_has_no_actions_for_other_nodes(kind: str) -> None:
    fault = fault_of(kind, "n1")
    assert injected(fault, "n2") == []
    assert healed(fault, "n2") == []


def test_the_first_node_that_stays_forgets_the_one_that_leaves() -> None:
    fault = fault_of("leave", "n3")
    assert "forget_cluster_node rabbit@ip-10-0-0-3" in injected(fault, "n1")[0].stdin
    assert injected(fault, "n2") == []


# Scripts.

SCRIPTS = [
    action.stdin + "\n" + action.argv[2]
    for kind in FAULTS
    for actions in (injected, healed)
    for node in HOSTS
    for action in actions(fault_of(kind, "n1", grudge=GRUDGE), node)
    if action.argv[0] == "/bin/sh"
] + [fault.sweep for fault in FAULTS.values() if fault.sweep]


@pytest.mark.parametrize("script", [*dict.fromkeys(SCRIPTS), heal_all.heal_and_disarm()])
def test_a_shell_can_parse_every_script(script: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_the_preparation_reads_nothing_of_the_script_and_its_variables_stay() -> None:
    action = shell("echo then $word", ahead="word=this\ncat")
    done = subprocess.run(
        action.argv, input=action.stdin, capture_output=True, text=True, check=True
    )
    assert done.stdout == "then this\n"


@pytest.mark.parametrize("ahead", ["", "true\nfalse"])
def test_a_failure_in_the_preparation_or_in_the_script_ends_the_action(ahead: str) -> None:
    action = shell("false\necho not reached", ahead=ahead)
    done = subprocess.run(
        action.argv, input=action.stdin, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_ssh_of_the_controller_passes_before_any_drop() -> None:
    script = iptables.prepare(HOSTS["n2"])
    assert "iptables -w -I JEPSENVM 1 -s 10.0.0.254 -p tcp --dport 2222 -j RETURN" in script
    assert "RETURN" not in iptables.prepare(Host(("10.0.0.9",), None, 22))


def test_ssh_answers_pass_if_the_controller_or_its_jump_host_is_a_node() -> None:
    script = iptables.prepare(HOSTS["n3"])
    for table in ("iptables", "ip6tables"):
        assert f"{table} -w -I JEPSENVM 1 -p tcp --sport 2222 -j RETURN" in script
    assert "--sport" not in iptables.prepare(HOSTS["n1"])


def test_healing_touches_only_jepsenvms_chains() -> None:
    script = heal_all.heal_and_disarm()
    lines = [line.strip() for line in script.splitlines() if "$table -w -D" in line]
    assert lines == ["while $table -w -D INPUT -j JEPSENVM 2>/dev/null; do :; done"]


def test_a_kind_that_cannot_be_healed_does_not_prevent_healing_the_others() -> None:
    script = heal_all.heal().replace(FAULTS["partition"].sweep, "false\necho not reached")
    for command, stub in (("rm -rf", "echo kept"), ("systemctl", "true"), ("tc ", "true ")):
        script = script.replace(command, stub)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert "not reached" not in done.stdout
    assert "kept" in done.stdout
    assert done.returncode == 1


def test_a_new_timer_is_armed_before_the_old_ones_are_stopped() -> None:
    script = heal_timer.arm(75, "heal 'me'")
    assert script.index("systemd-run") < script.index("systemctl stop")
    assert "--on-active=75s" in script


def test_systemd_can_read_the_timers_description_again() -> None:
    script = heal_timer.arm(75, heal_all.heal())
    commands = [line for line in script.splitlines() if "systemd-run" in line]
    assert len(commands) == 2  # the timer, and an upgrade that is repeated
    assert all("--description=" in command for command in commands)


def test_a_drained_node_that_is_down_needs_no_revival(tmp_path: Path) -> None:
    """A node that boots is not under maintenance. Only a running one is revived."""
    log = tmp_path / "log"
    marker = tmp_path / "drained"
    for status, expected in ((0, ["revive"]), (3, [])):
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / "rabbitmq-upgrade").write_text(f'#!/bin/sh\necho "$2" >> {log}\n')
        for stub in ("systemctl", "rabbitmq-upgrade"):
            (tmp_path / stub).chmod(0o755)
        log.write_text("")
        marker.touch()
        script = FAULTS["drain"].sweep.replace("/run/jepsenvm/drained", str(marker))
        done = subprocess.run(
            ["/bin/sh", "-ec", script],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "revived this node, which was drained\n"
        assert log.read_text().split() == expected
        assert not marker.exists()


def test_rabbitmq_does_not_start_without_its_file_system(tmp_path: Path) -> None:
    """It would form an empty database in the folder below the mount point."""
    log, marker = tmp_path / "log", tmp_path / "power-loss"
    stubs = {"mountpoint": "exit $(cat mounted)", "systemctl": f'echo "$*" >> {log}', "mount": ":"}
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    sweep = FAULTS["service-loss"].sweep.replace("/run/jepsenvm/power-loss", str(marker))
    sweep = sweep.replace("/var/lib/rabbitmq", str(tmp_path))

    def heal() -> subprocess.CompletedProcess[str]:
        log.write_text("")
        return subprocess.run(
            ["/bin/sh", "-ec", sweep],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    (tmp_path / "mounted").write_text("1")
    marker.write_text("")
    failed = heal()
    assert failed.returncode == 1
    assert "is not mounted" in failed.stderr
    assert "start" not in log.read_text()
    assert marker.exists()
    marker.write_text("echo 0 > mounted")
    assert "started rabbitmq-server" in heal().stdout
    assert "start --no-block rabbitmq-server" in log.read_text()
    assert not marker.exists()


# Declarations.


def test_every_requirement_has_a_remedy() -> None:
    faults = [fault_of(kind, "n1", grudge=GRUDGE) for kind in FAULTS]
    faults.append(fault_of("packets", "n1", grudge=GRUDGE, settings={"delay-ms": 200}))
    required = {capability for fault in faults for capability in fault.requirements()}
    assert required <= {*CAPABILITIES, *BROKER_CAPABILITIES}
    assert not CAPABILITIES.keys() & BROKER_CAPABILITIES.keys()


def test_a_node_sweeps_the_kinds_in_this_order() -> None:
    """Flapping comes first: its unit would restore the chains of a partition that was swept."""
    assert list(FAULTS) == [
        "flapping",
        "partition",
        "loss",
        "packets",
        "link-reset",
        "upgrade",
        "kill",
        "pause",
        "stop-app",
        "drain",
        "restart",
        "file-corrupt",
        "power-cut",
        "service-loss",
        "power-loss",
        "clock",
        "disk-full",
        "disk-slow",
        "memory-alarm",
        "stress",
        "leave",
        "replica-shrink",
        "leader-transfer",
        "clients",
        "clients-kill",
        "feature-flag",
    ]


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_fault_comes_back_from_its_data(kind: str) -> None:
    fault = fault_of(kind, "n1", grudge=GRUDGE)
    again = fault_from_data(json.loads(json.dumps(fault.as_data())))
    assert again == fault
    assert type(again) is FAULTS[kind]


def test_data_of_an_unknown_kind_is_an_error_in_one_line() -> None:
    data = {**CUT.as_data(), "kind": "earthquake" * 20}
    with pytest.raises(UsageError, match="unknown kind of fault 'earthquake") as refused:
        fault_from_data(data)
    assert "earthquake" * 7 not in str(refused.value)


def test_declared_properties() -> None:
    assert {kind for kind, fault in FAULTS.items() if fault.isolates_nodes} == {
        "partition",
        "flapping",
    }
    assert {kind for kind, fault in FAULTS.items() if fault.disturbs_broker} == {
        "kill",
        "pause",
        "stop-app",
        "drain",
        "restart",
        "service-loss",
        "file-corrupt",
        "leave",
        "upgrade",
    }
    assert {kind for kind, fault in FAULTS.items() if fault.powers_off} == {
        "power-cut",
        "power-loss",
    }
    assert {kind for kind, fault in FAULTS.items() if fault.loses_unsynced} == {"power-loss"}
    assert {kind for kind, fault in FAULTS.items() if fault.on_each_node} == {
        "power-loss",
        "service-loss",
    }
    assert {kind for kind, fault in FAULTS.items() if not fault.lasting} == {
        "link-reset",
        "restart",
        "file-corrupt",
        "leader-transfer",
        "clients-kill",
        "upgrade",
        "feature-flag",
    }
    assert {kind for kind, fault in FAULTS.items() if fault.one_at_a_time} == {"upgrade"}
    assert {kind: fault.queue_types for kind, fault in FAULTS.items() if fault.queue_types} == {
        "replica-shrink": ("quorum",),
        "leader-transfer": ("quorum",),
    }


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"partition"}))
def test_faults_that_stop_all_load(kind: str) -> None:
    on_one = fault_of(kind, "n1").stops_all_load(NODES)
    on_all = fault_of(kind, *NODES).stops_all_load(NODES)
    always = {"disk-full", "memory-alarm"}
    if_everywhere = {
        "kill",
        "pause",
        "stop-app",
        "drain",
        "power-cut",
        "power-loss",
        "service-loss",
        "leave",
        "clients",
    }
    assert (on_one, on_all) == (kind in always, kind in always | if_everywhere)


def test_faults_that_stop_every_replica_on_their_nodes() -> None:
    """Clients and a drain leave the queue to the clients of other nodes."""
    assert {kind for kind, fault in FAULTS.items() if fault.stops_replicas} == {
        "kill",
        "pause",
        "stop-app",
        "power-cut",
        "power-loss",
        "service-loss",
    }
    assert {kind: fault.endangers_s for kind, fault in FAULTS.items() if fault.endangers_s} == {
        "power-loss": 5.0,
        "service-loss": 5.0,
    }


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_each_fault_declares_in_its_own_file_whether_it_stops_all_load(kind: str) -> None:
    assert "stops_load" in vars(FAULTS[kind])
    assert FAULTS[kind].stops_load in get_args(StopsLoad)


def test_a_partition_stops_all_load_if_no_majority_is_left() -> None:
    assert not CUT.stops_all_load(NODES)
    apart = complete_grudge([["n1"], ["n2"], ["n3"]])
    assert fault_of("partition", *NODES, grudge=apart).stops_all_load(NODES)


@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        ("partition", ConcurrentFaults(cut=cut_pairs(GRUDGE))),
        ("flapping", ConcurrentFaults(cut=cut_pairs(GRUDGE))),
        ("loss", ConcurrentFaults(rough=cut_pairs(GRUDGE))),
        ("packets", ConcurrentFaults(rough=cut_pairs(GRUDGE))),
    ],
)
def test_a_fault_of_links_hides_others_on_its_links(kind: str, effects: ConcurrentFaults) -> None:
    assert fault_of(kind, "n1", grudge=GRUDGE).hides() == effects


@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        ("power-cut", ConcurrentFaults(off=frozenset({"n1"}))),
        ("power-loss", ConcurrentFaults(off=frozenset({"n1"}))),
        ("service-loss", ConcurrentFaults(mute=frozenset({"n1"}))),
        ("kill", ConcurrentFaults(mute=frozenset({"n1"}))),
        ("restart", ConcurrentFaults(mute=frozenset({"n1"}))),
        ("memory-alarm", ConcurrentFaults()),
        ("link-reset", ConcurrentFaults()),
        ("clients", ConcurrentFaults()),
    ],
)
def test_a_fault_of_nodes_hides_others_on_its_nodes(kind: str, effects: ConcurrentFaults) -> None:
    assert fault_of(kind, "n1").hides() == effects


def test_a_fault_of_nodes_is_hidden_if_every_node_is_off_or_disturbed() -> None:
    fault = fault_of("memory-alarm", "n1", "n2")
    assert fault.hidden_by(ConcurrentFaults(off=frozenset({"n1"}), mute=frozenset({"n2"})))
    assert not fault.hidden_by(ConcurrentFaults(mute=frozenset({"n2"})))
