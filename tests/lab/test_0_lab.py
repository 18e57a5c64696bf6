"""The default lab for real. Named to run before all other lab tests: it begins and ends without a
default lab. Other labs may be up.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines import lab
from jepsenvm.machines.lab import base
from tests.lab.conftest import until
from tests.lab.leftovers import left_of, processes_of

NODES = 3

UP = f"from jepsenvm.machines import lab; lab.up({NODES})"
# An additional hook makes the cached base unusable, so `up` builds a new one.
UP_WITH_BUILD = f"from jepsenvm.machines.lab import base; base.HOOKS += ('true',); {UP}"


@pytest.fixture(scope="module", autouse=True)
def ours(lab_is_ours: None) -> None:
    """Every test here takes the default lab down."""


@pytest.fixture(scope="module")
def inventory(ours: None) -> Iterator[Path]:
    lab.down()
    yield lab.up(NODES)
    lab.down()


def on(node: str, command: str) -> str:
    done = subprocess.run(
        lab.ssh_argv(node, [command]), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_host_runs_and_answers(inventory: Path) -> None:
    assert inventory == lab.inventory_path()
    assert inventory.stat().st_mode & 0o777 == 0o600
    assert [(h.name, h.running, h.ssh) for h in lab.status()] == [
        (f"n{n}", True, True) for n in (1, 2, 3)
    ]
    assert lab.is_up()
    kinds = {"namespace", "interface", "mount", "cgroup", "folder", "process"}
    assert {line.split()[0] for line in left_of()} >= kinds, "nothing of a lab is overlooked"


def test_up_again_changes_nothing(inventory: Path) -> None:
    before = (lab.status(), inventory.read_text(), inventory.stat().st_mtime_ns)
    assert lab.up(NODES) == inventory
    assert (lab.status(), inventory.read_text(), inventory.stat().st_mtime_ns) == before


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize(("nodes", "suite"), [(NODES + 1, "bookworm"), (NODES, "trixie")])
def test_another_lab_than_the_running_one_is_refused(nodes: int, suite: str) -> None:
    with pytest.raises(UsageError, match="take it down first with `jepsenvm lab down`"):
        lab.up(nodes, suite)


@pytest.mark.usefixtures("inventory")
def test_a_host_is_a_whole_linux() -> None:
    assert on("n1", "hostname") == "n1"
    assert on("n1", "id -un; sudo -n id -un").split() == ["jepsen", "root"]
    assert on("n1", "sudo systemctl is-system-running --wait") == "running"
    assert "rabbitmq-server" in on("n1", "ls /var/cache/apt/archives")
    assert on("n1", "cat /etc/machine-id") != on("n2", "cat /etc/machine-id")
    for program in ("iptables", "ip6tables"):
        on("n1", f"sudo {program} -w -A INPUT -s localhost -j DROP")
        assert "DROP" in on("n1", f"sudo {program} -w -S INPUT")
        on("n1", f"sudo {program} -w -F")
    on("n1", "sudo tc qdisc add dev eth0 root tbf rate 100mbit burst 1mbit latency 400ms")
    on("n1", "sudo tc qdisc del dev eth0 root")


@pytest.mark.usefixtures("inventory")
def test_timers_and_signals_work_in_a_host() -> None:
    on("n1", "sudo systemd-run --on-active=1 --timer-property=AccuracySec=100ms touch /run/healed")
    on("n1", "timeout 10 sh -c 'until test -e /run/healed; do sleep 0.1; done'")
    on(
        "n1",
        "sleep 60 & kill -STOP $!; sleep 0.1; grep -q '(stopped)' /proc/$!/status; s=$?; "
        "kill -KILL $!; exit $s",
    )


@pytest.mark.usefixtures("inventory")
def test_stopping_a_service_on_one_host_leaves_the_others_alone() -> None:
    for node in ("n1", "n2"):
        on(node, "sudo systemd-run --unit=sleeper sleep 600")
    assert "failed" not in on(
        "n1", "sudo timeout 20 systemctl kill --signal=KILL sleeper; sleep 0.5; echo done"
    )
    assert on("n2", "systemctl is-active sleeper") == "active"
    assert on("n1", "systemctl is-active sleeper || true") in ("inactive", "failed")


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize("address", ["10.205.77.12", "fd77:6a65:7073::12"])
def test_hosts_reach_each_other(address: str) -> None:
    connect = (
        f"import socket; print(socket.create_connection(({address!r}, 22), 3).recv(4).decode())"
    )
    assert on("n1", f'python3 -c "{connect}"') == "SSH-"
    assert on("n1", "ip route show default") == ""


@pytest.mark.usefixtures("inventory")
def test_a_power_cut_keeps_the_disk_and_up_restores_the_host() -> None:
    machine = on("n2", "cat /etc/machine-id; echo kept > /home/jepsen/kept")
    others = [h.pid for h in lab.status() if h.name != "n2"]
    lab.power_cut("n2")
    assert [h.running for h in lab.status()] == [True, False, True]
    assert not [line for line in processes_of() if "jepsenvm-n2" in line]
    assert not lab.is_up()
    lab.up(NODES)
    assert lab.is_up()
    assert on("n2", "cat /home/jepsen/kept /etc/machine-id").split() == ["kept", machine]
    assert [h.pid for h in lab.status() if h.name != "n2"] == others


@pytest.mark.usefixtures("inventory")
def test_a_restarted_host_has_no_rules_of_faults() -> None:
    """They are the kernel's. A host that lost its healing timer would keep them for ever."""
    on("n3", "sudo tc qdisc add dev eth0 root tbf rate 1gbit burst 1mb latency 50ms")
    on("n3", "sudo iptables -w -N JEPSENVM; sudo iptables -w -A INPUT -j JEPSENVM")
    assert "tbf" in on("n3", "sudo tc qdisc show dev eth0")
    assert "JEPSENVM" in on("n3", "sudo iptables -w -S")
    lab.power_cut("n3")
    lab.power_on("n3")
    assert on("n3", "hostname") == "n3"
    assert "tbf" not in on("n3", "sudo tc qdisc show dev eth0")
    assert "JEPSENVM" not in on("n3", "sudo iptables -w -S")


