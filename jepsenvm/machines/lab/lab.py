"""The lab as a whole: up, down, status, and the power of its hosts."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.lab import container, inventory, keys, network
from jepsenvm.machines.lab.base import discard_half_built, ensure_base
from jepsenvm.machines.lab.machine import (
    one_at_a_time,
    require_disk_space,
    require_free_subnet,
    require_programs,
    require_root,
)
from jepsenvm.machines.lab.mounts import remove_tree
from jepsenvm.machines.lab.suites import distribution_of
from jepsenvm.machines.lab.topology import (
    INVENTORY,
    LAB,
    MOST_HOSTS,
    STATE,
    LabHost,
    every_possible_host,
    host_named,
    hosts,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """The result of a finished `up`. It is written last: a lab without it is incomplete."""

    suite: str
    nodes: int
    base: str


@dataclass(frozen=True)
class HostStatus:
    """The status of one host."""

    name: str
    address: str
    pid: int | None
    running: bool
    ssh: bool


def up(nodes: int = 5, suite: str = "bookworm") -> Path:
    """Start the lab, or those of its hosts that are off; return the path of its inventory."""
    distribution_of(suite)
    if not 1 <= nodes <= MOST_HOSTS:
        raise UsageError(f"the lab cannot have {nodes} hosts", remedy=f"choose 1 to {MOST_HOSTS}")
    require_root()
    require_programs()
    with one_at_a_time():
        state = _state()
        if state is None:
            _create(nodes, suite)
        else:
            _complete(state, nodes, suite)
    return INVENTORY


def down() -> None:
    """Remove the lab, in any state. The cached base stays."""
    require_root()
    with one_at_a_time():
        if LAB.exists():
            logger.info("taking the lab down ...")
        _discard()


def status() -> list[HostStatus]:
    """Return the status of each host; empty if the lab is down."""
    require_root()
    found = []
    for host in _hosts_of(_state()):
        pid = container.supervisor(host)
        ssh = pid is not None and container.answers_ssh(host)
        found.append(HostStatus(host.name, host.address, pid, pid is not None, ssh))
    return found


def hosts_off() -> list[str]:
    """Return the names of the lab's hosts that are off; none if the lab is down."""
    require_root()
    return [host.name for host in _hosts_of(_state()) if container.supervisor(host) is None]


def is_off(node: str) -> bool:
    """Return whether a host of the lab exists and is off."""
    return node in hosts_off()


def size() -> tuple[int, str] | None:
    """Return the number of hosts and the suite of the lab; None if the lab is down."""
    if LAB.exists():
        require_root()  # only root can read the folder
    state = _state()
    return (state.nodes, state.suite) if state else None


def is_up() -> bool:
    """Return whether the lab exists and all its hosts run."""
    found = status()
    return bool(found) and all(host.running for host in found)


def inventory_path() -> Path:
    """Return the path of the inventory while the lab is up."""
    return INVENTORY


def ssh_argv(node: str, command: list[str]) -> list[str]:
    """Return the command line that runs a command on a host, or a shell without a command.

    As with ssh itself, the words are joined with blanks and read by the host's shell.
    """
    return keys.ssh_argv(_host(node), command)


def power_cut(node: str) -> None:
    """Kill all processes of a host at once. Its disk keeps what was written."""
    container.cut(_host(node))


def power_loss(node: str) -> None:
    """Kill all processes of a host at once. Its RabbitMQ loses what it had not synced."""
    container.cut_unsynced(_host(node))


def power_on(node: str) -> None:
    """Boot a host whose power was cut, and wait until it answers."""
    host, state = _host(node), _existing()
    with one_at_a_time():
        _boot([host], Path(state.base))


def _create(nodes: int, suite: str) -> None:
    if LAB.exists():
        logger.info("removing an incomplete lab ...")
    _discard()
    require_disk_space()
    require_free_subnet()
    started = time.monotonic()
    base = ensure_base(suite)
    members = hosts(nodes)
    LAB.mkdir(parents=True, mode=0o700)
    for host in members:
        container.prepare(host)
    keys.make_keys(members)
    network.create(members)
    _boot(members, base)
    inventory.write(members, suite)
    _remember(State(suite, nodes, str(base)))
    logger.info(f"the lab is up: {nodes} hosts of {suite}, {time.monotonic() - started:.0f} s")


def _complete(state: State, nodes: int, suite: str) -> None:
    if (state.suite, state.nodes) != (suite, nodes):
        raise UsageError(
            f"a lab of {state.nodes} hosts of {state.suite} is up, "
            f"and you asked for {nodes} of {suite}",
            remedy="take it down first with `jepsenvm lab down`",
        )
    members = hosts(nodes)
    if not network.is_whole(members):
        # This machine was restarted, or a part was removed. No host runs without its network.
        for host in members:
            container.cut(host)
        network.remove()
        network.create(members)
    _boot(members, Path(state.base))
    logger.info(f"the lab is up: {nodes} hosts of {suite}")


def _boot(members: list[LabHost], base: Path) -> None:
    missing = [host for host in members if container.supervisor(host) is None]
    if missing:
        logger.info(f"powering on {', '.join(host.name for host in missing)} ...")
    for host in missing:
        container.start(host, base)
    container.wait_until_ready(members)


def _discard() -> None:
    for host in every_possible_host():
        container.cut(host)
    remove_tree(LAB)
    # A disk that the user mounted there stays.
    if LAB.parent.exists() and not LAB.parent.is_mount() and not any(LAB.parent.iterdir()):
        LAB.parent.rmdir()
    network.remove()
    discard_half_built()


def _state() -> State | None:
    return State(**json.loads(STATE.read_text())) if STATE.exists() else None


def _remember(state: State) -> None:
    half = STATE.with_suffix(".new")
    half.write_text(json.dumps(asdict(state)))
    half.rename(STATE)


def _existing() -> State:
    state = _state()
    if state is None:
        raise UsageError("the lab is down", remedy="bring it up with `jepsenvm lab up`")
    return state


def _hosts_of(state: State | None) -> list[LabHost]:
    return hosts(state.nodes) if state else []


def _host(node: str) -> LabHost:
    require_root()
    return host_named(node, _hosts_of(_existing()))
