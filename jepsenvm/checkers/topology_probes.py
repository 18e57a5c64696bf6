"""Probes: messages that were published after the recovery, to show what still routes.

A probe publishes one mandatory message to an exchange through a node and gets it from the queue. It
is ok if the message arrived. It failed if the broker returned the message or has no such exchange;
its data then says that it was not ``routed``. A message that was confirmed and that the queue does
not have was routed, and failed as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.topology_things import Thing, probed_thing


@dataclass
class Probed:
    """How the probes of one thing ended, as the nodes that they went through."""

    arrived: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """The message was in no queue: returned, or no such exchange."""
    vanished: list[str] = field(default_factory=list)
    """The message was confirmed, and the queue did not deliver it."""
    in_doubt: list[str] = field(default_factory=list)

    @property
    def routed(self) -> list[str]:
        """The nodes that routed the message."""
        return self.arrived + self.vanished

    @property
    def proven(self) -> bool:
        """Whether a probe ended, and none is in doubt."""
        return bool(self.routed or self.refused) and not self.in_doubt


def probed(calls: Sequence[Call]) -> Mapping[Thing, Probed]:
    """Return how the last probe of each thing through each node ended."""
    last = {
        (call.asked, call.node or ""): call
        for call in calls
        if call.f == "probe" and type(call.asked) is int
    }
    things: dict[Thing, Probed] = defaultdict(Probed)
    for (number, node), call in sorted(last.items()):
        outcome = things[probed_thing(number)]
        _nodes(outcome, call).append(node)
    return things


def _nodes(outcome: Probed, call: Call) -> list[str]:
    """Return the list to which the node of a probe belongs."""
    if call.type == "ok":
        return outcome.arrived
    if call.type != "fail":
        return outcome.in_doubt
    routed = isinstance(call.data, dict) and call.data.get("routed") is True
    return outcome.vanished if routed else outcome.refused
