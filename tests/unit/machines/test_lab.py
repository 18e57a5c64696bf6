"""The lab's pure parts: addresses, names, command lines, the inventory, the choice of a mirror, and
refusals.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jepsenvm.errors import CommandError, RunError, UsageError
from jepsenvm.machines import lab
from jepsenvm.machines.lab import (
    base,
    cgroups,
    container,
    data_disk,
    inventory,
    keys,
    machine,
    suites,
    topology,
)
from jepsenvm.machines.lab.command import last_line, run
from jepsenvm.machines.lab.mounts import mounts_under
from jepsenvm.machines.lab.topology import LabHost, host_named, hosts

N1 = LabHost(1)


def test_a_hosts_number_decides_everything_about_it() -> None:
    assert [h.name for h in hosts(3)] == ["n1", "n2", "n3"]
    assert (N1.address, N1.address6) == ("10.205.77.11", "fd77:6a65:7073::11")
    assert (LabHost(9).address, LabHost(9).address6) == ("10.205.77.19", "fd77:6a65:7073::19")
    assert N1.machine == "jepsenvm-n1"
    assert N1.root == Path("/var/lib/jepsenvm/lab/n1/merged")


def test_a_host_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert host_named("n2", hosts(2)) == LabHost(2)
    with pytest.raises(UsageError, match=r"no host 'n3;reboot' in the lab; its hosts are n1, n2"):
        host_named("n3;reboot", hosts(2))


def test_the_inventory_is_what_the_rest_reads() -> None:
    group = yaml.safe_load(inventory.render(hosts(5), "trixie"))["all"]["children"]["rabbitmq"]
    assert list(group["hosts"]) == ["n1", "n2", "n3", "n4", "n5"]
    assert group["hosts"]["n5"] == {
        "ansible_host": "10.205.77.15",
        "cluster_address": "10.205.77.15",
    }
    assert group["vars"] == {
        "ansible_user": "jepsen",
        "ansible_ssh_private_key_file": "/var/lib/jepsenvm/lab/id_ed25519",
        "ansible_python_interpreter": "/usr/bin/python3",
        "jepsenvm_known_hosts": "/var/lib/jepsenvm/lab/known_hosts",
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/var/lib/jepsenvm/lab/known_hosts"
        " -o StrictHostKeyChecking=yes",
        "jepsenvm_machines": "lab",
        "jepsenvm_suite": "trixie",
        "rabbitmq_apt_update": False,
    }


def test_ssh_checks_host_keys_and_never_asks() -> None:
    argv = keys.ssh_argv(N1, ["uname", "-r"])
    assert argv[-4:] == ["jepsen@10.205.77.11", "--", "uname", "-r"]
    assert {
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        f"UserKnownHostsFile={topology.DEFAULT.known_hosts}",
    } <= set(argv)
    assert keys.ssh_argv(N1, [])[-1] == "jepsen@10.205.77.11"


def test_known_hosts_names_each_address() -> None:
    line = keys.known_hosts_line(N1, "ssh-ed25519 AAAA jepsenvm-n1\n")
    assert line == "10.205.77.11,fd77:6a65:7073::11,n1 ssh-ed25519 AAAA\n"


def test_every_container_is_started_in_cgroups_of_its_own() -> None:
    nspawn = container.nspawn_argv(N1)
    assert nspawn[0] == "systemd-nspawn"
    assert {
        "--machine=jepsenvm-n1",
        "--directory=/var/lib/jepsenvm/lab/n1/merged",
        "--keep-unit",
    } <= set(nspawn)
    plain = cgroups.in_cgroups([Path("/sys/fs/cgroup/unified/jepsenvm-n1")], nspawn)
    assert plain[:2] == ["setsid", "--fork"]
    assert plain[-len(nspawn) - 2 :] == ["/sys/fs/cgroup/unified/jepsenvm-n1", "--", *nspawn]
    unit = cgroups.as_unit(N1, nspawn)
    assert unit[0] == "systemd-run"
    assert {"--unit=jepsenvm-n1", "Delegate=yes", "KillMode=mixed"} <= set(unit)
    assert unit[-len(nspawn) - 1 :] == ["--", *nspawn]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of n1's disk, in a lab of its own."""
    monkeypatch.setattr(topology, "LAB", tmp_path)
    N1.data.mkdir(parents=True)
    N1.disk.touch()
    return N1.disk


def test_a_host_is_started_where_its_disk_is_mounted(disk: Path) -> None:
    argv = data_disk.mounted(N1, ["systemd-nspawn", "--boot"])
    assert argv[:2] == ["unshare", "--mount"]
    assert argv[-4:] == [str(disk), str(N1.data), "systemd-nspawn", "--boot"]
    assert container.nspawn_argv(N1)[-1] == f"--bind={N1.data}:/var/lib/rabbitmq"


