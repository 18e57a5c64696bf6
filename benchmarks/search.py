"""Measure the search for a linearization: its CPU time, and its memory for each configuration.

    python -m benchmarks.search [CASE ...]

| case | history |
| --- | --- |
| open-writes | 20 writes that are all open at once, then two reads that disagree: 44 ops |
| swaps | 20 compare-and-sets that are all open at once, then an impossible read |
| doubts-read | 20,000 writes in doubt, then a read of each value: legal |
| doubts-unread | 20,000 writes in doubt, then 20 legal reads and an impossible one |
| bound | compare-and-sets in doubt in layers, which the search gives up at its bound |

The limit is 500 bytes for each configuration. The memory of the other cases is that of their calls,
and of sets of calls in doubt, for which a configuration counts several times.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.new_process import measured
from jepsenvm.checkers.client_calls import client_calls
from jepsenvm.checkers.linearizable import linearize
from jepsenvm.checkers.register import CAS_REGISTER
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import from_ops

READER: Final = 100_000
"""The process that reads."""


def _operation(f: str, value: Any, *types: Type) -> list[Op]:
    return [Op(type_, f, value, READER) for type_ in types or ("invoke", "ok")]


def _reads(*values: int) -> list[Op]:
    return [op for value in values for op in _operation("read", value)]


def open_writes() -> list[Op]:
    """Return concurrent writes and two reads that disagree."""
    types: tuple[Type, ...] = ("invoke", "ok")
    writes = [Op(type_, "write", value, value) for type_ in types for value in range(20)]
    return [*writes, *_reads(5, 6)]


def swaps() -> list[Op]:
    """Return concurrent swaps of 0 and 1, and a read that no order explains."""
    types: tuple[Type, ...] = ("invoke", "ok")
    swapped = [
        Op(type_, "cas", [process % 2, 1 - process % 2], process)
        for type_ in types
        for process in range(20)
    ]
    return [*_operation("write", 0), *swapped, *_reads(1)]


def doubts_read() -> list[Op]:
    """Return writes in doubt, each of which is read."""
    doubts = [Op("invoke", "write", value, value) for value in range(20_000)]
    return [*doubts, *_reads(*range(20_000))]


def doubts_unread() -> list[Op]:
    """Return writes in doubt, few of which are read, and a read that no order explains."""
    doubts = [Op("invoke", "write", value, value) for value in range(20_000)]
    return [*doubts, *_reads(*range(20), 1)]


def bound() -> list[Op]:
    """Return swaps in doubt between layers of two values: each pair of layers doubles the paths."""
    steps = [
        [2 * layer + low, 2 * layer + 2 + high]
        for layer in range(40)
        for low in range(2)
        for high in range(2)
    ]
    doubts = [Op("invoke", "cas", step, process) for process, step in enumerate(steps)]
    return [*_operation("write", 0), *doubts, *_reads(-1)]


CASES: Final[Mapping[str, Callable[[], list[Op]]]] = {
    "open-writes": open_writes,
    "swaps": swaps,
    "doubts-read": doubts_read,
    "doubts-unread": doubts_unread,
    "bound": bound,
}


def measure(case: str) -> dict[str, Any]:
    """Return the verdict of a case, its configurations, CPU seconds and growth of memory in MB."""
    calls = client_calls(from_ops(CASES[case]()), "read", "write", "cas")[0]
    before, began = _peak_megabytes(), time.process_time()
    result = linearize(calls, CAS_REGISTER)
    return {
        "verdict": result.verdict.value,
        "configurations": result.explored,
        "cpu": time.process_time() - began,
        "megabytes": _peak_megabytes() - before,
    }


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_new_process(case: str) -> dict[str, Any]:
    """Return what ``measure`` returns in a process of its own."""
    return measured("benchmarks.search", case)


def main() -> None:
    """Print a line for each case."""
    print("          case  verdict  configurations  cpu s     MB  bytes each")
    for case in sys.argv[1:] or CASES:
        result = in_new_process(case)
        each = result["megabytes"] * 1024 * 1024 / result["configurations"]
        print(
            f"{case:>14} {result['verdict']:>8} {result['configurations']:>15,} "
            f"{result['cpu']:>6.2f} {result['megabytes']:>6.0f} {each:>11,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main()
