"""Measure how far apart the nodes of a fault act, from the stored results of runs.

    python -m benchmarks.skew FOLDER...

A FOLDER has runs in it at any depth: a run, a store or a campaign. Each fault that acted on at
least two nodes counts, with the milliseconds between the first node and the last to act. A line is
for a number of nodes, and then for each kind of fault on as many. Faults whose actions take time on
each node, such as a restart, are spread by that time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from jepsenvm.experiment.store import RESULTS

TARGET_MS: Final = 10.0
"""The nodes of a fault should act within this time, in 99 of 100 faults."""


@dataclass(frozen=True)
class Skew:
    """How far apart the nodes of one fault acted."""

    kind: str
    nodes: int
    milliseconds: float


@dataclass(frozen=True)
class Summary:
    """The skews of some faults, in milliseconds."""

    count: int
    median: float
    p99: float
    most: float
    within_target: float
    """The share of the faults with at most ``TARGET_MS``."""


def skews(results: Mapping[str, Any]) -> Iterator[Skew]:
    """Yield the skew of each fault in the results of a run that acted on at least two nodes."""
    for window in results["checkers"].get("faults", {}).get("windows", ()):
        fault, milliseconds = window["fault"], window["skew-ms"]
        nodes = _acting(fault)
        if milliseconds is not None and nodes > 1:
            yield Skew(fault["kind"], nodes, milliseconds)


def _acting(fault: Mapping[str, Any]) -> int:
    """Return the number of nodes that act in a fault: with a grudge, those that drop packets."""
    if fault.get("grudge"):
        return sum(map(bool, fault["grudge"].values()))
    return len(fault.get("nodes", ()))


def summary(milliseconds: Sequence[float]) -> Summary:
    """Return the summary of at least one skew."""
    values = np.array(milliseconds)
    # The skew of a fault, never a number between two of them.
    median, p99 = np.quantile(values, [0.5, 0.99], method="inverted_cdf")
    within = np.mean(values <= TARGET_MS)
    return Summary(len(values), float(median), float(p99), float(values.max()), float(within))


def summaries(all_skews: Iterable[Skew]) -> dict[str, Summary]:
    """Return the summary for each number of nodes, and for each kind of fault on as many."""
    groups: dict[tuple[int, str], list[float]] = {}
    for skew in all_skews:
        for kind in ("", skew.kind):
            groups.setdefault((skew.nodes, kind), []).append(skew.milliseconds)
    return {
        f"{nodes} nodes {kind}".rstrip(): summary(groups[nodes, kind])
        for nodes, kind in sorted(groups)
    }


def stored_results(folders: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    """Yield the results of each run below some folders, once."""
    for file in sorted({file.resolve() for folder in folders for file in folder.rglob(RESULTS)}):
        results: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        yield results


def main() -> None:
    """Print a line for each number of nodes and each kind of fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    folders = parser.parse_args().folders
    lines = summaries(skew for results in stored_results(folders) for skew in skews(results))
    if not lines:
        sys.exit(f"no stored fault on at least two nodes below {', '.join(map(str, folders))}")
    heads = ("count", "median ms", "p99 ms", "most ms", f"<= {TARGET_MS:g} ms")
    print(f"{'faults on':<32}", *map("{:>9}".format, heads))
    for name, of in lines.items():
        milliseconds = (f"{value:>9.1f}" for value in (of.median, of.p99, of.most))
        print(f"{name:<32} {of.count:>9}", *milliseconds, f"{of.within_target:>9.0%}")


if __name__ == "__main__":
    main()