def disk_of(node: str) -> set[str]:
    return set(
        on(node, "sudo ls -A /var/lib/rabbitmq; df --output=fstype /var/lib/rabbitmq").split()
    )


@pytest.mark.usefixtures("inventory")
def test_only_a_power_loss_loses_what_was_not_synced() -> None:
    write = "echo {0} | sudo tee /var/lib/rabbitmq/{0} >/dev/null"
    on("n1", f"{write.format('synced')}; sudo sync /var/lib/rabbitmq/synced /var/lib/rabbitmq")
    on("n1", write.format("cut"))
    lab.power_cut("n1")
    lab.power_on("n1")
    assert {"synced", "cut", "ext4"} <= disk_of("n1")
    on("n1", f"{write.format('lost')}; echo kept > /home/jepsen/kept")
    lab.power_loss("n1")
    assert [h.running for h in lab.status()] == [False, True, True]
    lab.power_on("n1")
    assert disk_of("n1") & {"synced", "cut", "lost", "ext4"} == {"synced", "cut", "ext4"}
    assert on("n1", "cat /home/jepsen/kept") == "kept", "only RabbitMQ's data is on the disk"
    on("n1", write.format("again"))
    assert "again" in disk_of("n1")


@pytest.mark.usefixtures("inventory")
def test_up_restores_a_lab_that_lost_its_network() -> None:
    subprocess.run(["ip", "link", "delete", "jepsenvm0"], check=True)
    subprocess.run(["ip", "netns", "delete", "jepsenvm-n1"], check=True)
    lab.up(NODES)
    assert on("n1", "hostname") == "n1"


@pytest.mark.usefixtures("inventory")
def test_ssh_passes_on_the_commands_status() -> None:
    command = [
        sys.executable,
        "-c",
        "from jepsenvm.cli.lab import group; group()",
        "ssh",
        "n1",
        "--",
    ]
    assert subprocess.run([*command, "exit", "7"], check=False, timeout=30).returncode == 7
    assert subprocess.run([*command, "ls", "-d", "/"], check=False, timeout=30).returncode == 0


@pytest.mark.usefixtures("inventory")
def test_down_leaves_nothing_and_twice_is_fine() -> None:
    lab.down()
    assert left_of() == []
    assert base.base_path("bookworm").is_dir()
    assert lab.status() == []
    assert not lab.is_up()
    with pytest.raises(UsageError, match="bring it up with `jepsenvm lab up`"):
        lab.ssh_argv("n1", [])
    lab.down()
    assert left_of() == []


def killed(code: str, seconds: float, begun: Callable[[], bool] = lambda: True) -> None:
    """Run a program and kill it some seconds after it has begun."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as up:
        try:
            assert until(begun, 60)
            time.sleep(seconds)
        finally:
            up.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("seconds", [0.25, 0.35, 0.45, 0.6])
def test_down_clears_what_a_killed_up_left(seconds: float) -> None:
    killed(UP, seconds)
    lab.down()
    assert left_of() == []


def test_up_starts_afresh_after_a_killed_up() -> None:
    killed(UP, 0.45)
    lab.up(NODES)
    assert lab.is_up()
    lab.down()
    assert left_of() == []


def test_a_killed_build_leaves_no_base_and_nothing_after_down() -> None:
    cached = base.base_path("bookworm")
    before = set(cached.parent.glob("bookworm-*/"))

    def half_built() -> bool:
        return any(cached.parent.glob("building-bookworm-*"))

    killed(UP_WITH_BUILD, 3, half_built)
    assert half_built()
    lab.down()
    assert left_of() == []
    assert cached.is_dir()
    assert set(cached.parent.glob("bookworm-*/")) == before
