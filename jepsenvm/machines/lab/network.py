"""The lab's network: a bridge in a namespace of its own, one namespace a host, one veth to this machine.

The bridge has its own namespace so that this machine's firewall (Docker sets FORWARD to DROP) and its
bridge-nf settings never touch a packet of the lab. There is no route to the outside, on purpose.
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
    """Whether every namespace and the way in exist, as they don't after this machine restarted."""
    namespaces = all(
        os.path.ismount(NAMESPACES / name) for name in (SWITCH, *(h.machine for h in hosts))
    )
    return namespaces and _is_plugged_in()


def create(hosts: list[LabHost]) -> None:
    """Make the switch, plug this machine in, and plug every host's namespace in."""
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
    """Remove every namespace and interface that any lab of ours may have made."""
    # a deleted namespace drops its interfaces later, in the background: this end goes at once
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
        # nodad: nobody else can have this address, and waiting for proof would delay the first packet
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
