"""Fakes for unit tests: a fleet without SSH, a clock without waiting, faults without effects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from jepsenvm.errors import JepsenvmError, RunError, UnreachableError
from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.host import Host
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.machines.power import Power
from jepsenvm.machines.remote import cluster_lock as remote_lock
from jepsenvm.machines.ssh import Fleet, LaterInput, Output
from jepsenvm.nemesis.clock import Clock
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.request import NemesisSpec

NODES = ("n1", "n2", "n3")


def node(name: str) -> Node:
    """Return a node that has no real host."""
    return Node(
        name=name,
        ssh_host="192.0.2.1",
        ssh_port=22,
        ssh_user="root",
        ssh_key=None,
        known_hosts=None,
        become_password=None,
        cluster_address=f"192.0.2.1{name[1:]}",
        amqp_host="192.0.2.1",
        amqp_port=5672,
        broker=f"rabbit@{name}",
    )


def facts(*names: str) -> dict[str, Facts]:
    """Return facts about nodes whose clocks agree with this machine's."""
    return {
        name: Facts(
            host=Host((f"192.0.2.1{name[1:]}",), "192.0.2.254", 22, f"rabbit@{name}"),
            global_addresses=(f"192.0.2.1{name[1:]}",),
            clock_offset=0.0,
            missing=(),
        )
        for name in names
    }


class FakeClock(Clock):
    """A clock that moves only when somebody sleeps or reads the monotonic clock."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        # Polling until a deadline must come to an end.
        self.now += 0.1
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


def _told(later: LaterInput) -> Any:
    """Return what a program is told when it and all the others are ready."""
    later.ready()
    while (message := later.message()) is None:
        time.sleep(0.001)
    if not message:
        raise RunError("it was not told to begin")
    return json.loads(message)


class FakeFleet(Fleet):
    """A fleet that records what it is told. Nodes in ``broken`` raise UnreachableError."""

    def __init__(self, *names: str, clock: Clock | None = None) -> None:
        self.patience = 1.0
        self.nodes = {name: node(name) for name in names or NODES}
        self.clock = clock or FakeClock()
        self.scripts: list[tuple[str, str]] = []
        """Node and shell script of each ``run``."""
        self.orders: list[tuple[str, str, Mapping[str, Any]]] = []
        """Node, program and order of each ``python``, with what it was told later."""
        self.forgotten: list[str] = []
        self.broken: set[str] = set()
        self.outputs: dict[str, str] = {}
        """The standard output of ``run`` by node."""

    def run(
        self,
        node: str,
        script: str,
        *,
        timeout: float = 30,
        stdin: str = "",
        later: LaterInput | None = None,
        check: bool = True,
    ) -> Output:
        self._require_answer(node)
        self.scripts.append((node, script))
        return Output(self.outputs.get(node, ""), "", 0)

    def python(
        self,
        node: str,
        program: str,
        order: Mapping[str, Any] | None = None,
        timeout: float = 30,
        later: LaterInput | None = None,
    ) -> Any:
        self._require_answer(node)
        received = dict(order or {})
        self.orders.append((node, program, received))
        if later:
            received |= _told(later)
        offset = int(node[1:]) / 1000
        return {"fired": received.get("at", 0.0) + offset}

    def forget(self, node: str) -> None:
        self.forgotten.append(node)

    def close(self) -> None: ...

    def _require_answer(self, node: str) -> None:
        if node in self.broken:
            raise UnreachableError("no answer", node=node)


class LockedHosts:
    """The locks of hosts, kept in a folder by the program that hosts run.

    ``ask`` stands for ``cluster_lock._ask``. Hosts in ``silent`` do not answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.silent: set[str] = set()
        self.orders: list[tuple[str, str]] = []
        """Host and act of each order."""

    def file(self, host: str) -> Path:
        return self.folder / f"{host}.lock"

    def ask(self, _fleet: object, host: str, order: Mapping[str, Any]) -> Any:
        self.orders.append((host, order["act"]))
        if host in self.silent:
            raise UnreachableError("no answer", node=host)
        acts: Mapping[str, Any] = {
            "take": remote_lock.take,
            "release": remote_lock.release,
            "read": remote_lock.read,
        }
        return json.loads(json.dumps(acts[order["act"]](self.file(host), dict(order))))

    def held(self) -> dict[str, str]:
        """Return the purpose of the owner of each host that is locked."""
        hosts = sorted(file.name.removesuffix(".lock") for file in self.folder.glob("*.lock"))
        answers = {host: remote_lock.read(self.file(host), {})["owner"] for host in hosts}
        return {host: owner["purpose"] for host, owner in answers.items() if owner}

    def occupy(self, owner: LockOwner, *hosts: str, lease: float = 60.0) -> None:
        """Let an owner take these hosts."""
        for host in hosts:
            remote_lock.take(self.file(host), {"owner": owner.as_data(), "lease": lease})


