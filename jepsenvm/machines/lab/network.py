"""A lab's network: a bridge in its own namespace, a namespace per host, a veth to this machine.

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
    NAMESPACES,
    Lab,
    LabHost,
    every_possible_host,
)


def is_whole(lab: Lab, hosts: list[LabHost]) -> bool:
    """Return whether all namespaces and the link to this machine exist. A reboot removes them."""
    namespaces = all(
        os.path.ismount(NAMESPACES / name) for name in (lab.switch, *(h.machine for h in hosts))
    )
    return namespaces and _is_plugged_in(lab)


def create(lab: Lab, hosts: list[LabHost]) -> None:
    """Create the bridge and connect this machine and every host's namespace to it."""
    switch = ["-n", lab.switch]
    _ip("netns", "add", lab.switch)
    _ip(*switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    _ip(*switch, "link", "set", "br0", "up")
    _link([], lab.controller, "controller", lab.switch)
    _ip(*switch, "link", "set", "controller", "master", "br0", "up")
    _address(
        [],
        lab.controller,
        lab,
        str(lab.subnet.network_address + 1),
        f"{lab.subnet6.network_address}1",
    )
    for host in hosts:
        inside = ["-n", host.machine]
        _ip("netns", "add", host.machine)
        _link(switch, host.name, "eth0", host.machine)
        _ip(*switch, "link", "set", host.name, "master", "br0", "up")
        _ip(*inside, "link", "set", "lo", "up")
        _address(inside, "eth0", lab, host.address, host.address6)


def remove(lab: Lab) -> None:
    """Remove every namespace and interface that a lab may have created."""
    # The kernel removes the interfaces of a deleted namespace later. Remove this end at once.
    if _is_plugged_in(lab):
        _ip("link", "delete", lab.controller)
    for name in (lab.switch, *(h.machine for h in every_possible_host(lab))):
        if (NAMESPACES / name).exists():
            _ip("netns", "delete", name)


def ipv6_is_on() -> bool:
    """Return whether this machine uses IPv6."""
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    return switch.exists() and switch.read_text().strip() == "0"


def _is_plugged_in(lab: Lab) -> bool:
    return lab.controller in (name for _, name in socket.if_nameindex())


def _link(place: list[str], interface: str, peer: str, namespace: str) -> None:
    """Connect an interface to its peer in another namespace."""
    _ip(*place, "link", "add", interface, "type", "veth", "peer", "name", peer, "netns", namespace)


def _address(place: list[str], interface: str, lab: Lab, address: str, address6: str) -> None:
    _ip(*place, "address", "add", f"{address}/{lab.subnet.prefixlen}", "dev", interface)
    if ipv6_is_on():
        # nodad: no other host can have this address, and detection would delay the first packet.
        address6 = f"{address6}/{lab.subnet6.prefixlen}"
        _ip(*place, "-6", "address", "add", address6, "dev", interface, "nodad")
    _ip(*place, "link", "set", interface, "up")


def _ip(*arguments: str) -> None:
    run(["ip", *arguments])
