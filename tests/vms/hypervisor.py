"""A private libvirt in the namespaces of `script/test-vms`; it ends with the namespaces."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

CONFIGURATION: Final = Path("/etc/libvirt")

# Folders with the state of this machine's libvirt and lab. In the namespaces of the test, a private
# folder is mounted over each.
STATE_FOLDERS: Final = (
    CONFIGURATION,
    Path("/var/lib/libvirt"),
    Path("/var/log/libvirt"),
    Path("/var/cache/libvirt"),
    Path("/var/lib/jepsenvm"),
    Path("/run"),
)

LIBVIRTD: Final = 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'

# QEMU runs without namespaces and control groups, because no systemd manages them here. It runs as
# root, so that it can read the test's files.
QEMU: Final = """namespaces = []
cgroup_controllers = []
security_driver = "none"
user = "root"
group = "root"
remember_owner = 0
"""


def require_own_namespaces() -> None:
    """Raise RuntimeError outside the namespaces of `script/test-vms`.

    Elsewhere, `start` would hide the state of the machine's own libvirt.
    """
    if Path("/proc/1/comm").read_text(encoding="utf-8").strip() != "bash":
        raise RuntimeError("the namespaces of the test are missing; run script/test-vms")


def start(scratch: Path) -> None:
    """Start libvirt without any VM, network or disk; its daemons run at a low priority."""
    for folder in STATE_FOLDERS:
        private = scratch / "libvirt" / folder.relative_to("/")
        private.mkdir(parents=True, exist_ok=True)
        if folder == CONFIGURATION:
            shutil.copytree(folder, private, dirs_exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(private), str(folder)], check=True)
    # The definitions of the machine's own VMs and networks.
    shutil.rmtree(CONFIGURATION / "qemu", ignore_errors=True)
    (CONFIGURATION / "libvirtd.conf").write_text(LIBVIRTD, encoding="utf-8")
    (CONFIGURATION / "qemu.conf").write_text(QEMU, encoding="utf-8")
    (Path("/run") / "lock").mkdir(exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for daemon in ("virtlogd", "libvirtd"):
        subprocess.run(["nice", "-n", "10", f"/usr/sbin/{daemon}", "-d"], check=True)
    subprocess.run(
        ["virsh", "-c", "qemu:///system", "version"], check=True, stdout=subprocess.DEVNULL
    )


def resources() -> list[str]:
    """Return the VMs, networks and disks that libvirt has, one name or line for each."""
    machines = _virsh("list", "--all", "--name")
    networks = _virsh("net-list", "--all", "--name")
    pools = _virsh("pool-list", "--all", "--name")
    # The first two lines are the head of the table.
    disks = [line for pool in pools for line in _virsh("vol-list", pool)[2:]]
    return [*machines, *networks, *disks]


def _virsh(*arguments: str) -> list[str]:
    argv = ["virsh", "-c", "qemu:///system", *arguments]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [line.strip() for line in output.splitlines() if line.strip()]
