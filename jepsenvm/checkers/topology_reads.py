"""What each node had after the recovery, by the last read of each node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.topology_things import Kind, Thing
from jepsenvm.errors import shown

LISTED: Final[Mapping[str, Kind]] = {
    "queues": "queue",
    "exchanges": "exchange",
    "bindings": "binding",
}
"""The keys of what a node listed, with the kind of their numbers."""

FOUND: Final[Mapping[str, Kind]] = {"queues": "queue", "exchanges": "exchange"}
"""The keys of what passive declares found. AMQP cannot ask for a binding."""


@dataclass(frozen=True)
class View:
    """What a node has by one means: its list or AMQP."""

    label: str
    """Where it was seen, such as ``n1`` or ``n1 over AMQP``."""
    kinds: tuple[Kind, ...]
    """The kinds of things that this means can show."""
    things: frozenset[Thing]


@dataclass(frozen=True)
class Read:
    """The last read of one node."""

    node: str
    views: tuple[View, View]
    refused: Mapping[Thing, str]
    """Things that exist and that the broker refuses to serve, with its reason."""
    odd: tuple[str, ...]
    """Names and bindings that are the run's, and that no client gives."""


def last_reads(calls: Sequence[Call]) -> tuple[list[Read], list[str]]:
    """Return the last read of each node, and why the reads do not show everything.

    ``calls`` are all calls of the run. Every node that they name must have been read.
    """
    last = {call.node or "": call for call in calls if call.f == "read"}
    nodes = sorted({call.node or "" for call in calls})
    problems = [f"{node or 'a node'} was not read" for node in nodes if node not in last]
    reads = []
    for node, call in sorted(last.items()):
        if call.type != "ok":
            problems.append(f"the last read of {node} did not finish")
            continue
        try:
            reads.append(_read(node, call.data))
        except (TypeError, ValueError, LookupError, AttributeError):
            problems.append(f"the read of {node} is not understood: {shown(call.data)}")
    if not last:
        problems = ["no node was read"]
    return reads, problems


def _read(node: str, data: Any) -> Read:
    refused = {
        Thing(FOUND[key], _number(number)): str(reason) for key, number, reason in data["refused"]
    }
    found = frozenset(_things(FOUND, data["found"]))
    return Read(
        node=node,
        views=(
            View(node, tuple(LISTED.values()), frozenset(_things(LISTED, data["listed"]))),
            View(f"{node} over AMQP", tuple(FOUND.values()), found | refused.keys()),
        ),
        refused=refused,
        odd=tuple(map(str, _checked_list(data["odd"]))),
    )


def _things(kinds: Mapping[str, Kind], data: Mapping[str, Any]) -> Iterator[Thing]:
    for key, kind in kinds.items():
        yield from (Thing(kind, _number(number)) for number in _checked_list(data[key]))


def _checked_list(value: Any) -> Iterable[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError("not a list")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value
