"""Checks of whether this machine can run a lab."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from jepsenvm.errors import UsageError
from jepsenvm.machines.lab.command import run
from jepsenvm.machines.lab.network import ipv6_is_on
from jepsenvm.machines.lab.topology import CACHE, CONTROLLER, DEFAULT, LAB, Lab

Subnet = IPv4Network | IPv6Network

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


def require_free_subnet(lab: Lab = DEFAULT) -> None:
    """Raise UsageError if this machine has another network with the lab's addresses."""
    used = used_subnet(lab, networks())
    if used:
        subnet, other = used
        remedy = f"take that network down first (`ip link set {other} down`)"
        if not lab.is_default:
            remedy += f", or give the lab another subnet with `{lab.command('down')}`"
        raise UsageError(
            f"{lab.title}'s subnet {subnet} is already used by {other} on this machine",
            remedy=remedy,
        )


@dataclass(frozen=True)
class Networks:
    """The networks of this machine, as `ip` lists them in JSON."""

    addresses: list[Any]
    routes: list[Any]


def networks() -> Networks:
    """Return the networks of this machine."""
    families = ("-4", "-6") if ipv6_is_on() else ("-4",)

    def listed(what: str) -> list[Any]:
        return [
            entry for family in families for entry in json.loads(run(["ip", "-j", family, what]))
        ]

    return Networks(listed("address"), listed("route"))


def used_subnet(lab: Lab, found: Networks) -> tuple[Subnet, str] | None:
    """Return a subnet of a lab that this machine uses otherwise, and the interface that uses it."""
    subnets: tuple[Subnet, ...] = (lab.subnet, lab.subnet6)
    for subnet in subnets:
        other = subnet_user(found.addresses, found.routes, subnet, lab.controller)
        if other:
            return subnet, other
    return None


def subnet_user(
    addresses: list[Any], routes: list[Any], subnet: Subnet, controller: str = CONTROLLER
) -> str | None:
    """Return another interface with an address in the subnet, or with a route to it.

    ``controller`` is the interface of the lab that has the subnet.
    """
    for interface in addresses:
        for info in interface["addr_info"]:
            if interface["ifname"] != controller and ip_address(info["local"]) in subnet:
                return str(interface["ifname"])
    for route in routes:
        if route["dst"] == "default" or route.get("dev", controller) == controller:
            continue
        if _is_within(ip_network(route["dst"], strict=False), subnet):
            return str(route["dev"])
    return None


def _is_within(network: Subnet, subnet: Subnet) -> bool:
    return network.network_address in subnet and network.prefixlen >= subnet.prefixlen


def _nearest_existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
