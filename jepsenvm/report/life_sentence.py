"""How the checkers count one message, and why, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jepsenvm.checkers.total_queue import compared
from jepsenvm.checkers.verdict import Results
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shorten, shown
from jepsenvm.history.op import Op
from jepsenvm.history.units import SECOND
from jepsenvm.report.fault_evidence import FaultEvidence
from jepsenvm.report.life import (
    consumed_nothing,
    fault_at,
    is_corrupted,
    is_delivery,
    leader_before,
    side_of,
)
from jepsenvm.report.presentation import Presentation

LISTED_KINDS = ("lost", "undecided", "out-of-order", "unexpected", "duplicated", "recovered")
"""Kinds of values that a checker may list in its figures."""


def counts_as(ops: Sequence[Op], value: Any, figures: Mapping[str, Any]) -> list[str]:
    """Return the kinds as which a message counts, the worst first; never empty.

    The definitions are those of ``checkers.total_queue``. ``figures`` are those of the main
    checker. Readers of a stream all read each message, so there only its lists count.
    """
    if not ops:
        return ["never sent"]
    if any(map(is_corrupted, ops)):
        return ["corrupted"]
    listed_kinds = [kind for kind in LISTED_KINDS if _lists(figures.get(kind), value)]
    computed = [] if "readers" in figures else list(_computed(ops, figures))
    found = [kind for kind in LISTED_KINDS if kind in {*listed_kinds, *computed}]
    return found or [_ordinary(ops)]


def _lists(values: Any, value: Any) -> bool:
    """Return whether a checker lists a value; out-of-order entries are pairs that begin with it."""
    if not isinstance(values, list):
        return False
    firsts = [entry[0] if isinstance(entry, list | tuple) and entry else entry for entry in values]
    return any(type(first) is type(value) and first == value for first in [*values, *firsts])


def _computed(ops: Sequence[Op], figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kinds of a message by its own ops, like total-queue."""
    kept = [op for op in ops if is_delivery(op) and not consumed_nothing(op)]
    given_back = [op for op in ops if op.type == "fail" and consumed_nothing(op)]
    counts = compared(
        _count(ops, "enqueue", "invoke"),
        _count(ops, "enqueue", "ok"),
        len(kept),
        len(given_back),
        decided=not figures.get("undecided-count"),
    )
    yield from (kind for kind, count in counts.items() if count and kind in LISTED_KINDS)


def _count(ops: Sequence[Op], f: str, type_: str) -> int:
    return sum((op.f, op.type) == (f, type_) for op in ops)


def _ordinary(ops: Sequence[Op]) -> str:
    if any(is_delivery(op) for op in ops):
        return "delivered"
    ends = {op.type for op in ops if op.f == "enqueue"}
    if "ok" in ends:
        return "confirmed"
    if "info" in ends or ends == {"invoke"}:
        return "in doubt"
    return "refused" if "fail" in ends else "not a message"


def sentence(
    ops: Sequence[Op],
    value: Any,
    kinds: Sequence[str],
    evidence: Sequence[FaultEvidence],
    nodes: Sequence[str],
    results: Results,
    presentation: Presentation,
) -> str:
    """Return in one sentence why a message counts as it does."""
    kind = kinds[0]
    main = results.checkers.get(presentation.main_checker)
    deliveries = [op for op in ops if is_delivery(op)]
    confirmed = next((op for op in ops if (op.f, op.type) == ("enqueue", "ok")), None)
    where = f"{_by(confirmed)} confirmed it{_when(confirmed, evidence, nodes)}" if confirmed else ""
    doubt = next((reason for reason in main.reasons if "undecided" in reason), "") if main else ""
    gone = _given_back(ops)
    sent = counted(_count(ops, "enqueue", "invoke"), "time")
    endings = {
        "lost": f"{where}, and {gone or 'it never came back'}, although the queue was read until "
        "it was proven to be empty",
        "undecided": f"{where}, and it did not come back, but that does not prove a loss"
        + (f" ({doubt})" if doubt else ""),
        "duplicated": f"it was delivered {counted(len(deliveries), 'time')} "
        f"({_first_and_last(deliveries)}) and sent {sent}; publisher confirms allow that",
        "unexpected": f"{_by(deliveries[0]) if deliveries else 'a node'} delivered it, but no "
        "process ever sent it",
        "corrupted": "a delivery had a body that differs from the sent body" + _corruption(ops),
        "recovered": "it came back although its publisher never got a confirm, which is allowed",
        "out-of-order": "a message that the same process published later was delivered before it",
        "delivered": (f"{where}, and " if where else "")
        + (f"it came back ({_first_and_last(deliveries)})"),
        "confirmed": f"{where}, and no delivery is recorded; the checker does not call it lost",
        "in doubt": "its publisher does not know whether the broker accepted it, and it did not "
        "come back, so nothing was promised",
        "refused": "the broker refused it, so nothing was promised",
        "never sent": "no op of the history has this value",
        "not a message": "the ops with this value neither publish nor deliver a message",
    }
    return f"{shown(value)} counts as {listed(kinds)}: {endings[kind]}."


def _by(op: Op | None) -> str:
    return op.node if op is not None and op.node else "a node without a name"


def _when(op: Op, evidence: Sequence[FaultEvidence], nodes: Sequence[str]) -> str:
    """Return when and under which fault an op was, for the middle of a sentence."""
    text = f" at {op.time / SECOND:.3f} s"
    interval = fault_at(evidence, op.time)
    if interval is None:
        return f"{text} without a fault"
    text += f" during {interval.title}"
    side = side_of(interval, op.node, nodes)
    if side:
        others = [node for node in side if node != op.node]
        text += f", connected to {listed(others)} only" if others else ", cut off from all others"
    leader = leader_before(evidence, op.time)
    if leader is not None and leader[0] != op.node:
        elsewhere = " on another side" if side and leader[0] not in side else ""
        text += f", while {leader[0]}{elsewhere} led the queue as last reported"
    return text


def _given_back(ops: Sequence[Op]) -> str:
    """Return what became of a message that was delivered and kept by no consumer."""
    count = sum(consumed_nothing(op) for op in ops)
    return f"no consumer kept it ({counted(count, 'delivery', 'deliveries')})" if count else ""


def _first_and_last(deliveries: Sequence[Op]) -> str:
    texts = [f"from {_by(op)} at {op.time / SECOND:.3f} s" for op in deliveries]
    if len(texts) < 2:
        return "".join(texts)
    return f"first {texts[0]}, last {texts[-1]}"


def _corruption(ops: Sequence[Op]) -> str:
    problem = next((op.data.get("problem") for op in ops if is_corrupted(op)), None)
    return f" ({shorten(problem, 200)})" if problem else ""
