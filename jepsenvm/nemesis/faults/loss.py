"""Loss: a share of the packets between nodes is dropped at random, by iptables' statistic match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jepsenvm.machines.action import Action
from jepsenvm.machines.reachability import Grudge
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.faults.partition import addresses, heal
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind

MOST_HEARD_PERCENT: Final = 50.0
"""Up to so much loss, a probe of several packets to several ports is still answered for all but certain."""


def inject(fault: Fault, number: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Drop ``percent`` of what comes from those in the node's grudge."""
    share = float(fault.settings["percent"]) / 100
    match = f"-m statistic --mode random --probability {share:.6f} "
    return chain.drop(number, addresses(fault.grudge, node, hosts), match)


def lost_share(
    datagrams: Mapping[str, Any], grudge: Grudge, around: ConcurrentFaults
) -> float | None:
    """Return which share of the datagrams was lost on the links of a grudge; None when none could be seen."""
    sent = lost = 0
    for node, sources in grudge.items():
        answer = datagrams.get(node)
        for source in sources:
            if answer is None or around.explains(source, node):
                continue
            sent += answer["sent"]
            lost += answer["sent"] - answer["heard"].get(source, {}).get("count", 0)
    return lost / sent if sent else None


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield when less than a third of the asked share is lost, or when as much was lost before."""
    asked = float(fault.settings["percent"]) / 100
    known = around | ConcurrentFaults.of(before)
    if known.hides(fault):
        return
    earlier, now = (
        lost_share(sights["datagrams"], fault.grudge, known) for sights in (before, during)
    )
    if now is None or earlier is None:
        yield "no datagrams could be counted"
    elif now < asked / 3 or now <= earlier:
        yield f"{now:.0%} of the datagrams are lost, {earlier:.0%} were before, and {asked:.0%} was asked for"


def leftovers(
    fault: Fault, before: Evidence, after: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield when more is lost than before, but for one in a hundred."""
    earlier, now = (
        lost_share(sights["datagrams"], fault.grudge, around) for sights in (before, after)
    )
    if now is None or now > (earlier or 0) + 0.01:
        yield f"{now or 1:.0%} of the datagrams are still lost"


KIND = Kind(
    inject,
    heal,
    lambda _: ("datagrams",),
    doubts,
    leftovers,
    needs=lambda _: ("iptables", "ip6tables", "statistic"),
    silences=lambda fault: float(fault.settings["percent"]) > MOST_HEARD_PERCENT,
)
