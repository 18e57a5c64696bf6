"""topology: whether every node has what was confirmed, and nothing that was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call, client_calls, orphans_reason
from jepsenvm.checkers.own_restarts import recovery_records, restarted_by_recovery
from jepsenvm.checkers.topology_probes import Probed, probed
from jepsenvm.checkers.topology_reads import Read, View, last_reads
from jepsenvm.checkers.topology_states import CHANGES, State, Topology
from jepsenvm.checkers.topology_things import Thing
from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shorten
from jepsenvm.history.table import History

OPERATIONS: Final = (*CHANGES, "read", "probe", "drain")
"""A ``drain`` is always in doubt: it ended before the nodes had agreed, or the machine of a resumed
run's controller restarted."""

SHOWN: Final = 20
"""At most this many things of a kind of anomaly are in a result."""

KINDS: Final[Mapping[str, str]] = {
    "missing": "confirmed, but not on every node",
    "undeleted": "confirmed to be deleted or closed, but still there",
    "divergent": "some nodes have it and some do not",
    "unexpected": "no client declared it",
    "broken": "confirmed, but a message did not arrive through it",
    "stray": "confirmed to be deleted, but it still routes",
}
"""The kinds of anomalies, and what each means."""


def topology(history: History) -> Result:
    """Compare what the clients declared, bound and deleted with what each node has afterwards.

    A thing (a queue, an exchange or a binding) must be on every node if it was confirmed and not
    removed later, and on none if its removal was confirmed. Exclusive queues must be gone, because
    every connection of the load was closed; so must auto-delete queues whose consumer was cancelled
    or whose connection was closed cleanly. A thing in doubt may be either, but on all nodes alike.
    Messages must arrive through what must exist, and must be refused by what must be gone.

    Nothing is decided, and the verdict is unknown, unless every node was read after the cluster had
    recovered, and jepsenvm had not restarted all of them.
    """
    calls, orphans = client_calls(history, *CHANGES, "read", "probe")
    changes = [call for call in calls if call.f in CHANGES]
    understood = [call for call in changes if _is_understood(call)]
    made = Topology()
    made.apply(understood)
    states = made.states()
    reads, unread = last_reads(calls)
    outcomes = probed(calls)
    anomalies = _anomalies(states, reads, outcomes)
    unproven = [
        str(thing)
        for thing, state in sorted(states.items())
        if thing.kind != "exchange" and state is not State.IN_DOUBT and not _proven(outcomes, thing)
    ]
    doubts = [*unread, *_doubts(history, [read.node for read in reads])]
    if orphans:
        doubts.append(orphans_reason(orphans))
    if unnumbered := len(changes) - len(understood):
        doubts.append(f"{counted(unnumbered, 'op has', 'ops have')} no number")
    figures = _figures(made, states, calls, reads, anomalies, unproven)
    found = any(anomalies.values())
    reasons = [*_reasons(anomalies, decided=not doubts), *_restart_remark(history, found=found)]
    if unproven:
        text = counted(len(unproven), "thing was", "things were")
        reasons.append(f"{text} not probed, or a probe is in doubt; the first: {unproven[0]}")
    reasons += [f"what the nodes have is undecided: {doubt}" for doubt in doubts]
    return Result(
        graded(invalid=found and not doubts, unknown=bool(doubts or unproven)),
        tuple(reasons),
        figures,
    )


def _is_understood(call: Call) -> bool:
    return call.f == "close" or (type(call.asked) is int and call.asked > 0)


def _proven(outcomes: Mapping[Thing, Probed], thing: Thing) -> bool:
    return thing in outcomes and outcomes[thing].proven


def _doubts(history: History, nodes: Sequence[str]) -> Iterator[str]:
    """Yield why the reads may show something other than what the broker made of the load."""
    if not history.complete:
        yield "the history is cut short"
    if history.count("info", "drain"):
        yield (
            "a drain is in doubt: it ended before the nodes had agreed, or the controller's machine"
            " restarted, so that recorded operations may be missing"
        )
    records = recovery_records(history)
    if records and records[-1].get("troubles"):
        yield "the cluster did not recover"
    restarted = restarted_by_recovery(history)
    if nodes and set(nodes) <= set(restarted):
        yield f"jepsenvm restarted every node ({', '.join(restarted)}) before the reads"