def elsewhere(purpose: str = "run", **changes: Any) -> LockOwner:
    """Return an owner on another machine."""
    owner = LockOwner.of_this_process(purpose)
    changes = {"machine": "another", "user": "alice", "host": "laptop", **changes}
    return replace(owner, **changes)


@dataclass
class FakePower:
    """The power of fake hosts."""

    events: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def power(self) -> Power:
        """Return the switch."""
        return Power(cut=self._cut, lose=self._lose, on=self._on, is_off=lambda _node: False)

    def _cut(self, node: str, seconds: float) -> None:
        self.events.append(f"cut {node}, on {seconds:g} s after this process")

    def _lose(self, node: str, seconds: float) -> None:
        self.events.append(f"lose {node}, on {seconds:g} s after this process")

    def _on(self, node: str) -> None:
        if node in self.broken:
            raise JepsenvmError("does not boot", node=node)
        self.events.append(f"on {node}")


@dataclass
class ScriptedProbe:
    """Answers probes from a script: a value for each call, the last one again and again."""

    values: list[Any]
    seconds: float = 0.0
    """Seconds of the clock that each call takes."""
    clock: FakeClock = field(default_factory=FakeClock)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, names: Sequence[str]) -> Evidence:
        value = self.values[min(len(self.calls), len(self.values) - 1)]
        self.calls.append(tuple(names))
        self.clock.sleep(self.seconds)
        return dict.fromkeys(names, value)


class FakeFault(Fault):
    """A fault whose probe says "whole" before and after it and "broken" while it is in force."""

    kind: ClassVar[str] = "fake"
    stops_load = "on-all-nodes"

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        return {"fake": NemesisSpec(about="breaks nothing", draw=cls.on_victims, takes="nodes")}

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        return [shell(f"break {fault_id}")] if node in self.nodes else []

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        return [shell(f"mend {fault_id}")] if node in self.nodes else []

    def probes(self) -> tuple[str, ...]:
        return ("fake",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        if before["fake"] != "whole":
            yield "it was broken before"
        if during["fake"] != "broken":
            yield f"the probe says {during['fake']}"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        if after["fake"] != "whole":
            yield f"the probe still says {after['fake']}"

    def stops_all_load(self, all_nodes: Collection[str]) -> bool:
        return set(self.nodes) == set(all_nodes)


class MomentaryFault(FakeFault):
    """A fault that is over at once."""

    lasting = False


class MutingFault(FakeFault):
    """A fault that disturbs the broker, and so hides other faults of the same nodes."""

    disturbs_broker = True


class PowerFault(FakeFault):
    """A fault for the machine provider."""

    powers_off = True


class LossFault(PowerFault):
    """A fault for which nodes act before the machine provider does."""

    loses_unsynced = True


def verifier(*answers: list[str]) -> Callable[..., Iterator[str]]:
    """Return a verify function that yields each answer in turn, the last one again and again."""
    remaining = list(answers)

    def verify(*_arguments: object) -> Iterator[str]:
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        yield from answer

    return verify
