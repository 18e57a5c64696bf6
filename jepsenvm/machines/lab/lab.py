"""A lab as a whole: up, down, status, and the power of its hosts.

Every function takes the name of the lab. A name that no lab can have raises UsageError.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.lab import container, inventory, keys, network, registry, state
from jepsenvm.machines.lab.base import discard_half_built, ensured_base
from jepsenvm.machines.lab.locks import one_at_a_time
from jepsenvm.machines.lab.machine import (
    require_disk_space,
    require_free_subnet,
    require_programs,
    require_root,
)
from jepsenvm.machines.lab.mounts import remove_tree
from jepsenvm.machines.lab.names import DEFAULT_NAME, require_name
from jepsenvm.machines.lab.registry import lab_named
from jepsenvm.machines.lab.state import State
from jepsenvm.machines.lab.suites import distribution_of
from jepsenvm.machines.lab.topology import (
    MOST_HOSTS,
    Lab,
    LabHost,
    every_possible_host,
    host_named,
    hosts,
    preferred,
)

logger = logging.getLogger(__name__)

DEFAULT_NODES = 5
DEFAULT_SUITE = "bookworm"


@dataclass(frozen=True)
class HostStatus:
    """The status of one host."""

    name: str
    address: str
    pid: int | None
    running: bool
    ssh: bool


def up(nodes: int = DEFAULT_NODES, suite: str = DEFAULT_SUITE, name: str = DEFAULT_NAME) -> Path:
    """Start a lab, or those of its hosts that are off; return the path of its inventory."""
    require_name(name)
    distribution_of(suite)
    if not 1 <= nodes <= MOST_HOSTS:
        raise UsageError(f"the lab cannot have {nodes} hosts", remedy=f"choose 1 to {MOST_HOSTS}")
    require_root()
    require_programs()
    with one_at_a_time(name):
        lab = lab_named(name)
        existing = state.read(lab)
        if existing is None:
            _create(lab, nodes, suite)
        else:
            _complete(lab, existing, nodes, suite)
    return lab.inventory


def down(name: str = DEFAULT_NAME) -> None:
    """Remove a lab, in any state. The cached base stays, and so does every other lab."""
    require_name(name)
    require_root()
    with one_at_a_time(name):
        lab = lab_named(name)
        if lab.folder.exists():
            logger.info(f"taking {lab.title} down ...")
        _discard(lab)


def status(name: str = DEFAULT_NAME) -> list[HostStatus]:
    """Return the status of each host; empty if the lab is down."""
    found = []
    for host in _hosts(name):
        pid = container.supervisor(host)
        ssh = pid is not None and container.answers_ssh(host)
        found.append(HostStatus(host.name, host.address, pid, pid is not None, ssh))
    return found


def hosts_off(name: str = DEFAULT_NAME) -> list[str]:
    """Return the names of a lab's hosts that are off; none if the lab is down."""
    return [host.name for host in _hosts(name) if container.supervisor(host) is None]


def is_off(node: str, name: str = DEFAULT_NAME) -> bool:
    """Return whether a host of a lab exists and is off."""
    return node in hosts_off(name)


def size(name: str = DEFAULT_NAME) -> tuple[int, str] | None:
    """Return the number of hosts and the suite of a lab; None if the lab is down."""
    lab = preferred(name)
    if lab.folder.exists():
        require_root()  # only root can read the folder
    existing = state.read(lab)
    return (existing.nodes, existing.suite) if existing else None


def is_up(name: str = DEFAULT_NAME) -> bool:
    """Return whether a lab exists and all its hosts run."""
    found = status(name)
    return bool(found) and all(host.running for host in found)


def inventory_path(name: str = DEFAULT_NAME) -> Path:
    """Return the path of a lab's inventory while the lab is up."""
    return preferred(name).inventory


def start_command(name: str = DEFAULT_NAME) -> str:
    """Return the command that starts the hosts of a lab that are off."""
    command = preferred(name).command("up")
    nodes, suite = size(name) or (DEFAULT_NODES, DEFAULT_SUITE)
    if nodes != DEFAULT_NODES:
        command += f" --nodes {nodes}"
    if suite != DEFAULT_SUITE:
        command += f" --suite {suite}"
    return command


