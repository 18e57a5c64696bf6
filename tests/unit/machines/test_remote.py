"""The pure parts of the programs that run on the nodes, and of what sends them there."""

from __future__ import annotations

import ast
import io
import json
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.capabilities import with_own_clock
from jepsenvm.machines.fire import argv
from jepsenvm.machines.remote import (
    datagrams,
    distribution,
    fire,
    processes,
    reference_clock,
    runtime,
    sockets,
    stress,
    traffic_control,
)
from jepsenvm.machines.remote_source import source
from jepsenvm.machines.ssh import _InOnePiece
from jepsenvm.nemesis.faults.clock import Clock
from jepsenvm.nemesis.probes import PROBES, probe
from jepsenvm.nemesis.requirements import CAPABILITIES
from tests.unit.fakes import FakeFleet

PROGRAMS = sorted(
    path.stem
    for path in Path(traffic_control.__file__).parent.glob("*.py")
    if path.stem != "__init__"
)

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 19191 1 0 100 0 0 10 0
   1: 0100630A:1628 0200630A:CF2C 01 00000000:00000000 02:000004FB 00000000   107        0 20001 2 0 20 4 30 10 -1
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100630A:1628 0000000000000000FFFF00000200630A:CF2D 01 00000000:00000000 00:00000000 00000000   107        0 7 1
   1: 000099FD000000000000000001000000:1628 000099FD000000000000000002000000:0050 06 00000000:00000000 00:00000000 00000000   107        0 0 1
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_nodes_run_programs_on_python_3_9_and_nothing_else(program: str) -> None:
    compile(source(program), program, "exec")
    parsed = ast.walk(ast.parse(source(program), feature_version=(3, 9)))
    assert not [
        node
        for node in parsed
        if isinstance(node, ast.ImportFrom) and "jepsenvm" in (node.module or "")
    ]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_parts_of_a_program_share_no_names(program: str) -> None:
    """They become one module, in which the later definition of a name would replace the other."""
    names: list[str] = []
    for node in ast.parse(source(program)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [
                name.id
                for name in ast.walk(node)
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            ]
    assert sorted(names) == sorted(set(names))


def test_a_clock_that_a_fault_has_moved_fires_no_other_fault_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a VM: what a clock set back by 125 s was to do at an instant, it did 125 s too late."""
    monkeypatch.setattr(reference_clock, "MOVED", tmp_path / "clock")
    monkeypatch.setattr(fire, "hurry", lambda: None)
    assert reference_clock.wall() == pytest.approx(time.time(), abs=60)
    reference_clock.MOVED.write_text(f"{time.time() - time.monotonic() - 3600}\n")
    assert reference_clock.wall() == pytest.approx(time.time() - 3600, abs=60)
    at = reference_clock.wall() + 0.01
    assert fire.fire({"at": at, "id": "1", "timeout": 1}, []) == {
        "began": pytest.approx(at, abs=60),
        "fired": pytest.approx(at, abs=60),
        "said": [],
    }


def test_the_clock_fault_keeps_its_time_where_the_programs_look() -> None:
    assert str(reference_clock.MOVED) in Clock.sweep


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            TCP,
            [
                ("0.0.0.0:5672", 5672, "0.0.0.0:0", 0, "0A", "19191"),
                ("10.99.0.1:5672", 5672, "10.99.0.2:53036", 53036, "01", "20001"),
            ],
        ),
        (
            TCP6,
            [
                ("10.99.0.1:5672", 5672, "10.99.0.2:53037", 53037, "01", "7"),
                ("[fd99::1]:5672", 5672, "[fd99::2]:80", 80, "06", "0"),
            ],
        ),
        ("", []),
    ],
)
def test_the_tables_of_sockets(
    table: str, expected: list[tuple[str, int, str, int, str, str]]
) -> None:
    assert list(sockets.parsed(table)) == expected


def test_the_sockets_of_a_process_are_recognised_by_their_inodes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        own = distribution.inodes(Path("/proc/self"))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (found,) = [one for one in sockets.sockets() if one.near == address]
        assert found.inode in own
    assert found.inode not in distribution.inodes(Path("/proc/self"))


@pytest.mark.parametrize(
    ("stat", "standing"),
    [
        (
            "71 (beam (x) smp) T 1" + " 0" * 17 + " 4242 9",
            {"pid": 71, "state": "T", "started": 4242},
        ),
        ("71 (beam.smp) Z 1" + " 0" * 17 + " 4242 9", None),
        ("", None),
    ],
)
def test_a_process_stands_in_the_table(stat: str, standing: dict[str, Any] | None) -> None:
    assert runtime.standing(stat) == standing


@pytest.mark.parametrize(
    ("stat", "ticks"),
    [("71 (stress-ng (x) cpu) R 1" + " 0" * 9 + " 40 2 9 9", 42), ("", 0)],
)
def test_the_cpu_time_of_a_process(stat: str, ticks: int) -> None:
    assert stress.taken(stat) == ticks


@pytest.mark.parametrize(
    ("meminfo", "mbyte"),
    [("MemTotal:  9 kB\nMemAvailable:   2000000 kB\n", 2048.0), ("MemTotal: 9 kB\n", 0.0)],
)
def test_the_memory_that_a_host_has_left(meminfo: str, mbyte: float) -> None:
    assert stress.available_mbyte(meminfo) == mbyte


def test_this_process_takes_memory_and_belongs_to_no_unit_of_a_fault() -> None:
    assert stress.resident(Path("/proc/self")) > 0
    assert stress.resident(Path("/proc/0")) == 0
    assert stress.processes(stress.UNIT.format("cpu")) == []


@pytest.mark.parametrize(
    ("faults", "together"),
    [
        ([{"delay-ms": 100}, {"delay-ms": 50, "jitter-ms": 5}], {"delay-ms": 150, "jitter-ms": 5}),
        ([{"duplicate-percent": 50}, {"duplicate-percent": 50}], {"duplicate-percent": 75}),
        ([{"corrupt-percent": 10}], {"corrupt-percent": pytest.approx(10)}),
        ([{"rate-kbit": 900}, {"rate-kbit": 300}, {"delay-ms": 0}], {"rate-kbit": 300}),
        ([], {}),
    ],
)
def test_faults_on_one_link_compose(faults: list[dict[str, Any]], together: dict[str, Any]) -> None:
    assert traffic_control.together(faults) == together


def test_each_address_gets_what_its_own_faults_ask_for() -> None:
    a, b = (
        {"peers": ["10.0.0.2", "10.0.0.3"], "delay-ms": 10},
        {"peers": ["10.0.0.3"], "rate-kbit": 64},
    )
    assert traffic_control.merge([a, b]) == {
        "10.0.0.2": {"delay-ms": 10},
        "10.0.0.3": {"delay-ms": 10, "rate-kbit": 64},
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rate-kbit": 500.0}, "tbf rate 500kbit burst 16kb latency 200ms"),
        ({"rate-kbit": 1000000.0}, "tbf rate 1000000kbit burst 16kb latency 200ms"),
        ({"delay-ms": 100.0}, "netem limit 100000 delay 100ms"),
        ({"delay-ms": 100.0, "jitter-ms": 20.0}, "netem limit 100000 delay 100ms 20ms"),
        ({"delay-ms": 100.0, "rate-kbit": 64.0}, "netem limit 100000 delay 100ms rate 64kbit"),
        (
            {"duplicate-percent": 1.0, "corrupt-percent": 100 / 3},
            "netem limit 100000 duplicate 1% corrupt 33.3333%",
        ),
        ({"reorder-percent": 25.0}, "netem limit 100000 delay 10ms reorder 25%"),
        ({"reorder-percent": 25.0, "delay-ms": 50.0}, "netem limit 100000 delay 50ms reorder 25%"),
    ],
)
def test_what_is_asked_for_in_the_words_of_tc(asked: dict[str, Any], words: str) -> None:
    assert " ".join(traffic_control.leaf(asked)) == words


def test_a_tree_has_a_class_for_each_peer_and_leaves_all_others_alone() -> None:
    peers = {"fd00::2": {"delay-ms": 10.0}, "10.0.0.2": {"rate-kbit": 64.0}}
    assert traffic_control.render("eth0", peers, ours=True) == [
        "qdisc del dev eth0 root",
        "qdisc replace dev eth0 root handle 7e57: htb",
        "class add dev eth0 parent 7e57: classid 7e57:1 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 7e57:1 tbf rate 64kbit burst 16kb latency 200ms",
        "filter add dev eth0 parent 7e57: protocol ip prio 1 u32 match ip dst 10.0.0.2/32 flowid 7e57:1",
        "class add dev eth0 parent 7e57: classid 7e57:2 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 7e57:2 netem limit 100000 delay 10ms",
        "filter add dev eth0 parent 7e57: protocol ipv6 prio 2 u32 match ip6 dst fd00::2/128 flowid 7e57:2",
    ]


def test_the_tree_goes_with_the_last_fault_and_nothing_else_does() -> None:
    assert traffic_control.render("eth0", {}, ours=True) == ["qdisc del dev eth0 root"]
    assert traffic_control.render("eth0", {}, ours=False) == []


@pytest.mark.parametrize(
    ("root", "refused"),
    [
        (None, False),
        ({"kind": "fq_codel", "handle": "8001:"}, False),
        ({"kind": "cake", "handle": "0:"}, False),
        ({"kind": "htb", "handle": "7e57:"}, False),
        ({"kind": "htb", "handle": "1:"}, True),
        ({"kind": "netem", "handle": "8001:"}, True),
    ],
)
def test_what_somebody_else_shaped_is_refused(root: dict[str, Any] | None, refused: bool) -> None:
    if refused:
        with pytest.raises(traffic_control.TrafficControlError, match="eth0 has a"):
            traffic_control.refuse_foreign("eth0", root)
    else:
        traffic_control.refuse_foreign("eth0", root)


def test_datagrams_are_counted_by_what_befell_them() -> None:
    heard = datagrams.Heard()
    for number, now in ((0, 1.0), (2, 1.1), (1, 1.2), (2, 1.3), (5, 2.0)):
        heard.note(number, 64, now)
    assert heard.told() == {"count": 4, "copies": 1, "late": 1, "bytes": 320, "seconds": 1.0}


@pytest.mark.parametrize(
    ("trips", "figures"),
    [
        ({}, {"count": 0, "median-ms": None, "max-ms": None}),
        ({0: 0.001, 1: 0.003, 2: 0.2}, {"count": 3, "median-ms": 3.0, "max-ms": 200.0}),
    ],
)
def test_round_trips_as_figures(trips: dict[int, float], figures: dict[str, Any]) -> None:
    assert datagrams.echo(trips) == figures


def test_the_command_of_an_action() -> None:
    assert argv(Action(("iptables-restore", "-w"), "rules")) == ["iptables-restore", "-w"]
    assert argv(shell("true"))[0] == "/bin/sh"
    assert argv(Action(("3",), "null", program="traffic_control")) == [
        "python3",
        "-c",
        source("traffic_control"),
        "3",
    ]


def test_what_a_node_is_told_goes_out_in_one_piece() -> None:
    text = _InOnePiece(json.dumps({"a": 1}))
    assert (text.read(1), text.read(1)) == ('{"a": 1}', "")


CONTROLLER = {"boot-id": "c", "booted": 100.0}


@pytest.mark.parametrize(
    ("n1", "n2", "own"),
    [
        ({"boot-id": "a", "booted": 50.0}, {"boot-id": "b", "booted": 51.0}, (True, True)),
        ({"boot-id": "a", "booted": 50.0}, {"boot-id": "a", "booted": 51.0}, (False, False)),
        # Containers of systemd-nspawn have boot ids of their own.
        ({"boot-id": "a", "booted": 50.0}, {"boot-id": "b", "booted": 50.0001}, (False, False)),
        ({"boot-id": "c", "booted": 50.0}, {"boot-id": "b", "booted": 51.0}, (False, True)),
        ({"boot-id": "a", "booted": 100.0001}, {"boot-id": "b", "booted": 51.0}, (False, True)),
    ],
)
def test_who_shares_a_kernel_has_no_clock_of_its_own(
    n1: dict[str, Any], n2: dict[str, Any], own: tuple[bool, bool]
) -> None:
    judged = with_own_clock({"n1": {"netem": True, **n1}, "n2": {"netem": False, **n2}}, CONTROLLER)
    assert judged == {
        "n1": {"netem": True, "own-clock": own[0]},
        "n2": {"netem": False, "own-clock": own[1]},
    }


def test_every_ability_has_its_remedy() -> None:
    words = {
        node.value
        for node in ast.walk(ast.parse(source("capabilities")))
        if isinstance(node, ast.Constant)
    }
    assert set(CAPABILITIES) - {"own-clock", "power"} <= words


def test_looks_have_names() -> None:
    assert {
        "matrix",
        "datagrams",
        "burst",
        "clients",
        "processes",
        "hosts",
        "alarms",
        "members",
        "queue",
    } <= set(PROBES)


@pytest.mark.parametrize(
    ("port", "amqp", "sessions"), [(5672, True, ["10.99.0.2:53036"]), (5671, False, [])]
)
def test_only_the_port_of_the_broker_counts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    port: int,
    amqp: bool,
    sessions: list[str],
) -> None:
    monkeypatch.setattr(processes, "sockets", lambda: sockets.parsed(TCP))
    monkeypatch.setattr(processes, "runtime", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"port": port})))
    processes.main()
    answer = {"runtime": None, "amqp": amqp, "sessions": sessions}
    assert json.loads(capsys.readouterr().out) == answer


def test_the_probe_of_processes_is_told_the_port_of_each_broker() -> None:
    fleet = FakeFleet("n1", "n2")
    fleet.nodes["n2"] = replace(fleet.nodes["n2"], amqp_port=15001, amqp_listen_port=5671)
    probe(fleet, {}, ["processes"], None)
    assert {node: order for node, _, order in fleet.orders} == {
        "n1": {"port": 5672},
        "n2": {"port": 5671},
    }
