"""The lab's network: a bridge in its own namespace, a namespace per host, a veth to this machine.

The bridge has its own namespace so that this machine's firewall (Docker sets FORWARD to DROP) and
its bridge-nf settings never touch a packet of the lab. There is no route to the outside, on
purpose.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from jepsenvm.machines.lab.command import run
from jepsenvm.machines.lab.topology import (
    CONTROLLER,
    NAMESPACES,
    SUBNET,
    SUBNET6,
    SWITCH,
    LabHost,
    every_possible_host,
)


def is_whole(hosts: list[LabHost]) -> bool:
    """Return whether all namespaces and the link to this machine exist. A reboot removes them."""
    namespaces = all(
        os.path.ismount(NAMESPACES / name) for name in (SWITCH, *(h.machine for h in hosts))
    )
    return namespaces and _is_plugged_in()


def create(hosts: list[LabHost]) -> None:
    """Create the bridge and connect this machine and every host's namespace to it."""
    _ip("netns", "add", SWITCH)
    _ip("-n", SWITCH, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    _ip("-n", SWITCH, "link", "set", "br0", "up")
    _ip("link", "add", CONTROLLER, "type", "veth", "peer", "name", "controller", "netns", SWITCH)
    _ip("-n", SWITCH, "link", "set", "controller", "master", "br0", "up")
    _address([], CONTROLLER, str(SUBNET.network_address + 1), f"{SUBNET6.network_address}1")
    for host in hosts:
        inside = ["-n", host.machine]
        _ip("netns", "add", host.machine)
        _ip(
            "-n",
            SWITCH,
            "link",
            "add",
            host.name,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            host.machine,
        )
        _ip("-n", SWITCH, "link", "set", host.name, "master", "br0", "up")
        _ip(*inside, "link", "set", "lo", "up")
        _address(inside, "eth0", host.address, host.address6)


def remove() -> None:
    """Remove every namespace and interface that a lab may have created."""
    # The kernel removes the interfaces of a deleted namespace later. Remove this end at once.
    if _is_plugged_in():
        _ip("link", "delete", CONTROLLER)
    for name in (SWITCH, *(h.machine for h in every_possible_host())):
        if (NAMESPACES / name).exists():
            _ip("netns", "delete", name)


def _is_plugged_in() -> bool:
    return CONTROLLER in (name for _, name in socket.if_nameindex())


def _address(inside: list[str], interface: str, address: str, address6: str) -> None:
    _ip(*inside, "address", "add", f"{address}/{SUBNET.prefixlen}", "dev", interface)
    if _ipv6_is_on():
        # nodad: no other host can have this address, and detection would delay the first packet.
        _ip(
            *inside,
            "-6",
            "address",
            "add",
            f"{address6}/{SUBNET6.prefixlen}",
            "dev",
            interface,
            "nodad",
        )
    _ip(*inside, "link", "set", interface, "up")


def _ipv6_is_on() -> bool:
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    return switch.exists() and switch.read_text().strip() == "0"


def _ip(*arguments: str) -> None:
    run(["ip", *arguments])
