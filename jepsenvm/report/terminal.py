"""Results in lines for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator

from jepsenvm.checkers.verdict import Result, Results

SHOWN = 10


def verdict_lines(results: Results) -> Iterator[str]:
    """Yield the verdict with its figures, the reasons, and the first values of each anomaly."""
    queue = results.checkers.get("total-queue")
    counted = queue is not None and "acknowledged-count" in queue.figures
    yield f"{results.verdict.upper()}: {_counts(queue)}" if queue and counted else results.verdict.upper()
    for reason in results.reasons:
        yield f"  {reason}"
    if queue and counted:
        for name in ("lost", "unexpected", "duplicated"):
            values = queue.figures[name]
            if values:
                more = queue.figures[f"{name}-count"] - len(values[:SHOWN])
                shown = ", ".join(str(value) for value in values[:SHOWN])
                yield f"  first {name}: {shown}" + (f" and {more:,} more" if more else "")


def _counts(result: Result) -> str:
    figures = result.figures
    undecided = f", undecided {figures['undecided-count']:,}" if figures["undecided-count"] else ""
    return (
        f"acknowledged {figures['acknowledged-count']:,}, drained {figures['ok-count']:,}, "
        f"LOST {figures['lost-count']:,}, duplicated {figures['duplicated-count']:,}, "
        f"unexpected {figures['unexpected-count']:,}, recovered {figures['recovered-count']:,}{undecided}"
    )
