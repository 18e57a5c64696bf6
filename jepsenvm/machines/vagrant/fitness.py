"""Checks of whether this machine can run the VMs of the current folder's Vagrantfile."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from jepsenvm.errors import RunError, UsageError
from jepsenvm.machines.vagrant.machines import vagrant

DEFAULTS: Final = Path("vagrant.example.yml")
CHOSEN: Final = Path("vagrant.yml")
LEAST_VERSION: Final = (2, 3)
ASK_S: Final = 120.0
EMULATED_VM_MIB: Final = 1200
"""The memory that QEMU's emulation needs in addition to a VM's memory."""


def require_vagrant() -> None:
    """Raise UsageError if Vagrant is missing or too old."""
    found = re.search(r"(\d+)\.(\d+)\.\d+", vagrant(Path.cwd(), "--version", timeout=ASK_S))
    if found and tuple(map(int, found.groups())) < LEAST_VERSION:
        raise UsageError(f"Vagrant {found[0]} is too old", remedy="install Vagrant 2.3 or newer")


def require_provider() -> None:
    """Raise UsageError unless Vagrant has a provider that accepts the Vagrantfile."""
    plugins = vagrant(Path.cwd(), "plugin", "list", timeout=ASK_S)
    known = ("vagrant-libvirt", "vagrant-qemu", "vagrant-vmware-desktop", "vagrant-parallels")
    if not (shutil.which("VBoxManage") or any(name in plugins for name in known)):
        raise UsageError(
            "no provider", remedy="install VirtualBox, or the plug-in vagrant-libvirt and libvirt"
        )
    try:
        vagrant(Path.cwd(), "validate", timeout=ASK_S)
        vagrant(Path.cwd(), "status", timeout=ASK_S)  # asks the provider's own driver
    except RunError as problem:
        raise UsageError(
            problem.message, remedy="make the provider work, or choose another by --provider"
        ) from problem


def require_virtualisation() -> None:
    """Raise UsageError if VMs would be emulated in software, which is many times slower."""
    if _emulated(read_chosen()):
        raise UsageError(
            "this machine has no hardware virtualisation: libvirt emulates, "
            "and VirtualBox may refuse",
            remedy="enable it in the firmware or the hypervisor, or accept slow VMs",
        )


def require_box() -> None:
    """Raise UsageError unless the box is downloaded."""
    box = str(read_chosen()["box"])
    names = re.findall(
        r"^(\S+) +\(", vagrant(Path.cwd(), "box", "list", timeout=ASK_S), re.MULTILINE
    )
    if box not in names:
        raise UsageError(
            f"box {box} is not here yet",
            remedy=f"`vagrant up` downloads it, or `vagrant box add {box}`",
        )


def require_memory() -> None:
    """Raise UsageError unless there is free memory for the VMs."""
    chosen = read_chosen()
    emulated = _emulated(chosen)
    wanted = int(chosen["nodes"]) * (int(chosen["memory"]) + (EMULATED_VM_MIB if emulated else 0))
    available = re.search(
        r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8")
    )
    free = int(available[1]) // 1024 if available else wanted
    if free < wanted:
        raise UsageError(
            f"{chosen['nodes']} VMs want {wanted} MiB, and {free} MiB are free",
            remedy="set fewer nodes or less memory in vagrant.yml",
        )


def _emulated(chosen: Mapping[str, Any]) -> bool:
    return is_emulated(chosen, Path("/proc/cpuinfo").read_text(encoding="utf-8"))


def is_emulated(chosen: Mapping[str, Any], cpuinfo: str) -> bool:
    """Return whether libvirt emulates the VMs. The Vagrantfile uses the same rule."""
    driver = chosen.get("libvirt_driver")
    return (
        driver == "qemu"
        if driver
        else not re.search(r"^flags.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE)
    )


def read_chosen() -> Mapping[str, Any]:
    """Return the settings of the VMs: the defaults, vagrant.yml and the environment."""
    files = [file.read_text(encoding="utf-8") for file in (DEFAULTS, CHOSEN) if file.exists()]
    return merged(files, os.environ)


def merged(files: list[str], environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the settings of files. Later files and the environment take precedence."""
    chosen: dict[str, Any] = {}
    for text in files:
        chosen.update(yaml.safe_load(text) or {})
    given = {
        key.removeprefix("JEPSENVM_").lower(): value for key, value in environment.items() if value
    }
    return chosen | {
        key: value for key, value in given.items() if key in chosen or key == "libvirt_driver"
    }
