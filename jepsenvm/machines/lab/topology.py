"""Where everything in the lab is: addresses, names and folders, all worked out from a host's number."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from jepsenvm.errors import UsageError

LAB = Path("/var/lib/jepsenvm/lab")
CACHE = Path("/var/cache/jepsenvm")
STATE = LAB / "state.json"
INVENTORY = LAB / "inventory.yml"
KNOWN_HOSTS = LAB / "known_hosts"
KEY = LAB / "id_ed25519"

NAMESPACES = Path("/run/netns")
SWITCH = "jepsenvm-switch"
CONTROLLER = "jepsenvm0"
SUBNET = IPv4Network("10.205.77.0/24")
SUBNET6 = IPv6Network("fd77:6a65:7073::/64")

USER = "jepsen"
USER_ID = 1000
MOST_HOSTS = 9


@dataclass(frozen=True)
class LabHost:
    """One host of the lab; its number decides everything else about it."""

    number: int

    @property
    def name(self) -> str:
        """What Ansible and RabbitMQ call it."""
        return f"n{self.number}"

    @property
    def machine(self) -> str:
        """The name of its container, its network namespace and, where systemd runs this machine, its unit."""
        return f"jepsenvm-{self.name}"

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return str(SUBNET.network_address + 10 + self.number)

    @property
    def address6(self) -> str:
        """Its IPv6 address, which reads like the IPv4 one: ...::11 for 10.205.77.11."""
        return f"{SUBNET6.network_address}{10 + self.number}"

    @property
    def folder(self) -> Path:
        """Everything of this host on disk."""
        return LAB / self.name

    @property
    def upper(self) -> Path:
        """What this host has written over the base."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """Overlayfs's own scratch folder."""
        return self.folder / "work"

    @property
    def root(self) -> Path:
        """The host's root file system, as mounted."""
        return self.folder / "merged"

    @property
    def console(self) -> Path:
        """What the host printed while it booted."""
        return self.folder / "console.log"


def hosts(count: int) -> list[LabHost]:
    """Hosts n1 to n<count>."""
    return [LabHost(number) for number in range(1, count + 1)]


def every_possible_host() -> list[LabHost]:
    """All hosts that any lab of ours may have left on this machine."""
    return hosts(MOST_HOSTS)


def host_named(name: str, among: list[LabHost]) -> LabHost:
    """The host of that name, or UsageError with the names that there are."""
    for host in among:
        if host.name == name:
            return host
    raise UsageError(
        f"no host {name!r} in the lab", remedy=f"its hosts are {', '.join(h.name for h in among)}"
    )
