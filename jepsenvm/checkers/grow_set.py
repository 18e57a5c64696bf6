"""grow-set: every acknowledged element must be in the set when it is read for the last time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call, client_calls
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.keyed_sets import split_by_key
from jepsenvm.checkers.op_columns import distinct, ops_with_value
from jepsenvm.checkers.total_queue import SHOWN
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Result, Verdict, graded
from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shown
from jepsenvm.history.table import History

SET_EXERCISE: Final = Exercise(
    ("add", "read"),
    {
        "acknowledged-count": "no element was acknowledged, so there was nothing to lose",
        "read-count": "no read of the set was ok, so it was not tested",
    },
)

Elements = dict[tuple[str, str], Any]
"""Elements of a set by their ``value_key``."""


def grow_set(history: History) -> Result:
    """Compare the added elements with the last ok read of the whole set: Jepsen's ``checker/set``.

    Attempted are invoked adds, acknowledged are ok adds. Of the elements that were read, ok were
    attempted and unexpected were not. Lost are acknowledged and not read; recovered are ok and not
    acknowledged. Lost or unexpected elements make it invalid, a missing read unknown.

    If all values are pairs [key value], as with ``jepsen.independent``, each key is a set of its
    own, with a last read of its own.

    Beyond Jepsen: an element that was acknowledged only after the read was invoked, and is not in
    it, is undecided instead of lost, and makes it unknown. The read may have come before it. In a
    history that is cut short, a later read may be missing, so it is unknown as well.
    """
    if not history.complete:
        return _unread("the history is cut short, so a later read may be missing")
    calls, orphans = client_calls(history, "read")
    reads = [call for call in (*calls, *orphans) if call.type == "ok"]
    if not reads:
        return _unread("no read of the set was ok")
    results = [_judge(name, one_set) for name, one_set in _sets(history, reads).items()]
    figures: dict[str, Any] = {"read-count": len(reads)}
    for name in ("attempt", "acknowledged", "ok", *KINDS):
        figures[f"{name}-count"] = sum(len(result.kinds[name]) for result in results)
    for kind in KINDS:
        elements = [element for result in results for element in result.kinds[kind].values()]
        figures[kind] = elements[:SHOWN]
    problems = [result.problem for result in results if result.problem is not None]
    verdict = graded(
        invalid=figures["lost-count"] > 0 or figures["unexpected-count"] > 0,
        unknown=figures["undecided-count"] > 0 or bool(problems),
    )
    reasons = [f"the set cannot be judged: {problem}" for problem in problems]
    return Result(verdict, (*_reasons(figures), *reasons), figures)


KINDS: Final = ("lost", "unexpected", "recovered", "undecided")
"""The kinds of elements that a result lists."""


@dataclass
class _Set:
    """What the history has about one set."""

    attempts: list[Any] = field(default_factory=list)
    acknowledged: list[tuple[int, Any]] = field(default_factory=list)
    """The row of each ok add, and its element."""
    last_read: Call | None = None
    """The ok read that completed last; its invocation need not be recorded."""


@dataclass(frozen=True)
class _Judged:
    """Elements by the names of the figures, and why the set cannot be judged, if it cannot."""

    kinds: Mapping[str, Elements]
    problem: str | None


def _sets(history: History, reads: Sequence[Call]) -> Mapping[str, _Set]:
    """Return each set by the name of its key, or the only one under ""."""
    attempts = ops_with_value(history, "invoke", "add")
    oks = ops_with_value(history, "ok", "add")
    labels = {code: history.label(code) for code in distinct(attempts.value).tolist()}
    labels |= {code: history.label(code) for code in distinct(oks.value).tolist()}
    split = split_by_key(labels.values(), reads)
    sets: dict[str, _Set] = defaultdict(_Set)
    for code in attempts.value.tolist():
        key, element = split(labels[code])
        sets[key].attempts.append(element)
    for row, code in zip(oks.row.tolist(), oks.value.tolist(), strict=True):
        key, element = split(labels[code])
        sets[key].acknowledged.append((row, element))
    for read in sorted(reads, key=lambda read: read.returned or 0):
        key, answered = split(read.answered)
        sets[key].last_read = read._replace(answered=answered)
    return sets


def _judge(name: str, one_set: _Set) -> _Judged:
    read = one_set.last_read
    attempted = _elements(one_set.attempts)
    acknowledged = _elements(element for _, element in one_set.acknowledged)
    kinds = {"attempt": attempted, "acknowledged": acknowledged}
    problem = None
    if read is None:
        problem = f"no read of the set {name} was ok"
    elif not isinstance(read.answered, list | tuple | set | frozenset):
        problem = f"the last read is not a collection: {shown(read.answered)}"
    if read is None or problem is not None:
        return _Judged({**{kind: {} for kind in ("ok", *KINDS)}, **kinds}, problem)
    before = _elements(element for row, element in one_set.acknowledged if row < read.invoked)
    answered = _elements(read.answered)
    missing = _difference(acknowledged, answered)
    ok = {key: element for key, element in answered.items() if key in attempted}
    lost = {key: element for key, element in missing.items() if key in before}
    kinds |= {
        "ok": ok,
        "lost": lost,
        "unexpected": _difference(answered, attempted),
        "recovered": _difference(ok, acknowledged),
        "undecided": _difference(missing, lost),
    }
    return _Judged(kinds, None)


def _unread(reason: str) -> Result:
    return Result(Verdict.UNKNOWN, (f"the set cannot be judged: {reason}",), {})


def _reasons(figures: dict[str, Any]) -> tuple[str, ...]:
    explanations = {
        "lost": "acknowledged, but not in the last read",
        "unexpected": "in the last read, but never added",
        "undecided": "acknowledged after the last read began, and not in it",
    }
    return tuple(
        f"{counted(figures[f'{kind}-count'], 'element is', 'elements are')} {kind}: {explanation}"
        for kind, explanation in explanations.items()
        if figures[f"{kind}-count"]
    )


def _elements(elements: Iterable[Any]) -> Elements:
    return {value_key(element): element for element in elements}


def _difference(elements: Elements, excluded: Elements) -> Elements:
    return {key: element for key, element in elements.items() if key not in excluded}