def ssh_argv(node: str, command: list[str], name: str = DEFAULT_NAME) -> list[str]:
    """Return the command line that runs a command on a host, or a shell without a command.

    As with ssh itself, the words are joined with blanks and read by the host's shell.
    """
    return keys.ssh_argv(_host(node, name), command)


def power_cut(node: str, name: str = DEFAULT_NAME) -> None:
    """Kill all processes of a host at once. Its disk keeps what was written."""
    container.cut(_host(node, name))


def power_loss(node: str, name: str = DEFAULT_NAME) -> None:
    """Kill all processes of a host at once. Its RabbitMQ loses what it had not synced."""
    container.cut_unsynced(_host(node, name))


def power_on(node: str, name: str = DEFAULT_NAME) -> None:
    """Boot a host whose power was cut, and wait until it answers."""
    host = _host(node, name)
    existing = _existing(host.lab)
    with one_at_a_time(name):
        _boot([host], Path(existing.base))


def _create(lab: Lab, nodes: int, suite: str) -> None:
    if lab.folder.exists():
        logger.info("removing an incomplete lab ...")
    _discard(lab)
    require_disk_space()
    registry.require_subnet(lab.name)  # before a base is built
    started = time.monotonic()
    with ensured_base(suite) as base:
        # From here on the lab exists, so the base stays.
        lab = registry.reserve(lab.name)
    members = hosts(nodes, lab)
    for host in members:
        container.prepare(host)
    keys.make_keys(lab, members)
    network.create(lab, members)
    _boot(members, base)
    inventory.write(lab, members, suite)
    state.write(lab, State(suite, nodes, str(base)))
    spent = time.monotonic() - started
    logger.info(f"{lab.title} is up: {nodes} hosts of {suite}, {spent:.0f} s")


def _complete(lab: Lab, existing: State, nodes: int, suite: str) -> None:
    if (existing.suite, existing.nodes) != (suite, nodes):
        raise UsageError(
            f"{'a lab' if lab.is_default else lab.title} of {existing.nodes} hosts of "
            f"{existing.suite} is up, and you asked for {nodes} of {suite}",
            remedy=f"take it down first with `{lab.command('down')}`",
        )
    members = hosts(nodes, lab)
    if not network.is_whole(lab, members):
        # This machine was restarted, or a part was removed. No host runs without its network.
        require_free_subnet(lab)
        for host in members:
            container.cut(host)
        network.remove(lab)
        network.create(lab, members)
    _boot(members, Path(existing.base))
    logger.info(f"{lab.title} is up: {nodes} hosts of {suite}")


def _boot(members: list[LabHost], base: Path) -> None:
    missing = [host for host in members if container.supervisor(host) is None]
    if missing:
        logger.info(f"powering on {', '.join(host.name for host in missing)} ...")
    for host in missing:
        container.start(host, base)
    container.wait_until_ready(members)


def _discard(lab: Lab) -> None:
    for host in every_possible_host(lab):
        container.cut(host)
    # A lab whose removal is killed is incomplete.
    lab.state.unlink(missing_ok=True)
    # Before the folder, which reserves the subnet: no other lab gets a subnet in use.
    network.remove(lab)
    remove_tree(lab.folder)
    registry.remove_empty_parent()
    discard_half_built()


def _existing(lab: Lab) -> State:
    existing = state.read(lab)
    if existing is None:
        raise UsageError(f"{lab.title} is down", remedy=f"bring it up with `{lab.command('up')}`")
    return existing


def _hosts(name: str) -> list[LabHost]:
    """Return the hosts of a lab; none if it is down."""
    require_root()
    return state.hosts_of(lab_named(name))


def _host(node: str, name: str) -> LabHost:
    require_root()
    lab = lab_named(name)
    _existing(lab)
    return host_named(node, state.hosts_of(lab))
