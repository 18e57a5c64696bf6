"""A libvirt of our own, in the namespaces that `script/test-vms` has made: it ends and is forgotten with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

CONFIGURATION: Final = Path("/etc/libvirt")

# What libvirt and a lab of this machine keep, each hidden under a folder of the test's own.
STATE: Final = (
    *map(
        Path,
        (
            "/etc/libvirt",
            "/var/lib/libvirt",
            "/var/log/libvirt",
            "/var/cache/libvirt",
            "/var/lib/jepsenvm",
            "/run",
        ),
    ),
)

LIBVIRTD: Final = 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'

# No namespaces and control groups within ours, where no systemd gives them out; root may read what the test wrote.
QEMU: Final = """namespaces = []
cgroup_controllers = []
security_driver = "none"
user = "root"
group = "root"
remember_owner = 0
"""


def refuse_machine_namespaces() -> None:
    """Raise RuntimeError outside of the namespaces of `script/test-vms`: this would hide the machine's own libvirt."""
    if Path("/proc/1/comm").read_text(encoding="utf-8").strip() != "bash":
        raise RuntimeError("run script/test-vms, which makes namespaces of its own")


def start(scratch: Path) -> None:
    """Start libvirt with nothing in it; its processes are polite to the rest of the machine."""
    for place in STATE:
        own = scratch / "libvirt" / place.relative_to("/")
        own.mkdir(parents=True, exist_ok=True)
        if place == CONFIGURATION:
            shutil.copytree(place, own, dirs_exist_ok=True)
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(own), str(place)], check=True)
    shutil.rmtree(CONFIGURATION / "qemu", ignore_errors=True)  # the machine's own VMs and networks
    (CONFIGURATION / "libvirtd.conf").write_text(LIBVIRTD, encoding="utf-8")
    (CONFIGURATION / "qemu.conf").write_text(QEMU, encoding="utf-8")
    (Path("/run") / "lock").mkdir(exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for daemon in ("virtlogd", "libvirtd"):
        subprocess.run(["nice", "-n", "10", f"/usr/sbin/{daemon}", "-d"], check=True)
    subprocess.run(
        ["virsh", "-c", "qemu:///system", "version"], check=True, stdout=subprocess.DEVNULL
    )


def left() -> list[str]:
    """Return the VMs, networks and disks that libvirt still has."""
    found = []
    for words in (("list", "--all", "--name"), ("net-list", "--all", "--name")):
        found += _virsh(*words)
    pools = _virsh("pool-list", "--all", "--name")
    return found + [line for pool in pools for line in _virsh("vol-list", pool)[2:]]


def _virsh(*words: str) -> list[str]:
    done = subprocess.run(
        ["virsh", "-c", "qemu:///system", *words], check=True, capture_output=True, text=True
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
