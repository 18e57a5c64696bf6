"""How long `jepsenvm check` takes and how much memory, beside Python Counters over the same columns in the same run.

    python -m benchmarks.check [--no-peer] [ENQUEUES ...]     (default: 100000 1000000)

Each history has four ops for each enqueue, in small batches as a run writes them, with some lost and some duplicated.
The ratio is of CPU time, which other work on the machine disturbs less. Peak RSS counts the pages of the mapped file
too, which the kernel takes back at need; "own" is what it cannot.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jepsenvm.checkers.total_queue import COUNTED
from jepsenvm.experiment.analysis import judge
from jepsenvm.history.journal import SCHEMA
from jepsenvm.history.op import TYPES
from jepsenvm.history.readers import open_history

BATCH = 800
"""Enqueues of a batch: 8,000 messages a second, a batch every 100 ms."""
LAG = 10_000
"""A message is delivered so many messages after it was sent."""
NAMES = ("enqueue", "dequeue", "drain")
NODES = tuple(f"n{number}" for number in range(1, 6))


def write(path: Path, enqueues: int) -> None:
    """Write a history of so many enqueues; every 10,007th confirmed message is lost, every 1,009th comes twice."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        for start in range(0, enqueues + LAG, BATCH):
            sent = np.arange(start, min(start + BATCH, enqueues))
            came = np.arange(max(0, start - LAG), min(max(0, start - LAG + BATCH), enqueues))
            came = came[came % 10_007 != 7]
            came = np.concatenate([came, came[came % 1_009 == 3]])
            stream.write_batch(_batch(start, sent, came))
        stream.write_batch(
            _rows(
                np.array([2, 2]), ["invoke", "ok"], np.array([0, 0]), np.array([True, True]), 10**12
            )
        )


def _batch(start: int, sent: np.ndarray, came: np.ndarray) -> pa.RecordBatch:
    f = np.repeat([0, 1], [2 * len(sent), 2 * len(came)])
    types = ["invoke", "ok"] * (len(sent) + len(came))
    no_value = (f == 1) & (np.arange(len(f)) % 2 == 0)
    return _rows(f, types, np.repeat(np.concatenate([sent, came]), 2), no_value, start * 125_000)


def _rows(
    f: np.ndarray, types: list[str], values: np.ndarray, no_value: np.ndarray, began: int
) -> pa.RecordBatch:
    rows = len(f)
    codes: dict[str, int] = {name: code for code, name in enumerate(TYPES)}
    columns = {
        "time": pa.array(began + np.arange(rows) * 31_000),
        "type": pa.array([codes[type_] for type_ in types], pa.int8()),
        "process": pa.array(values % 500),
        "f": pa.DictionaryArray.from_arrays(pa.array(f, pa.int32()), pa.array(NAMES)),
        "value": pa.array(values, pa.int64(), mask=no_value),
        "offset": pa.nulls(rows, pa.int64()),
        "node": pa.DictionaryArray.from_arrays(pa.array(values % 5, pa.int32()), pa.array(NODES)),
        "error": pa.nulls(rows, pa.utf8()),
        "data": pa.nulls(rows, pa.utf8()),
    }
    return pa.record_batch(list(columns.values()), schema=SCHEMA)


def by_jepsenvm(path: Path) -> list[int]:
    """Return how many were lost, duplicated, unexpected and recovered, as `jepsenvm check` finds."""
    figures = judge(path).results.checkers["total-queue"].figures
    return [figures[f"{name}-count"] for name in ("lost", "duplicated", "unexpected", "recovered")]


def by_counters(path: Path) -> list[int]:
    """Return the same by the definition, with Python's Counters."""
    sets: list[Counter[int]] = [Counter() for _ in COUNTED]
    history = open_history(path)
    for chunk in history:
        for counter, (type_, f) in zip(sets, COUNTED, strict=True):
            counter.update(chunk.value[history.mask(chunk, type_, f) & chunk.has_value].tolist())
    attempted, acknowledged, dequeued = sets
    ok = dequeued & attempted
    unexpected = Counter(
        {value: count for value, count in dequeued.items() if value not in attempted}
    )
    found = (acknowledged - dequeued, dequeued - ok - unexpected, unexpected, ok - acknowledged)
    return [multiset.total() for multiset in found]


WAYS: dict[str, Callable[[Path], list[int]]] = {"jepsenvm": by_jepsenvm, "Counters": by_counters}


def measured(way: str, path: Path) -> dict[str, Any]:
    """Return what one way finds in a history, its seconds, and the memory of this process in MB."""
    own: list[int] = [0]
    threading.Thread(target=_watch, args=(own,), daemon=True).start()
    began, cpu_began = time.perf_counter(), time.process_time()
    found = WAYS[way](path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"found": found, "seconds": seconds, "cpu": cpu, "peak": peak, "own": own[0] // 1024}


def _watch(own: list[int]) -> None:
    while True:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                own[0] = max(own[0], int(line.split()[1]))
        time.sleep(0.02)


def _in_a_process_of_its_own(way: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.check", "--measure", way, str(path)]
    return dict(
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    )


def main() -> None:
    """Print a table, a line for each size and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("enqueues", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument(
        "--no-peer",
        action="store_true",
        help="leave the Counters out: they take minutes and gigabytes",
    )
    ways = ["jepsenvm"] if parser.parse_args().no_peer else list(WAYS)
    print("    enqueues  file MB       way  seconds  cpu s  ratio  peak MB  own MB")
    for enqueues in parser.parse_args().enqueues:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.arrow"
            write(path, enqueues)
            results = {way: _in_a_process_of_its_own(way, path) for way in ways}
            megabytes = path.stat().st_size / 1e6
        if len({str(result["found"]) for result in results.values()}) > 1:
            sys.exit(f"they disagree: {results}")
        for way, result in results.items():
            ratio = result["cpu"] / results["jepsenvm"]["cpu"]
            print(
                f"{enqueues:>12,} {megabytes:>8.0f} {way:>9} {result['seconds']:>8.2f} "
                f"{result['cpu']:>6.2f} {ratio:>6.1f} {result['peak']:>8,} {result['own']:>7,}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measured(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