def test_a_host_without_a_disk_is_started_as_before(disk: Path) -> None:
    disk.unlink()
    assert data_disk.mounted(N1, ["systemd-nspawn"]) == ["systemd-nspawn"]
    assert not any(word.startswith("--bind") for word in container.nspawn_argv(N1))


@pytest.mark.usefixtures("disk")
def test_the_disk_of_this_machine_is_never_shut_down() -> None:
    """This process sees the folder of the disk, and nothing is mounted there."""
    with (
        pytest.raises(RunError, match=r"^n1: its disk .* is on the disk of this machine; make the"),
        data_disk.opened(N1, os.getpid()),
    ):
        pass


@pytest.mark.usefixtures("disk")
def test_another_device_is_never_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabHost, "data", Path("/proc"))
    with (
        pytest.raises(RunError, match=r"its data is on the device 0:"),
        data_disk.opened(N1, os.getpid()),
    ):
        pass


def test_a_disk_that_stays_mounted_is_an_error(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backing = tmp_path / "block/loop3/loop/backing_file"
    backing.parent.mkdir(parents=True)
    monkeypatch.setattr(data_disk, "_LOOP_DEVICES", tmp_path / "block")
    backing.write_text("/somebody/elses.img\n")
    data_disk.wait_until_unmounted(N1, patience=0)
    for name in (str(disk), f"{disk} (deleted)"):
        backing.write_text(f"{name}\n")
        with pytest.raises(RunError, match=r"^n1: its disk .* stays mounted; see .* loop3 "):
            data_disk.wait_until_unmounted(N1, patience=0)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to a host that runs."""
    done: list[str] = []
    monkeypatch.setattr(container, "supervisor", lambda _: 7)
    monkeypatch.setattr(container, "_kill_all", lambda _: done.append("kill"))
    monkeypatch.setattr(container, "_clear", lambda _: done.append("clear"))
    monkeypatch.setattr(data_disk, "opened", lambda *_: nullcontext(99))
    monkeypatch.setattr(container, "shut_down", lambda disk: done.append(f"shut down {disk}"))
    return done


def test_a_host_is_killed_before_its_disk_is_shut_down(steps: list[str]) -> None:
    """A broker that still ran would see errors that no power cut gives."""
    container.cut_unsynced(N1)
    assert steps == ["kill", "shut down 99", "clear"]
    steps.clear()
    container.cut(N1)
    assert steps == ["kill", "clear"]


def test_a_host_that_is_off_loses_nothing_more(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "supervisor", lambda _: None)
    with pytest.raises(RunError, match=r"n1: it is off; run `jepsenvm lab up`"):
        container.cut_unsynced(N1)
    assert steps == []


MOUNTINFO = """\
26 20 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755
31 26 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 26 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
36 26 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_systemds_cgroup_hierarchies_are_found_in_both_versions() -> None:
    assert cgroups.hierarchies(MOUNTINFO) == [
        Path("/sys/fs/cgroup/systemd"),
        Path("/sys/fs/cgroup/unified"),
    ]
    only_v2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    assert cgroups.hierarchies(only_v2) == [Path("/sys/fs/cgroup")]


# apt prints the origin only where it has fetched the index, as on a machine that ran `apt-get update`
DEBIAN = """\
http://mirror.example/debian/|bookworm|main|Debian
http://mirror.example/debian/|bookworm-updates|main|Debian
http://security.example/debian-security/|bookworm-security|main|Debian
"""
THIRD_PARTY_FIRST = """\
https://apt.vendor.example/|bookworm|main|
http://mirror.example/debian/|bookworm|main|
http://mirror.example/debian/|bookworm|contrib|
http://mirror.example/debian/|bookworm-updates|main|
"""


@pytest.mark.parametrize("targets", [DEBIAN, THIRD_PARTY_FIRST])
def test_the_mirror_is_this_machines_own(targets: str) -> None:
    assert (
        suites.choose_mirror(suites.parse_sources(targets), "bookworm")
        == "http://mirror.example/debian"
    )


@pytest.mark.parametrize(
    "targets", ["", "nonsense\n", "https://apt.vendor.example/|bookworm|main|Vendor\n"]
)
def test_without_a_mirror_of_its_own_the_choice_is_mmdebstraps(targets: str) -> None:
    assert suites.choose_mirror(suites.parse_sources(targets), "bookworm") is None


def test_another_distributions_suite_is_not_built_from_this_machines_mirror(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    monkeypatch.setattr(suites, "run", lambda _: DEBIAN)
    assert suites.mirror_for("noble") is None
    assert suites.mirror_for("trixie") == "http://mirror.example/debian"


def test_the_recipe_decides_which_cached_base_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.base_path("bookworm")
    assert before.name.startswith("bookworm-")
    assert before == base.base_path("bookworm")
    monkeypatch.setattr(base, "DOWNLOADED", ())
    monkeypatch.setattr(base, "HOOKS", ())
    assert base.base_path("bookworm") != before


def test_a_base_is_built_where_its_mounts_and_processes_die_with_us() -> None:
    argv = base.build_argv("sid", Path("/x/root"), "http://mirror.example/debian")
    assert argv[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert "--kill-child" in argv
    assert argv[-3:] == ["sid", "/x/root", "http://mirror.example/debian"]
    assert base.build_argv("sid", Path("/x/root"), None)[-2:] == ["sid", "/x/root"]


def test_a_keyring_too_old_is_told_apart_from_a_mirror_out_of_reach() -> None:
    log = Path("/x/build.log")
    signature = "Err:1 http://m sid InRelease\n  The following signatures couldn't be verified: NO_PUBKEY 6ED0E7B8\n"
    error = base.build_error("sid", signature, log, 100)
    assert isinstance(error, UsageError)
    assert "install a newer debian-archive-keyring" in str(error)
    assert "install a newer ubuntu-keyring" in str(base.build_error("noble", signature, log, 100))
    unreachable = "Err:1 http://m sid InRelease\nE: Failed to fetch http://m/sid: no route\nE: mmdebstrap failed to run\n"
    error = base.build_error("sid", unreachable, log, 25)
    assert isinstance(error, RunError)
    assert "\n" not in str(error)
    assert "failed: E: Failed to fetch http://m/sid: no route (" in str(error)


@pytest.mark.parametrize("nodes", [0, 10, -1])
def test_a_lab_has_one_to_nine_hosts(nodes: int) -> None:
    with pytest.raises(UsageError, match="choose 1 to 9"):
        lab.up(nodes)


def test_an_unknown_suite_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        UsageError, match=r"unknown suite 'potato'; use one of bullseye, bookworm, trixie"
    ):
        lab.up(suite="potato")


def test_only_root_has_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in (lab.up, lab.down, lab.status, lambda: lab.ssh_argv("n1", [])):
        with pytest.raises(UsageError, match="the lab needs root; run the same command with sudo"):
            command()


def test_missing_programs_are_named_by_the_packages_that_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = {"mmdebstrap", "systemd-nspawn"}
    monkeypatch.setattr(shutil, "which", lambda name: None if name in lacking else f"/bin/{name}")
    with pytest.raises(UsageError, match=r"`apt-get install -y mmdebstrap systemd-container`"):
        machine.require_programs()


def test_too_little_disk_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 10**9))
    with pytest.raises(UsageError, match=r"2\.0 GB of disk space left"):
        machine.require_disk_space()


