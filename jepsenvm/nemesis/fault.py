"""The base class of every fault: its data, and how it is drawn, injected, healed and verified.

A new fault is one file in ``nemesis/faults`` and one entry in ``nemesis/registry``. No method of a
fault touches a host. The methods return actions and judge evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Self

from jepsenvm.machines.action import Action
from jepsenvm.machines.host import Host
from jepsenvm.machines.reachability import Grudge, cut_pairs, leaves_a_majority
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.grudge import isolate, random_minority, shuffled
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage, whole

Evidence = Mapping[str, Any]
"""Results by the names of the probes (``nemesis.probes``). The history stores them as JSON."""

UNMEASURED: Final = "not measured"
"""What a reason says of a node or link that a probe did not measure."""

Hosts = Mapping[str, Host]

Role = Literal["leader", "followers", "replica"]
"""The nodes a fault is about when they are known only at the moment of injection."""


StopsLoad = Literal["never", "on-all-nodes", "without-majority", "always"]
"""When no publisher can expect a confirm while a fault is in force.

- ``never``: publishers go on, perhaps slowly, even if the fault acts on every node;
- ``on-all-nodes``: the nodes of the fault confirm nothing, so nothing is confirmed if it acts on
  every node;
- ``without-majority``: nothing is confirmed if no majority of the nodes stays connected;
- ``always``: the fault blocks the publishers of every node, even if it acts on one.
"""


@dataclass(frozen=True)
class Fault:
    """One fault on certain nodes. Each subclass is one kind of fault."""

    kind: ClassVar[str]
    """The name of the kind, as stored in histories and listed in `allowed_faults`."""
    stops_load: ClassVar[StopsLoad]
    """When no publisher can expect a confirm. Each kind declares it in its own file.

    A fault that does not stop all load, but met none, tested nothing: the verdict is unknown.
    """
    sweep: ClassVar[str] = ""
    """A shell script that removes all faults of this kind and prints what it removed."""
    settles_s: ClassVar[float] = 3.0
    """Seconds within which the fault must be seen in force."""
    heals_s: ClassVar[float] = 20.0
    """Seconds within which it must be seen healed."""
    lasting: ClassVar[bool] = True
    """Whether it stays in force until it is healed. Otherwise it is over at once."""
    one_at_a_time: ClassVar[bool] = False
    """Whether a fault of this kind waits until the one before it was seen healed."""
    isolates_nodes: ClassVar[bool] = False
    """Whether its grudge separates nodes. Otherwise the grudge names lossy or slow links."""
    disturbs_broker: ClassVar[bool] = False
    """Whether the broker stops or restarts, which hides other faults of the same broker."""
    compares: ClassVar[bool] = False
    """Whether its evidence is a difference to the evidence from before, link by link."""
    on_each_node: ClassVar[bool] = False
    """Whether it must be seen on each of its nodes, also on those that other faults hide."""
    powers_off: ClassVar[bool] = False
    """Whether the machine provider cuts and restores the power; no action on the host can."""
    loses_unsynced: ClassVar[bool] = False
    """Whether the host also loses what RabbitMQ had not synced. Its nodes act just before it."""
    stops_replicas: ClassVar[bool] = False
    """Whether a queue confirms nothing if all of its replicas are on the fault's nodes."""
    endangers_s: ClassVar[float | None] = None
    """Seconds before the fault in which something must have been acknowledged, or there was nothing
    that the fault could lose. None: the fault is not about what was acknowledged just before it."""
    queue_types: ClassVar[tuple[str, ...]] = ()
    """The queue types that it applies to; all if empty."""

    name: str = ""
    """The nemesis that drew it."""
    text: str = ""
    """The nodes it touches, for people."""
    nodes: tuple[str, ...] = ()
    """The nodes it acts on. With a role: all nodes, in the order in which followers are chosen."""
    grudge: Grudge = field(default_factory=dict)
    """node -> nodes whose packets it drops, loses or slows; empty for other faults."""
    settings: Mapping[str, float | str] = field(default_factory=dict)
    role: Role | None = None

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that draw this kind of fault, by name."""
        raise NotImplementedError

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions of one node that inject the fault; none if the node is not affected.

        ``fault_id`` names the fault's files, chains and units on the node.
        """
        raise NotImplementedError

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions of one node that heal the fault; none if the fault ends by itself."""
        return ()

    def probes(self) -> tuple[str, ...]:
        """Return the names of the probes (``nemesis.probes``) that show the fault."""
        raise NotImplementedError

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each reason why the fault is not proven to be in force; nothing when it is."""
        raise NotImplementedError

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each effect of the fault that is left after healing; nothing when it is gone."""
        raise NotImplementedError

    def requirements(self) -> tuple[str, ...]:
        """Return the capabilities (``nemesis.requirements``) that the affected nodes need."""
        return ()

    def hidden_by(self, concurrent: ConcurrentFaults) -> bool:
        """Return whether other faults hide this one. Evidence then counts only at another time."""
        cut = cut_pairs(self.grudge)
        if cut:
            return all(concurrent.explains(source, target) for source, target in cut)
        return bool(self.nodes) and set(self.nodes) <= concurrent.off | concurrent.mute

    def silences_links(self) -> bool:
        """Return whether a probe over a link of the grudge may get no answer at all."""
        return self.isolates_nodes

    def hides(self) -> ConcurrentFaults:
        """Return the effects of this fault on the evidence about other faults."""
        links = cut_pairs(self.grudge)
        silent = self.silences_links()
        return ConcurrentFaults(
            cut=links if silent else frozenset(),
            rough=frozenset() if silent else links,
            off=frozenset(self.nodes) if self.powers_off else frozenset(),
            mute=frozenset(self.nodes) if self.disturbs_broker else frozenset(),
        )

    def stops_all_load(self, all_nodes: Collection[str]) -> bool:
        """Return whether no publisher can expect a confirm while the fault is in force.

        ``all_nodes`` are the nodes of the cluster. The kind's ``stops_load`` decides.
        """
        if self.stops_load == "on-all-nodes":
            return self.affects_all(all_nodes)
        if self.stops_load == "without-majority":
            return not leaves_a_majority(self.grudge, all_nodes)
        return self.stops_load == "always"

    def resolve(self, leader: str, replicas: Collection[str] = ()) -> Self:
        """Return the fault with its role replaced by nodes; the fault itself if it has no role.

        ``leader`` leads the run's queue. ``replicas`` are the nodes with a replica of it, including
        the leader; all nodes if empty.
        """
        return self

    def without_power(self) -> Fault:
        """Return the fault on hosts that no machine provider can switch off and on."""
        return self

    def affects_all(self, all_nodes: Collection[str]) -> bool:
        """Return whether the fault acts on every node of the cluster."""
        return set(all_nodes) <= set(self.nodes)

    def nodes_with_replica(self, replicas: Collection[str]) -> list[str]:
        """Return the nodes of the fault with a replica, in order; all nodes for no replicas."""
        return [node for node in self.nodes if node in (replicas or self.nodes)]

    def peer_addresses(self, node: str, hosts: Hosts) -> list[str]:
        """Return every address of the nodes in one node's grudge."""
        peers = sorted(self.grudge.get(node, ()))
        return [address for peer in peers for address in hosts[peer].addresses]

    def describe(self) -> str:
        """Return the fault in one line, such as ``partition-random-halves {n1 n2 | n3 n4 n5}``."""
        return f"{self.name} {{{self.text}}}"

    def as_data(self) -> Mapping[str, object]:
        """Return JSON-able data for the history; ``registry.fault_from_data`` reads it back."""
        grudge = {node: sorted(sources) for node, sources in sorted(self.grudge.items())}
        return {
            "kind": self.kind,
            "name": self.name,
            "text": self.text,
            "nodes": list(self.nodes),
            "grudge": grudge,
            "settings": dict(self.settings),
        }

    # Draws that several kinds share. Each is a building block of ``NemesisSpec.draw``.

    @classmethod
    def on_victims(cls, request: FaultRequest, **fixed: str) -> tuple[Stage, ...]:
        """Draw the fault on the chosen nodes, or on one random node. ``fixed`` adds settings."""
        settings: dict[str, float | str] = {**fixed, **request.settings}
        victims = victims_of(request)
        text = " ".join(victims) + settings_text(settings)
        return whole(cls(text=text, nodes=victims, settings=settings))

    @classmethod
    def on_all_nodes(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the fault on every node."""
        nodes = tuple(sorted(request.nodes))
        return whole(cls(text=" ".join(nodes), nodes=nodes))

    @classmethod
    def on_clients(cls, request: FaultRequest, way: str) -> tuple[Stage, ...]:
        """Draw the fault on the clients of the chosen nodes, or of a random minority."""
        victims = tuple(sorted(request.victims)) or random_minority(request.nodes, request.random)
        text = f"clients of {' '.join(victims)}"
        return whole(cls(text=text, nodes=victims, settings={"way": way}))

    @classmethod
    def on_role(cls, request: FaultRequest, role: Role, text: str) -> tuple[Stage, ...]:
        """Draw the fault on nodes with a role. ``resolve`` finds them before the injection."""
        return whole(
            cls(text=text, nodes=tuple(shuffled(request.nodes, request.random)), role=role)
        )

    @classmethod
    def on_links(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the fault on the links between the victims and all other nodes."""
        victims = victims_of(request)
        grudge = isolate(victims, request.nodes)
        fault = cls.from_grudge(" ".join(victims), grudge, request.settings)
        return whole(replace(fault, nodes=victims))

    @classmethod
    def from_grudge(
        cls, text: str, grudge: Grudge, settings: Mapping[str, float | str] | None = None
    ) -> Self:
        """Return the fault with a grudge. It acts on the nodes that have something to drop."""
        settings = dict(settings or {})
        nodes = tuple(sorted(node for node, sources in grudge.items() if sources))
        return cls(
            text=text + settings_text(settings), nodes=nodes, grudge=grudge, settings=settings
        )


def victims_of(request: FaultRequest) -> tuple[str, ...]:
    """Return the chosen nodes in order, or one random node."""
    return tuple(sorted(request.victims)) or (request.random.choice(request.nodes),)


def settings_text(settings: Mapping[str, float | str]) -> str:
    """Return the numbers among the settings as text that follows the nodes of a fault."""
    numbers = {key: value for key, value in settings.items() if not isinstance(value, str)}
    return "".join(f", {key} {value:g}" for key, value in numbers.items())
