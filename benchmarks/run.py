"""Measure what a check costs, and print each figure beside the last recorded one.

    python -m benchmarks.run [--record]

Each figure is the median of three rounds of benchmarks.edn, or one round of benchmarks.search. With
--record, the figures are written to benchmarks/recorded.json. A figure that grew by more than a
quarter is marked: run it again on a quiet machine before you believe it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import edn, search

RECORDED: Final = Path(__file__).with_name("recorded.json")
ROUNDS: Final = 3
OPERATIONS: Final = 100_000
GROWTH: Final = 1.25
"""A figure is marked if it exceeds the recorded one by more than this factor."""


def figures() -> Iterator[tuple[str, float]]:
    """Yield the name and the value of each figure; the smaller, the better."""
    with tempfile.TemporaryDirectory() as folder:
        edn.write(Path(folder), OPERATIONS)
        rounds = [
            {row: edn.in_new_process(row, Path(folder))["cpu"] for row in edn.ROWS}
            for _ in range(ROUNDS)
        ]
    for row in edn.ROWS:
        ratio = statistics.median(each[row] / each["json"] for each in rounds)
        yield f"{row}: CPU time as a multiple of Arrow's JSON parser", ratio
    for case in search.CASES:
        result = search.in_new_process(case)
        yield f"search {case}: configurations", result["configurations"]
        yield f"search {case}: CPU seconds", result["cpu"]


def main() -> None:
    """Print the figures, and record them if that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    measured = {}
    print(f"{'figure':<52} {'now':>10} {'recorded':>10}")
    for name, value in figures():
        measured[name] = round(value, 3)
        before = recorded.get(name)
        mark = "  more" if before is not None and value > before * GROWTH + 0.05 else ""
        shown = "" if before is None else f"{before:,.2f}"
        print(f"{name:<52} {value:>10,.2f} {shown:>10}{mark}", flush=True)
    if arguments.record:
        RECORDED.write_text(f"{json.dumps(measured, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
