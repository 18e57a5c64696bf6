"""Addresses, names and folders of the lab, all derived from a host's number."""

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

DATA_DIR = "/var/lib/rabbitmq"
"""RabbitMQ's data on a host."""

USER = "jepsen"
USER_ID = 1000
MOST_HOSTS = 9


@dataclass(frozen=True)
class LabHost:
    """One host of the lab. Its number determines everything else."""

    number: int

    @property
    def name(self) -> str:
        """Its name for Ansible and RabbitMQ."""
        return f"n{self.number}"

    @property
    def machine(self) -> str:
        """The name of its container, its network namespace and its systemd unit."""
        return f"jepsenvm-{self.name}"

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return str(SUBNET.network_address + 10 + self.number)

    @property
    def address6(self) -> str:
        """Its IPv6 address, with the last part of the IPv4 address: ...::11 for 10.205.77.11."""
        return f"{SUBNET6.network_address}{10 + self.number}"

    @property
    def folder(self) -> Path:
        """The folder with all files of this host."""
        return LAB / self.name

    @property
    def upper(self) -> Path:
        """The overlay with the files that differ from the base."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """The work folder of overlayfs."""
        return self.folder / "work"

    @property
    def root(self) -> Path:
        """The mount point of its root file system."""
        return self.folder / "merged"

    @property
    def disk(self) -> Path:
        """The disk of its RabbitMQ data. It does not exist if this machine cannot mount it."""
        return self.folder / "data.img"

    @property
    def data(self) -> Path:
        """The mount point of that disk, in the mount namespace of the host's supervisor."""
        return self.folder / "data"

    @property
    def console(self) -> Path:
        """The output of its console."""
        return self.folder / "console.log"


def hosts(count: int) -> list[LabHost]:
    """Return the hosts n1 to n<count>."""
    return [LabHost(number) for number in range(1, count + 1)]


def every_possible_host() -> list[LabHost]:
    """Return all hosts that a lab can have on this machine."""
    return hosts(MOST_HOSTS)


def host_named(name: str, among: list[LabHost]) -> LabHost:
    """Return the host with a name; raise UsageError with the existing names."""
    for host in among:
        if host.name == name:
            return host
    raise UsageError(
        f"no host {name!r} in the lab", remedy=f"its hosts are {', '.join(h.name for h in among)}"
    )