def _restart_remark(history: History, *, found: bool) -> list[str]:
    restarted = restarted_by_recovery(history)
    if not found or not restarted:
        return []
    return [f"jepsenvm restarted {listed(restarted)} before the reads, because of its recovery"]


def _anomalies(
    states: Mapping[Thing, State], reads: Sequence[Read], outcomes: Mapping[Thing, Probed]
) -> dict[str, list[str]]:
    anomalies: dict[str, list[str]] = {kind: [] for kind in KINDS}
    views = [view for read in reads for view in read.views]
    seen = {thing for view in views for thing in view.things}
    for thing in sorted(states.keys() | seen):
        for kind, text in _of_views(thing, states.get(thing), views):
            anomalies[kind].append(text)
    for thing, outcome in sorted(outcomes.items()):
        for kind, text in _of_probes(thing, states.get(thing), outcome):
            anomalies[kind].append(text)
    for read in reads:
        anomalies["unexpected"] += [f"{shorten(name)} on {read.node}" for name in read.odd]
        anomalies["broken"] += [
            f"{thing} on {read.node}: {shorten(reason)}"
            for thing, reason in sorted(read.refused.items())
            if states.get(thing) is State.PRESENT
        ]
    return anomalies


def _of_views(
    thing: Thing, state: State | None, views: Sequence[View]
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of what is wrong with a thing by the reads."""
    asked = [view for view in views if thing.kind in view.kinds]
    having = [view.label for view in asked if thing in view.things]
    lacking = [view.label for view in asked if thing not in view.things]
    if state is None and having:
        yield "unexpected", f"{thing} on {listed(having)}"
    elif state is State.PRESENT and lacking:
        yield "missing", f"{thing}, {f'not on {listed(lacking)}' if having else 'on no node'}"
    elif state is State.GONE and having:
        yield "undeleted", f"{thing}, on {listed(having)}"
    elif state is State.IN_DOUBT and having and lacking:
        yield "divergent", f"{thing}, on {listed(having)}, not on {listed(lacking)}"


def _of_probes(thing: Thing, state: State | None, outcome: Probed) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of what is wrong with a thing by its probes."""
    if state is State.PRESENT and outcome.refused:
        yield "broken", f"{thing}, not routed by {listed(outcome.refused)}"
    if state is State.PRESENT and outcome.vanished:
        yield "broken", f"{thing}, confirmed by {listed(outcome.vanished)} but not in the queue"
    if state is State.GONE and outcome.routed:
        yield "stray", f"{thing}, routed by {listed(outcome.routed)}"
    if state is State.IN_DOUBT and outcome.routed and outcome.refused:
        yield (
            "divergent",
            f"{thing}, routed by {listed(outcome.routed)}, not by {listed(outcome.refused)}",
        )


def _figures(
    made: Topology,
    states: Mapping[Thing, State],
    calls: Iterable[Call],
    reads: Sequence[Read],
    anomalies: Mapping[str, Sequence[str]],
    unproven: Sequence[str],
) -> dict[str, Any]:
    probes = [call for call in calls if call.f == "probe"]
    by_state = {state: [thing for thing in states if states[thing] is state] for state in State}
    return {
        "confirmed-count": len(by_state[State.PRESENT]),
        "deleted-count": made.deleted_count(),
        "in-doubt-count": len(by_state[State.IN_DOUBT]),
        "exclusive-count": made.exclusive_count,
        "auto-deleted-count": made.auto_deleted_count,
        "bound-count": sum(thing.kind == "binding" for thing in by_state[State.PRESENT]),
        "read-count": len(reads),
        "arrived-count": sum(call.type == "ok" for call in probes),
        "refused-count": sum(call.type == "fail" for call in probes),
        "unproven-count": len(unproven),
        **{f"{kind}-count": len(texts) for kind, texts in anomalies.items()},
        **{kind: list(texts[:SHOWN]) for kind, texts in anomalies.items()},
    }


def _reasons(anomalies: Mapping[str, Sequence[str]], *, decided: bool) -> Iterator[str]:
    for kind, meaning in KINDS.items():
        if texts := anomalies[kind]:
            undecided = "" if decided else " (undecided)"
            yield (
                f"{counted(len(texts), 'thing is', 'things are')} {kind}{undecided}: {meaning}; "
                f"the first: {texts[0]}"
            )
