"""Reset links of Erlang's distribution: the script of a node, and what proves the reset."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from tests.unit.nemesis.builders import (
    GRUDGE,
    active_problems,
    distribution,
    fault_of,
    healed,
    healed_problems,
    injected,
)

FAULT = fault_of("link-reset", grudge=GRUDGE)
BEFORE = distribution("n1-n2:1", "n3-n1:1", "n2-n3:1")
RESET = distribution("n2-n3:1")
NEW = distribution("n1-n2:2", "n1-n3:2", "n2-n3:1")


def acts_of(folder: Path, *, ss: str) -> tuple[list[str], int]:
    """Run the injection of n1 with stubs; return what it did in order, and its exit status."""
    log = folder / "log"
    log.write_text("")
    stubs = {
        "iptables": "exit 0",
        "ip6tables": "exit 0",
        "iptables-restore": f"sed -n 's/^-[XI] .*/remove/p; s/^:.*/refuse/p' >> {log}",
        "ip6tables-restore": "cat >/dev/null",
        "ss": f"echo kill >> {log}; {ss}",
        "sleep": f'echo "sleep $1" >> {log}',
    }
    for name, script in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (action,) = injected(FAULT, "n1")
    done = subprocess.run(
        action.argv,
        input=action.stdin,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return log.read_text().splitlines(), done.returncode


def test_a_node_refuses_then_closes_then_waits_then_accepts(tmp_path: Path) -> None:
    assert acts_of(tmp_path, ss="true") == (["refuse", "kill", "sleep 0.005", "remove"], 0)


def test_a_kernel_that_closes_no_sockets_is_an_error_and_leaves_no_chain(tmp_path: Path) -> None:
    assert acts_of(tmp_path, ss="exit 1") == (["refuse", "kill", "remove"], 1)


def test_only_the_distribution_is_refused_and_resets_pass() -> None:
    rules = [
        line
        for line in injected(FAULT, "n2")[0].stdin.splitlines()
        if line.startswith("-A JEPSENVM-3 ") and "10.0.0.1" in line
    ]
    assert rules == [
        f"-A JEPSENVM-3 -s 10.0.0.1 -p tcp {port} 25672 ! --tcp-flags RST RST"
        " -j REJECT --reject-with tcp-reset"
        for port in ("--dport", "--sport")
    ]


def test_the_ends_of_a_link_are_closed_in_both_directions() -> None:
    (line,) = [one for one in injected(FAULT, "n2")[0].stdin.splitlines() if "--kill" in one]
    assert "( dst 10.0.0.1 and ( dport = :25672 or sport = :25672 ) )" in line
    assert "( dst [fd00::1] and ( dport = :25672 or sport = :25672 ) )" in line
    assert "10.0.0.3" not in line


def test_a_node_without_links_does_nothing() -> None:
    apart = fault_of("link-reset", grudge={"n1": frozenset({"n2"})})
    assert injected(apart, "n3") == []
    assert healed(apart, "n3") == []


@pytest.mark.parametrize("during", [RESET, NEW])
def test_no_connection_from_before_is_left(during: dict[str, object]) -> None:
    assert active_problems(FAULT, BEFORE, during) == []


@pytest.mark.parametrize(
    ("during", "problem"),
    [
        (BEFORE, "n1 and n2 still have the connection n1-n2:1"),
        (distribution("n1-n2:1/n2", "n1-n3:2"), "n1 and n2 still have the connection n1-n2:1"),
        (distribution("n1-n2:1/n1", "n1-n3:2"), "n1 and n2 still have the connection n1-n2:1"),
        (
            distribution("n1-n2:2", "n3-n1:1", "n1-n3:2"),
            "n1 and n3 still have the connection n3-n1:1",
        ),
    ],
)
def test_a_connection_that_lives_on_at_one_end_is_no_reset(
    during: dict[str, object], problem: str
) -> None:
    assert problem in active_problems(FAULT, BEFORE, during)


def test_a_link_without_a_connection_cannot_be_reset() -> None:
    half = distribution("n1-n2:1/n1", "n3-n1:1")
    assert active_problems(FAULT, half, NEW) == ["n1 and n2 had no connection before the fault"]


def test_a_node_that_was_not_asked_proves_nothing() -> None:
    silent = {"distribution": {**BEFORE["distribution"], "n2": None}}
    problem = "the connections between n1 and n2 were not measured"
    assert active_problems(FAULT, BEFORE, silent) == [
        problem,
        "n1 and n3 still have the connection n3-n1:1",
    ]
    assert problem in active_problems(FAULT, silent, NEW)
    assert problem in healed_problems(FAULT, BEFORE, silent)


def test_a_new_connection_at_both_ends_heals() -> None:
    assert healed_problems(FAULT, BEFORE, NEW) == []
    assert healed_problems(FAULT, BEFORE, RESET) == [
        "n1 and n2 have no new connection",
        "n1 and n3 have no new connection",
    ]
    half = distribution("n1-n2:2/n2", "n1-n3:2")
    assert healed_problems(FAULT, BEFORE, half) == ["n1 and n2 have no new connection"]


def test_other_faults_excuse_a_link_and_hide_the_fault_on_all_links() -> None:
    down = ConcurrentFaults(mute=frozenset({"n2"}))
    part = distribution("n1-n3:2")
    assert active_problems(FAULT, BEFORE, part, down) == []
    assert healed_problems(FAULT, BEFORE, part, down) == []
    assert not FAULT.hidden_by(down)
    assert FAULT.hidden_by(ConcurrentFaults(off=frozenset({"n1"})))
    assert FAULT.hidden_by(ConcurrentFaults(cut=frozenset({("n1", "n2")}), mute=frozenset({"n3"})))
    lossy = frozenset({("n1", "n2"), ("n2", "n1"), ("n1", "n3"), ("n3", "n1")})
    assert not FAULT.hidden_by(ConcurrentFaults(rough=lossy))


@pytest.mark.parametrize("blip", [0.0, -5.0, 4.9, 1001.0])
def test_a_blip_has_bounds(blip: float) -> None:
    request = FaultRequest(("n1", "n2"), Random(1), settings={"blip-ms": blip})
    with pytest.raises(UsageError, match="link-reset: blip-ms must be from 5 to 1000, not"):
        stages("link-reset", request)
