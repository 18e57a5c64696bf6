"""Smaller subjects than a given one, the much smaller ones first.

Each is smaller in one respect, so a search that takes one after the other ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, Final, TypeVar

from jepsenvm.shrink.subject import TAIL_S, Document, Subject

Item = TypeVar("Item")

SHORTEST_FAULT_S: Final = 5.0
"""Seconds. Shorter faults are hardly measured to be in force."""

SLOWEST_RATE: Final = 10.0
"""Messages per second."""

FEWEST_NODES: Final = 3

OFF: Final[dict[str, object]] = {
    "consumers": 0,
    "message-size": None,
    "consumer-churn": None,
    "consumer-crash": None,
    "consumer-delay": None,
    "consumer-timeout": None,
    "delivery-limit": None,
    "feature-flags": [],
}
"""Values of plan keys with which the plan does less."""


def reductions(subject: Subject) -> Iterator[Subject]:
    """Yield smaller subjects. Some of them may be no valid plans."""
    return chain(
        _fewer_faults(subject),
        _less_time(subject),
        _fewer_nodes(subject),
        _shorter_faults(subject),
        _fewer_nodes_of_faults(subject),
        _less_load(subject),
        _nothing_special(subject),
    )


def subsets(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield parts of a sequence in the order of delta debugging (Zeller and Hildebrandt, 2002).

    These are halves, then quarters and what remains without one, down to single items.
    """
    size = len(items)
    parts = 2
    while size > 1 and parts <= size:
        cuts = [size * number // parts for number in range(parts + 1)]
        chunks = list(pairwise(cuts))
        yield from (items[begin:end] for begin, end in chunks)
        if parts > 2:  # of two halves, the rest is the other half
            yield from (tuple(items[:begin]) + tuple(items[end:]) for begin, end in chunks)
        if parts == size:
            return
        parts = min(size, parts * 2)


def _fewer_faults(subject: Subject) -> Iterator[Subject]:
    for part in subsets(subject.schedule):
        yield subject.with_keys(schedule=list(part))
    nemesis = subject.plan.get("nemesis")
    if isinstance(nemesis, list):
        yield from (subject.with_keys(nemesis=name) for name in dict.fromkeys(nemesis))
    if subject.plan.get("overlapping", 1) > 1:
        yield subject.with_keys(overlapping=1)


def _less_time(subject: Subject) -> Iterator[Subject]:
    limit = float(subject.plan["time-limit"])
    if not subject.schedule:
        if limit > 4 * TAIL_S:
            yield subject.with_keys(time_limit=round(limit / 2, 3))
        return
    early = min(item["at"] for item in subject.schedule) - TAIL_S
    if early > 0:
        moved = [{**item, "at": round(item["at"] - early, 3)} for item in subject.schedule]
        yield subject.with_keys(schedule=moved, time_limit=round(limit - early, 3))
    end = max(item["at"] + item["for"] for item in subject.schedule) + TAIL_S
    if end < limit:
        yield subject.with_keys(time_limit=round(end, 3))
    yield from _closer_faults(subject)


def _closer_faults(subject: Subject) -> Iterator[Subject]:
    """Yield the subject with a shorter pause before one of its faults."""
    ordered = sorted(subject.schedule, key=_begin)
    for index in range(1, len(ordered)):
        end = max(item["at"] + item["for"] for item in ordered[:index])
        pause = ordered[index]["at"] - end
        if pause > 2 * TAIL_S:
            earlier = pause - TAIL_S
            moved = [{**item, "at": round(item["at"] - earlier, 3)} for item in ordered[index:]]
            yield subject.with_keys(schedule=[*ordered[:index], *moved])


def _begin(item: Document) -> float:
    return float(item["at"])


def _shorter_faults(subject: Subject) -> Iterator[Subject]:
    schedule = subject.schedule
    halved = [_halved(item) for item in schedule]
    if len(schedule) > 1 and halved != list(schedule):
        yield subject.with_keys(schedule=halved)
    for index, item in enumerate(schedule):
        if halved[index] != item:
            yield subject.with_keys(
                schedule=[*schedule[:index], halved[index], *schedule[index + 1 :]]
            )


def _halved(item: Document) -> Document:
    if item["for"] < 2 * SHORTEST_FAULT_S:
        return item
    return {**item, "for": round(item["for"] / 2, 3)}


def _fewer_nodes(subject: Subject) -> Iterator[Subject]:
    if subject.nodes is None:
        return
    for nodes in range(FEWEST_NODES, subject.nodes):
        names = [f"n{number}" for number in range(1, nodes + 1)]
        for schedule in (subject.schedule, _renamed(subject.schedule, names)):
            kept = [item for one in schedule if (item := _restricted(one, {*names})) is not None]
            if len(kept) == len(schedule):
                plan = {**subject.plan, "schedule": kept} if kept else subject.plan
                yield Subject(plan, nodes)


def _renamed(schedule: Sequence[Document], names: Sequence[str]) -> Sequence[Document]:
    """Return faults whose nodes are renamed, in their order, to the first of these names."""
    used = sorted({node for item in schedule for node in item.get("nodes", ())})
    new = dict(zip(used, names, strict=False))
    return [
        {**item, "nodes": [new.get(node, node) for node in item["nodes"]]}
        if item.get("nodes")
        else item
        for item in schedule
    ]


def _restricted(item: Document, names: set[str]) -> Document | None:
    """Return a fault on some of the nodes; None if it would act on none of its own."""
    changed: dict[str, Any] = dict(item)
    if item.get("nodes"):
        changed["nodes"] = [node for node in item["nodes"] if node in names]
        return changed if changed["nodes"] else None
    if item.get("grudge"):
        kept = {
            node: [other for other in others if other in names]
            for node, others in item["grudge"].items()
            if node in names
        }
        changed["grudge"] = {node: others for node, others in kept.items() if others}
        return changed if changed["grudge"] else None
    return changed


def _fewer_nodes_of_faults(subject: Subject) -> Iterator[Subject]:
    for index, item in enumerate(subject.schedule):
        for part in subsets(list(item.get("nodes", ()))):
            changed = {**item, "nodes": list(part)}
            yield subject.with_keys(
                schedule=[*subject.schedule[:index], changed, *subject.schedule[index + 1 :]]
            )


def _less_load(subject: Subject) -> Iterator[Subject]:
    for key in ("publishers", "window", "consumers"):
        value = int(subject.plan[key])
        yield from (subject.with_keys(**{key: less}) for less in _smaller(value))
    rate = subject.plan["rate"]
    if isinstance(rate, list):
        return
    if rate == 0:
        yield from (subject.with_keys(rate=less) for less in (SLOWEST_RATE, 100.0, 1000.0))
    elif rate > SLOWEST_RATE:
        yield subject.with_keys(rate=max(SLOWEST_RATE, round(rate / 2, 3)))


def _smaller(value: int) -> Iterator[int]:
    """Yield 1, and the half of a number, if they are smaller than it."""
    if value > 1:
        yield 1
    if value > 3:
        yield value // 2


def _nothing_special(subject: Subject) -> Iterator[Subject]:
    for key, off in OFF.items():
        if subject.plan.get(key, off) not in (off, [], ()):
            yield Subject({**subject.plan, key: off}, subject.nodes)
