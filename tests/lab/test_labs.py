"""Two labs at once, of one and of two hosts. Their tests run in this order: the last takes one down."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsenvm.machines import lab
from jepsenvm.machines.inventory import load
from jepsenvm.machines.power import power_of
from jepsenvm.rabbitmq.names import GROUP
from tests.lab.conftest import JEPSENVM, jepsenvm, results
from tests.lab.leftovers import left_of
from tests.lab.test_0_lab import killed

A, B, C = "testa", "testb", "testc"
KILLED_UP = f"from jepsenvm.machines import lab; lab.up(1, name={C!r})"
SHORT = ["--nemesis", "none", "--rate", "50", "--queue-type", "classic"]


@pytest.fixture(scope="module")
def inventories() -> Iterator[dict[str, Path]]:
    """The inventories of labs A and B, both up. The default lab stays as it is."""
    before = lab.status()
    for name in (A, B, C):
        lab.down(name)
    try:
        yield {A: lab.up(1, name=A), B: lab.up(2, name=B)}
    finally:
        for name in (A, B, C):
            lab.down(name)
            assert left_of(name) == []
    assert lab.status() == before


def on(name: str, node: str, command: str) -> str:
    argv = lab.ssh_argv(node, [command], name)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def running(name: str) -> list[tuple[str, int | None, bool]]:
    """Return the hosts of a lab with their processes, and whether they answer."""
    return [(host.name, host.pid, host.ssh) for host in lab.status(name)]


def test_hosts_of_two_labs_have_the_same_names(inventories: dict[str, Path]) -> None:
    assert [(name, ssh) for name, _, ssh in running(A)] == [("n1", True)]
    assert [(name, ssh) for name, _, ssh in running(B)] == [("n1", True), ("n2", True)]
    assert on(A, "n1", "hostname") == on(B, "n1", "hostname") == "n1"
    assert on(A, "n1", "cat /etc/machine-id") != on(B, "n1", "cat /etc/machine-id")
    found = {each.name: each for each in lab.labs()}
    assert {name: found[name].inventory for name in inventories} == inventories
    assert found[A].subnet != found[B].subnet
    for name, path in inventories.items():
        before = (running(name), path.read_text())
        assert lab.up(len(lab.status(name)), name=name) == path
        assert (running(name), path.read_text()) == before
    assert all(left_of(name) for name in inventories)
    listed = jepsenvm("lab", "list", expect=0).stdout
    assert all(str(path) in listed for path in inventories.values())


@pytest.mark.usefixtures("inventories")
def test_the_default_lab_is_another_one() -> None:
    addresses = {host.address for name in (A, B) for host in lab.status(name)}
    assert len(addresses) == 3
    assert not [address for address in addresses if address.startswith("10.205.77.")]


@pytest.mark.usefixtures("inventories")
def test_hosts_reach_those_of_their_own_lab_only() -> None:
    (a,), (b, own) = lab.status(A), lab.status(B)
    connect = "timeout 2 bash -c '</dev/tcp/{}/22' 2>/dev/null; echo $?"
    assert on(B, "n1", connect.format(own.address)) == "0"
    assert on(B, "n1", connect.format(a.address)) != "0"
    assert on(A, "n1", connect.format(b.address)) != "0"
    assert on(A, "n1", "ip route show default; ip -6 route show default") == ""


def test_power_is_cut_in_one_lab_only(inventories: dict[str, Path]) -> None:
    others = running(A)
    power = power_of(load(inventories[B], GROUP))
    assert power is not None
    power.cut("n1", 600)
    try:
        assert [(name, ssh) for name, _, ssh in running(B)] == [("n1", False), ("n2", True)]
        assert power.is_off("n1")
        assert running(A) == others
        refused = jepsenvm("hello", "-i", str(inventories[B]), expect=254).stderr
        assert (
            f"hosts of lab {B} are off: n1; run `jepsenvm lab up --name {B} --nodes 2`" in refused
        )
    finally:
        power.on("n1")
    assert all(ssh for _, _, ssh in running(B))
    assert running(A) == others


@pytest.mark.usefixtures("inventories")
@pytest.mark.parametrize("seconds", [0.25, 0.45])
def test_a_killed_up_is_cleared_by_its_own_down(seconds: float) -> None:
    before = [running(name) for name in (A, B)]
    killed(KILLED_UP, seconds)
    assert [running(name) for name in (A, B)] == before
    lab.down(C)
    assert left_of(C) == []
    assert [running(name) for name in (A, B)] == before


def test_labs_at_the_same_time_have_clusters_of_their_own(
    inventories: dict[str, Path], tmp_path: Path
) -> None:
    for path in inventories.values():
        jepsenvm("deploy", "-i", str(path), expect=0, timeout=900)
    words = [*SHORT, "--no-deploy", "--time-limit", "20"]
    runs = {
        name: subprocess.Popen(
            [JEPSENVM, "run", "-i", str(path), *words, "--store", str(tmp_path / name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, path in inventories.items()
    }
    for name, run in runs.items():
        output, _ = run.communicate(timeout=600)
        assert run.returncode == 0, f"{name}:\n{output}"
        assert results((tmp_path / name / "latest").resolve())["verdict"] == "valid"
    for name, nodes in ((A, 1), (B, 2)):
        listed = on(name, "n1", "sudo rabbitmqctl --quiet cluster_status --formatter json")
        assert {f"rabbit@n{n}" in listed for n in range(1, nodes + 1)} == {True}
        assert f"rabbit@n{nodes + 1}" not in listed


def test_one_lab_goes_down_and_the_other_stays(
    inventories: dict[str, Path], tmp_path: Path
) -> None:
    """The cluster of the other is in use meanwhile, which stays valid."""
    words = [*SHORT, "--no-deploy", "--time-limit", "40", "--store", str(tmp_path)]
    with subprocess.Popen(
        [JEPSENVM, "run", "-i", str(inventories[B]), *words], stdout=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout
            assert any("sent" in line for line in run.stdout)
            # A defect must not take down the labs of somebody else.
            only_ours = set(lab.lab_names()) == {A, B}
            for option in (f"--name={B}", *(["--all"] if only_ours else [])):
                refused = jepsenvm("lab", "down", option, expect=254).stderr
                assert "in use by `jepsenvm run`" in refused
            assert [name for name, _, _ in running(A)] == ["n1"]
            assert f"lab {A} is down" in jepsenvm("lab", "down", "--name", A, expect=0).stdout
            assert left_of(A) == []
            output = run.stdout.read()
            assert run.wait(timeout=300) == 0, output
        finally:
            run.kill()
    assert results((tmp_path / "latest").resolve())["verdict"] == "valid"
    assert lab.status(A) == []
    assert all(ssh for _, _, ssh in running(B))
