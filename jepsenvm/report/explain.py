"""Explains messages of a stored run: their lives, from the run alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jepsenvm.history.table import History
from jepsenvm.report.fault_evidence import fault_evidence
from jepsenvm.report.life import Life, drain_events, events, ops_by_code
from jepsenvm.report.life_sentence import counts_as, sentence
from jepsenvm.report.log_excerpts import notable_lines
from jepsenvm.report.stored_run import StoredRun


def lives(run: StoredRun, values: Sequence[Any]) -> Iterator[Life]:
    """Yield the life of each of these values. Values of a foreign history are those of its ops."""
    history = run.history
    main = run.results.checkers.get(run.presentation.main_checker)
    figures = main.figures if main else {}
    codes = [code_of(history, value) for value in values]
    ops_of = ops_by_code(history, [code for code in codes if code is not None])
    evidence = fault_evidence(history)
    lines = notable_lines(run.logs, run.began) if run.began is not None else []
    drains = drain_events(history)
    for value, code in zip(values, codes, strict=True):
        ops = ops_of[code] if code is not None else []
        kinds = counts_as(ops, value, figures)
        yield Life(
            value=value,
            counts_as=kinds,
            sentence=sentence(
                ops, value, kinds, evidence, history.nodes, run.results, run.presentation
            ),
            events=events(ops, evidence, lines, drains, history.nodes),
        )


def has_several_queues(run: StoredRun) -> bool:
    """Return whether the run judged each copy of a message by itself."""
    main = run.results.checkers.get(run.presentation.main_checker)
    return main is not None and "lost-by-queue" in main.figures


def code_of(history: History, value: Any) -> int | None:
    """Return the code of a value in a history; None if no op can have it."""
    if history.labels is None:
        is_code = type(value) is int and -(2**63) <= value < 2**63
        return value if is_code else None
    return next(
        (
            code
            for code, label in enumerate(history.labels)
            if type(label) is type(value) and label == value
        ),
        None,
    )


def values_of_kind(run: StoredRun, kind: str) -> tuple[list[Any], int]:
    """Return the values that the main checker lists as a kind, each once, and how many there are.

    A checker lists at most 1,000 of them.
    """
    main = run.results.checkers.get(run.presentation.main_checker)
    figures = main.figures if main else {}
    listed = figures.get(kind)
    values: list[Any] = []
    for value in listed if isinstance(listed, list) else []:
        if value not in values:
            values.append(value)
    count = figures.get(f"{kind}-count", len(values))
    return values, count if isinstance(count, int) else len(values)
