"""Checks of whether this machine can run the lab, and the lock of the lab's commands."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from jepsenvm.errors import UsageError
from jepsenvm.machines.lab.command import run
from jepsenvm.machines.lab.topology import CACHE, CONTROLLER, LAB, SUBNET

logger = logging.getLogger(__name__)

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "unshare": "util-linux",
}

LEAST_FREE_BYTES = 3 * 10**9


def require_root() -> None:
    """Raise UsageError unless root: namespaces and mounts need it."""
    if os.geteuid() != 0:
        raise UsageError("the lab needs root", remedy="run the same command with sudo")


def require_programs() -> None:
    """Raise UsageError if a program that the lab needs is missing."""
    missing = sorted(
        {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    )
    if missing:
        raise UsageError(
            f"this machine lacks {', '.join(missing)}",
            remedy=f"run `apt-get install -y {' '.join(missing)}`",
        )


def require_disk_space() -> None:
    """Raise UsageError without enough disk space for a lab."""
    for folder in (CACHE, LAB):
        free = shutil.disk_usage(_nearest_existing(folder)).free
        if free < LEAST_FREE_BYTES:
            raise UsageError(
                f"{folder} has {free / 10**9:.1f} GB of disk space left, and the lab needs 3 GB",
                remedy="free some space there",
            )


def require_free_subnet() -> None:
    """Raise UsageError if this machine has another network with the lab's addresses."""
    addresses = json.loads(run(["ip", "-j", "-4", "address"]))
    routes = json.loads(run(["ip", "-j", "-4", "route"]))
    other = subnet_user(addresses, routes, SUBNET)
    if other:
        raise UsageError(
            f"the lab's subnet {SUBNET} is already used by {other} on this machine",
            remedy=f"take that network down first (`ip link set {other} down`)",
        )


def subnet_user(addresses: list[Any], routes: list[Any], subnet: IPv4Network) -> str | None:
    """Return another interface with an address in the subnet, or with a route to it."""
    for interface in addresses:
        for info in interface["addr_info"]:
            if interface["ifname"] != CONTROLLER and ip_address(info["local"]) in subnet:
                return str(interface["ifname"])
    for route in routes:
        if route["dst"] == "default" or route.get("dev", CONTROLLER) == CONTROLLER:
            continue
        target = ip_network(route["dst"], strict=False)
        if isinstance(target, IPv4Network) and target.subnet_of(subnet):
            return str(route["dev"])
    return None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lab's lock. It is a flock on the cache folder, which outlives every lab."""
    # The bases have setuid programs of another system, which other users must not run.
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o700)
    CACHE.chmod(0o700)
    folder = os.open(CACHE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("waiting for another lab command to end ...")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _nearest_existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
