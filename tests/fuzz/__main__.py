"""Give changed inputs to jepsenvm and count what it makes of them.

    python -m tests.fuzz [--inputs N] [--seed N] [--only KIND[:NUMBER]]

The exit status is 1 if an input gave a traceback, a signal, a hang, a wrong verdict or a message
that no terminal should get. The inputs that failed are kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.fuzz import answers
from tests.fuzz.histories import Histories
from tests.fuzz.inventories import Inventories
from tests.fuzz.outcome import FAILURES
from tests.fuzz.plans import Plans
from tests.fuzz.workers import Batch, Kind, Result, Workers

SHARES: Final[Mapping[str, int]] = {
    "run": 8,
    "history": 6,
    "plan": 2,
    "inventory": 2,
    "answer": 2,
}
"""How the inputs are divided among the kinds."""
BATCH: Final = 50
"""Inputs of one process. In large batches, one worker would have all inputs of a slow kind."""
SHOWN_EVERY_S: Final = 10.0
KEPT_PER_CAUSE: Final = 5


def kinds_of(seed: int) -> dict[str, Kind]:
    """Return every kind of inputs; the seed decides what they are made from."""
    histories = Histories(seed)
    print(f"unchanged runs and histories: {histories.verdicts()}", flush=True)
    return {
        "run": histories.run,
        "history": histories.history,
        "plan": Plans().run,
        "inventory": Inventories().run,
        "answer": answers.run,
    }


def batches(inputs: int, only: str = "") -> Iterator[Batch]:
    """Yield the batches of all kinds in turn, so that each kind shows its failures early.

    ``only`` is the kind of all inputs, if it is not empty.
    """
    shares = {only: 1} if only else SHARES
    left = {kind: (0, inputs * share // sum(shares.values())) for kind, share in shares.items()}
    while any(start < stop for start, stop in left.values()):
        for kind, (start, stop) in left.items():
            end = min(start + BATCH, stop)
            if start < end:
                yield Batch(kind, start, end)
            left[kind] = (end, stop)


class Report:
    """Counts results, keeps the inputs of failures, and prints both."""

    def __init__(self, folder: Path, inputs: int) -> None:
        self._folder = folder
        self._inputs = inputs
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._causes: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._began = self._shown = time.monotonic()

    def add(self, result: Result) -> None:
        """Count a result; keep the first inputs of each cause of failures."""
        self._counts[result.kind][result.outcome.name] += 1
        if result.outcome.failed:
            numbers = self._causes[result.kind, result.outcome.name, result.outcome.detail]
            numbers.append(result.number)
            if result.files is not None and result.files.exists():
                if len(numbers) <= KEPT_PER_CAUSE:
                    target = self._folder / f"{result.kind}-{result.number}"
                    shutil.copytree(result.files, target, dirs_exist_ok=True)
                shutil.rmtree(result.files)
        if time.monotonic() - self._shown > SHOWN_EVERY_S:
            self._shown = time.monotonic()
            self._show_progress()

    def _show_progress(self) -> None:
        done = sum(counts.total() for counts in self._counts.values())
        seconds = self._shown - self._began
        print(
            f"{done:>9,} of {self._inputs:,} inputs, {self.failures} failed, {seconds:.0f} s",
            flush=True,
        )

    @property
    def failures(self) -> int:
        """The number of inputs that failed."""
        return sum(counts[name] for counts in self._counts.values() for name in FAILURES)

    def print_tables(self, seed: int) -> None:
        """Print the counts by kind, and each cause of failures with an input that repeats it."""
        print(f"\n{'kind':<10}{'inputs':>9}" + "".join(f"{name:>16}" for name in FAILURES))
        for kind, counts in self._counts.items():
            cells = "".join(f"{counts[name]:>16,}" for name in FAILURES)
            print(f"{kind:<10}{counts.total():>9,}{cells}")
        other: Counter[str] = Counter()
        for counts in self._counts.values():
            other.update({name: count for name, count in counts.items() if name not in FAILURES})
        total = sum(counts.total() for counts in self._counts.values())
        rest = ", ".join(f"{count:,} {name}" for name, count in other.most_common())
        print(f"{total:,} inputs, {self.failures:,} failed; {rest}")
        for (kind, name, detail), numbers in sorted(self._causes.items(), key=_by_count):
            example = f"--seed {seed} --only {kind}:{min(numbers)}"
            print(f"  {len(numbers):>6,}  {kind}: {name}: {detail}   ({example})")
        if self.failures:
            print(f"the failing inputs are in {self._folder}")


def _by_count(item: tuple[tuple[str, str, str], list[int]]) -> tuple[int, tuple[str, str, str]]:
    return -len(item[1]), item[0]


def main() -> int:
    """Run the fuzzer; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="script/fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--inputs", type=int, default=200_000, help="[default: 200000]")
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="[default: the cores]"
    )
    parser.add_argument("--only", metavar="KIND[:NUMBER]", help="one kind, or one input of it")
    parser.add_argument(
        "--folder", type=Path, default=Path("fuzz-failures"), help="for the inputs that failed"
    )
    arguments = parser.parse_args()
    kind, _, number = (arguments.only or "").partition(":")
    if kind and kind not in SHARES:
        parser.error(f"--only: known kinds are {', '.join(SHARES)}")
    chosen: Iterator[Batch] = batches(arguments.inputs, kind)
    if number:
        chosen = iter([Batch(kind, int(number), int(number) + 1)])
    report = Report(arguments.folder, arguments.inputs)
    workers = Workers(kinds_of(arguments.seed), arguments.seed, arguments.jobs)
    for result in workers.run(chosen):
        report.add(result)
    report.print_tables(arguments.seed)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