def interface(name: str, address: str) -> dict[str, object]:
    return {"ifname": name, "addr_info": [{"local": address}]}


def test_a_subnet_in_use_is_found_by_address_or_route() -> None:
    subnet = topology.SUBNET
    ours = [interface("jepsenvm0", "10.205.77.1"), interface("eth0", "10.1.2.3")]
    wide = [{"dst": "default", "dev": "eth0"}, {"dst": "10.0.0.0/8", "dev": "eth0"}]
    assert machine.subnet_user(ours, wide, subnet) is None
    assert machine.subnet_user([interface("eth1", "10.205.77.40")], wide, subnet) == "eth1"
    assert (
        machine.subnet_user(ours, [*wide, {"dst": "10.205.77.0/24", "dev": "wg0"}], subnet) == "wg0"
    )
    assert machine.subnet_user(ours, [*wide, {"dst": "10.205.77.9", "dev": "wg0"}], subnet) == "wg0"


def test_a_failed_command_says_what_it_was_and_its_last_words() -> None:
    assert run([sys.executable, "-c", "print('x')"]) == "x\n"
    with pytest.raises(CommandError) as caught:
        run(
            [
                sys.executable,
                "-c",
                "import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)",
            ]
        )
    assert (caught.value.message, caught.value.status) == ("last", 3)
    with pytest.raises(CommandError, match=r"no end after 0 s"):
        run([sys.executable, "-c", "import time; time.sleep(9)"], timeout=0.1)
    assert last_line("a\n b \n\n") == "b"
    assert last_line("") == "it said nothing"


def test_mounts_are_found_under_whole_path_components() -> None:
    assert Path("/proc") in mounts_under(Path("/proc"))
    assert mounts_under(Path("/pro")) == []
