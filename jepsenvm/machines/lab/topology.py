"""Addresses, names and folders of labs, all derived from names and numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.lab.names import DEFAULT_NAME, FOLDER_PREFIX, is_name, require_name

LAB = Path("/var/lib/jepsenvm/lab")
"""The folder of the default lab. The folder of lab b is ``lab-b`` beside it."""
CACHE = Path("/var/cache/jepsenvm")

NAMESPACES = Path("/run/netns")
SWITCH = "jepsenvm-switch"
CONTROLLER = "jepsenvm0"
SUBNET = IPv4Network("10.205.77.0/24")
SUBNET6 = IPv6Network("fd77:6a65:7073::/64")

MOST_NAMED_LABS = 178
"""The subnets that follow the one of the default lab in 10.205.0.0/16."""

DATA_DIR = "/var/lib/rabbitmq"
"""RabbitMQ's data on a host."""

USER = "jepsen"
USER_ID = 1000
MOST_HOSTS = 9


@dataclass(frozen=True)
class Lab:
    """One lab of this machine. Raise UsageError for a name that no lab can have."""

    name: str = DEFAULT_NAME
    number: int = 0
    """The number of its subnets: 0 for the default lab, and 1 to ``MOST_NAMED_LABS``."""

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.is_default != (self.number == 0) or not 0 <= self.number <= MOST_NAMED_LABS:
            raise ValueError(f"lab {self.name} with number {self.number}")

    @property
    def is_default(self) -> bool:
        """Whether it is the lab of commands without ``--name``."""
        return self.name == DEFAULT_NAME

    @property
    def title(self) -> str:
        """What messages call it."""
        return "the lab" if self.is_default else f"lab {self.name}"

    def command(self, verb: str) -> str:
        """Return the command ``jepsenvm lab`` for this lab."""
        return f"jepsenvm lab {verb}" + ("" if self.is_default else f" --name {self.name}")

    @property
    def prefix(self) -> str:
        """The beginning of the names of its containers, network namespaces and systemd units."""
        return "jepsenvm" if self.is_default else f"jepsenvm-{self.name}"

    @property
    def switch(self) -> str:
        """The network namespace of its bridge."""
        return f"{self.prefix}-switch"

    @property
    def controller(self) -> str:
        """The interface of this machine in its network."""
        return CONTROLLER if self.is_default else f"jepsen-{self.name}"

    @property
    def subnet(self) -> IPv4Network:
        """The IPv4 addresses of its network."""
        return IPv4Network((int(SUBNET.network_address) + (self.number << 8), SUBNET.prefixlen))

    @property
    def subnet6(self) -> IPv6Network:
        """The IPv6 addresses of its network."""
        return IPv6Network((int(SUBNET6.network_address) + (self.number << 64), SUBNET6.prefixlen))

    @property
    def folder(self) -> Path:
        """The folder with all its files."""
        return LAB if self.is_default else LAB.with_name(f"{FOLDER_PREFIX}{self.name}")

    @property
    def state(self) -> Path:
        """The file that a finished `up` writes."""
        return self.folder / "state.json"

    @property
    def reservation(self) -> Path:
        """The file with its number. The default lab has none."""
        return self.folder / "subnet.json"

    @property
    def inventory(self) -> Path:
        """Its Ansible inventory."""
        return self.folder / "inventory.yml"

    @property
    def known_hosts(self) -> Path:
        """The file with the host keys of its hosts."""
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        """The SSH key for its hosts."""
        return self.folder / "id_ed25519"


DEFAULT = Lab()


def candidates(name: str) -> Iterator[Lab]:
    """Yield a lab with each number that it may have, the preferred one first.

    Few names prefer the same number, so a lab that is made anew usually has its old addresses.
    Raise UsageError for a name that no lab can have.
    """
    require_name(name)
    if name == DEFAULT_NAME:
        yield DEFAULT
        return
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    for step in range(MOST_NAMED_LABS):
        yield Lab(name, 1 + (first + step) % MOST_NAMED_LABS)


def preferred(name: str) -> Lab:
    """Return a lab with the number that it prefers."""
    return next(candidates(name))


def title(name: str) -> str:
    """Return what messages call a lab."""
    return preferred(name).title


def name_at(folder: str) -> str:
    """Return the name of the lab with a folder; that of the default lab for any other folder."""
    path = Path(folder)
    name = path.name.removeprefix(FOLDER_PREFIX)
    is_named = path.parent == LAB.parent and path.name != name and is_name(name)
    return name if is_named else DEFAULT_NAME


@dataclass(frozen=True)
class LabHost:
    """One host of a lab. Its lab and its number determine everything else."""

    number: int
    lab: Lab = DEFAULT

    @property
    def name(self) -> str:
        """Its name for Ansible and RabbitMQ."""
        return f"n{self.number}"

    @property
    def machine(self) -> str:
        """The name of its container, its network namespace and its systemd unit."""
        return f"{self.lab.prefix}-{self.name}"

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return str(self.lab.subnet.network_address + 10 + self.number)

    @property
    def address6(self) -> str:
        """Its IPv6 address, with the last part of the IPv4 address: ...::11 for 10.205.77.11."""
        return f"{self.lab.subnet6.network_address}{10 + self.number}"

    @property
    def folder(self) -> Path:
        """The folder with all files of this host."""
        return self.lab.folder / self.name

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


def hosts(count: int, lab: Lab = DEFAULT) -> list[LabHost]:
    """Return the hosts n1 to n<count> of a lab."""
    return [LabHost(number, lab) for number in range(1, count + 1)]


def every_possible_host(lab: Lab = DEFAULT) -> list[LabHost]:
    """Return all hosts that a lab can have on this machine."""
    return hosts(MOST_HOSTS, lab)


def host_named(name: str, among: list[LabHost]) -> LabHost:
    """Return the host with a name; raise UsageError with the existing names."""
    for host in among:
        if host.name == name:
            return host
    title = among[0].lab.title if among else DEFAULT.title
    raise UsageError(
        f"no host {name!r} in {title}", remedy=f"its hosts are {', '.join(h.name for h in among)}"
    )
