"""Link-reset: nodes reset the connections of Erlang's distribution, once and at the same instant.

TCP survives packets that are dropped for some milliseconds, so a short loss of the link needs a
reset. Both nodes of a link reset it, and then refuse new connections for at least `blip-ms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis import iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Fault, Hosts
from jepsenvm.nemesis.request import NemesisSpec

_BLIP: Final = "blip-ms"


class LinkReset(Fault):
    """Reset the distribution's connections with the nodes in each node's grudge.

    It is in no mix, because not every kernel closes sockets on request. The fault is healed when
    each link has a new connection. Whether the cluster recovers as well is for the recovery to find
    out: a node that RabbitMQ leaves partitioned is no fault that is still in force.
    """

    kind = "link-reset"
    compares = True
    stops_load = "never"
    lasting = False
    heals_s = 60.0

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that resets the links of a node."""
        return {
            "link-reset": NemesisSpec(
                about="resets the connections of Erlang's distribution between a node and all"
                " others once, and refuses new ones for `blip-ms`",
                draw=cls.on_links,
                takes="nodes",
                settings={_BLIP: 5},
                # A longer blip could hide what the probes of other faults look for.
                bounds={_BLIP: (5, 1000)},
            )
        }

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Refuse new connections with the peers, close the established ones, and wait."""
        peers = sorted(self.grudge.get(node, ()))
        if not peers:
            return []
        own_port = hosts[node].distribution_port
        links = [
            (address, hosts[peer].distribution_port)
            for peer in peers
            for address in hosts[peer].addresses
        ]
        script = f"""accept() {{
{iptables.remove(fault_id).stdin}
}}
trap accept EXIT
{_refuse(fault_id, links, own_port)}
{_kill(links, own_port)}
sleep {float(self.settings[_BLIP]) / 1000:.3f}"""
        return [shell(script)]

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the fault's chain, which is left only if the injection was killed."""
        return [iptables.remove(fault_id)] if self.grudge.get(node) else []

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the distribution's connections."""
        return ("distribution",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link that had no connection before, or still has one from before."""
        others = concurrent | ConcurrentFaults.of(before)
        for link in self._links():
            if _is_hidden(link, others):
                continue
            earlier, now = _connections(before, link), _connections(during, link)
            if earlier is None or now is None:
                yield f"the connections between {' and '.join(link)} were {UNMEASURED}"
            elif not earlier[0] & earlier[1]:
                yield f"{' and '.join(link)} had no connection before the fault"
            elif alive := earlier[0] & earlier[1] & (now[0] | now[1]):
                yield f"{' and '.join(link)} still have the connection {min(alive)}"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link without a connection at both ends."""
        others = concurrent | ConcurrentFaults.of(before)
        for link in self._links():
            if _is_hidden(link, others):
                continue
            now = _connections(after, link)
            if now is None:
                yield f"the connections between {' and '.join(link)} were {UNMEASURED}"
            elif not now[0] & now[1]:
                yield f"{' and '.join(link)} have no new connection"

    def requirements(self) -> tuple[str, ...]:
        """Return a kernel that closes sockets on request, and iptables for both versions of IP."""
        return ("socket-kill", "iptables", "ip6tables")

    def hidden_by(self, concurrent: ConcurrentFaults) -> bool:
        """Return whether other faults hide every link.

        A lossy or slow link is no excuse: each end of it closes its own socket.
        """
        return all(_is_hidden(link, concurrent) for link in self._links())

    def hides(self) -> ConcurrentFaults:
        """Return no effects: other faults are probed for longer than a blip lasts."""
        return ConcurrentFaults()

    def _links(self) -> Sequence[tuple[str, str]]:
        """Return each link of the grudge once."""
        return sorted((a, b) for a, b in cut_pairs(self.grudge) if a < b)


def _refuse(fault_id: str, links: Sequence[tuple[str, int]], own_port: int) -> str:
    """Return the script that answers packets of the distribution with a reset.

    Resets themselves pass: they close the connection at the peer's end.
    """
    put = []
    for version in sorted({ip_address(address).version for address, _ in links}):
        rules = [
            f"-s {address} -p tcp {ports} ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"
            for address, port in links
            if ip_address(address).version == version
            for ports in (f"--dport {own_port}", f"--sport {port}")
        ]
        (action,) = iptables.put(fault_id, rules, [version])
        put.append(f"{' '.join(action.argv)} <<'RULES'\n{action.stdin}RULES")
    return "\n".join(put)


def _kill(links: Sequence[tuple[str, int]], own_port: int) -> str:
    """Return the command that closes the established connections with peers, at both ends."""
    matches = " or ".join(
        f"( dst {_quoted(address)} and ( dport = :{port} or sport = :{own_port} ) )"
        for address, port in links
    )
    return f"ss --kill --tcp --numeric state established '{matches}' >/dev/null"


def _quoted(address: str) -> str:
    """Return an address as ss reads it."""
    return f"[{address}]" if ip_address(address).version == 6 else address


def _is_hidden(link: tuple[str, str], concurrent: ConcurrentFaults) -> bool:
    """Return whether another fault may keep the nodes of a link from having a connection."""
    return concurrent.silences(*link) or bool(set(link) & concurrent.mute)


def _connections(
    evidence: Evidence, link: tuple[str, str]
) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return the connections of a link as each of its nodes lists them; None if one was not asked.

    Connections that only one node lists are half closed, or belong to rabbitmqctl.
    """
    answers: Mapping[str, Any] = evidence["distribution"]
    first, second = link
    if answers.get(first) is None or answers.get(second) is None:
        return None
    return (
        frozenset(answers[first].get(second, ())),
        frozenset(answers[second].get(first, ())),
    )
