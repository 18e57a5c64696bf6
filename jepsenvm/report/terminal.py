"""Results in lines for a terminal or a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jepsenvm.checkers.verdict import Results

Figures = Mapping[str, Any]

SHOWN = 10


def verdict_lines(results: Results) -> Iterator[str]:
    """Yield the verdict with its workload's figures, the reasons, and the first values of each anomaly."""
    name = next((name for name in HEADLINES if name in results.checkers), None)
    figures = results.checkers[name].figures if name else {}
    headline = HEADLINES[name](figures) if name and figures else ""
    yield f"{results.verdict.upper()}: {headline}" if headline else results.verdict.upper()
    for reason in results.reasons:
        yield f"  {reason}"
    for kind in ("lost", "unexpected", "out-of-order", "divergent", "duplicated"):
        values = figures.get(kind)
        if values:
            more = figures[f"{kind}-count"] - len(values[:SHOWN])
            shown = ", ".join(str(value) for value in values[:SHOWN])
            yield f"  first {kind}: {shown}" + (f" and {more:,} more" if more else "")


def _queue(figures: Figures) -> str:
    undecided = f", undecided {figures['undecided-count']:,}" if figures["undecided-count"] else ""
    return (
        f"acknowledged {figures['acknowledged-count']:,}, drained {figures['ok-count']:,}, "
        f"LOST {figures['lost-count']:,}, duplicated {figures['duplicated-count']:,}, "
        f"unexpected {figures['unexpected-count']:,}, recovered {figures['recovered-count']:,}{undecided}"
    )


def _order(figures: Figures) -> str:
    return f"{_queue(figures)}, out of order {figures['out-of-order-count']:,}, two active {figures['two-active-count']:,}"


def _redelivery(figures: Figures) -> str:
    return f"{_queue(figures)}, returned {figures['returned-count']:,}, DROPPED {figures['dropped-count']:,}"


def _stream(figures: Figures) -> str:
    kinds = (
        "lost",
        "divergent",
        "nonmonotonic",
        "out-of-order",
        "unexpected",
        "duplicated",
        "recovered",
    )
    counted = ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)
    return f"acknowledged {figures['acknowledged-count']:,}, {figures['record-count']:,} records, {counted}"


def _lock(figures: Figures) -> str:
    return (
        f"acquired {figures['acquire-count']:,}, released {figures['release-count']:,}, "
        f"TWO HOLDERS {figures['doubled-count']:,}, tokens left {figures['tokens']}"
    )


def _register(figures: Figures) -> str:
    return ", ".join(
        f"{kind} {figures[f'{kind}-count']:,}" for kind in ("read", "write", "cas", "in-doubt")
    )


def _set(figures: Figures) -> str:
    kinds = ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


HEADLINES: Final[Mapping[str, Callable[[Figures], str]]] = {
    "total-queue": _queue,
    "dead-letter": _queue,
    "order": _order,
    "redelivery": _redelivery,
    "stream": _stream,
    "lock": _lock,
    "register": _register,
    "set": _set,
}
"""By the checker that is about what its workload promises."""
