"""Measure the space of a history, and the time and the memory of `jepsenvm check`.

    python -m benchmarks.check [--no-counters] [--batch ENQUEUES] [ENQUEUES ...]
                                                                  (default: 100000 1000000)

Each history has four ops for each enqueue. Some messages are lost and some duplicated. It is
written in small batches as a run writes them, and then made compact as at the end of a run.
Consumers write each delivery before they acknowledge it, which --batch 1 imitates: at most four ops
in a batch.

The first line of each size is about space. "journal" is the file that the run writes, "stored" what
is left of it, and "Parquet" has the same rows and columns, compressed with zstd.

The other lines compare `jepsenvm check` with Python Counters on the stored file. The ratio is of
CPU time, because other work on the machine disturbs it less. Peak RSS includes the pages of the
mapped file, which the kernel can drop; "own" is the memory that it cannot drop.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.new_process import measured
from jepsenvm.checkers.total_queue import COUNTED
from jepsenvm.experiment.judge import judge
from jepsenvm.history.arrow_file import read_arrow
from jepsenvm.history.arrow_stream import ArrowStream, create_file
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.journal import SCHEMA
from jepsenvm.history.op import TYPES
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import joined_tables

BATCH = 800
"""Enqueues per batch: a run of 8,000 messages per second writes a batch every 100 ms."""
LAG = 10_000
"""Messages that are sent between the enqueue of a message and its delivery."""
NAMES = ("enqueue", "dequeue", "drain")
NODES = tuple(f"n{number}" for number in range(1, 6))


def write(path: Path, enqueues: int, batch: int = BATCH) -> None:
    """Write a history with this many enqueues.

    One message of 10,007 is lost, one of 1,009 is delivered twice.
    """
    with closing(create_file(path)) as file:
        stream = ArrowStream(file, SCHEMA)
        for start in range(0, enqueues + LAG, batch):
            sent = np.arange(start, min(start + batch, enqueues))
            first_delivery = max(0, start - LAG)
            last_delivery = min(max(0, start - LAG + batch), enqueues)
            delivered = np.arange(first_delivery, last_delivery)
            delivered = delivered[delivered % 10_007 != 7]
            delivered = np.concatenate([delivered, delivered[delivered % 1_009 == 3]])
            stream.write_batch(_batch(start, sent, delivered))
        stream.write_batch(_drain())
        stream.end()


def parquet_size(path: Path) -> int:
    """Return the bytes of a Parquet file with the rows of a journal."""
    target = path.with_suffix(".parquet")
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for table in joined_tables(read_arrow(path).stream):
            writer.write_table(table)
    size = target.stat().st_size
    target.unlink()
    return size


def _batch(start: int, sent: np.ndarray, delivered: np.ndarray) -> pa.RecordBatch:
    f = np.repeat([0, 1], [2 * len(sent), 2 * len(delivered)])
    types = ["invoke", "ok"] * (len(sent) + len(delivered))
    values = np.repeat(np.concatenate([sent, delivered]), 2)
    # The invocation of a dequeue has no value.
    without_value = (f == 1) & (np.arange(len(f)) % 2 == 0)
    return _rows(f, types, values, without_value, start * 125_000)


def _drain() -> pa.RecordBatch:
    both = np.array([True, True])
    return _rows(np.array([2, 2]), ["invoke", "ok"], np.array([0, 0]), both, 10**12)


def _rows(
    f: np.ndarray, types: list[str], values: np.ndarray, without_value: np.ndarray, began: int
) -> pa.RecordBatch:
    rows = len(f)
    codes: dict[str, int] = {name: code for code, name in enumerate(TYPES)}
    columns = {
        "time": pa.array(began + np.arange(rows) * 31_000),
        "type": pa.array([codes[type_] for type_ in types], pa.int8()),
        "process": pa.array(values % 500),
        "f": pa.DictionaryArray.from_arrays(pa.array(f, pa.int32()), pa.array(NAMES)),
        "value": pa.array(values, pa.int64(), mask=without_value),
        "offset": pa.nulls(rows, pa.int64()),
        "node": pa.DictionaryArray.from_arrays(pa.array(values % 5, pa.int32()), pa.array(NODES)),
        "error": pa.nulls(rows, pa.utf8()),
        "data": pa.nulls(rows, pa.utf8()),
    }
    return pa.record_batch(list(columns.values()), schema=SCHEMA)


def by_jepsenvm(path: Path) -> list[int]:
    """Return the lost, duplicated, unexpected and recovered counts that `jepsenvm check` finds."""
    figures = judge(path).results.checkers["total-queue"].figures
    return [figures[f"{name}-count"] for name in ("lost", "duplicated", "unexpected", "recovered")]


def by_counters(path: Path) -> list[int]:
    """Return the same counts by the definition, with Python's Counters."""
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
    results = (acknowledged - dequeued, dequeued - ok - unexpected, unexpected, ok - acknowledged)
    return [multiset.total() for multiset in results]


METHODS: dict[str, Callable[[Path], list[int]]] = {
    "jepsenvm": by_jepsenvm,
    "Counters": by_counters,
}


def measure(method: str, path: Path) -> dict[str, Any]:
    """Return the counts of a method, its seconds, and the memory of this process in MB."""
    own_kilobytes: list[int] = [0]
    threading.Thread(target=_watch_memory, args=(own_kilobytes,), daemon=True).start()
    began, cpu_began = time.perf_counter(), time.process_time()
    counts = METHODS[method](path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "counts": counts,
        "seconds": seconds,
        "cpu": cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "own": own_kilobytes[0] // 1024,
    }


def _watch_memory(own_kilobytes: list[int]) -> None:
    """Keep the largest anonymous memory of this process, until it ends."""
    while True:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                own_kilobytes[0] = max(own_kilobytes[0], int(line.split()[1]))
        time.sleep(0.02)


def make_compact(path: Path) -> None:
    """Make a journal compact, and print the space that it takes before and afterwards."""
    rows = sum(len(chunk.type) for chunk in open_history(path))
    journal, parquet = path.stat().st_size, parquet_size(path)
    began = time.process_time()
    compact_run(path)
    seconds = time.process_time() - began
    stored = path.stat().st_size
    print(
        f"{rows:,} rows; bytes a row: journal {journal / rows:.1f}, stored {stored / rows:.1f}, "
        f"Parquet {parquet / rows:.1f}; made compact in {seconds:.2f} s of CPU time",
        flush=True,
    )


def main() -> None:
    """Print a table with one line for each size and method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("enqueues", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument(
        "--no-counters",
        action="store_true",
        help="measure jepsenvm only: Counters take minutes and gigabytes",
    )
    parser.add_argument(
        "--batch", type=int, default=BATCH, metavar="ENQUEUES", help="enqueues in each batch"
    )
    arguments = parser.parse_args()
    methods = ["jepsenvm"] if arguments.no_counters else list(METHODS)
    for enqueues in arguments.enqueues:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.arrow"
            write(path, enqueues, arguments.batch)
            make_compact(path)
            results = {
                method: measured("benchmarks.check", method, str(path)) for method in methods
            }
        if len({str(result["counts"]) for result in results.values()}) > 1:
            sys.exit(f"the methods disagree: {results}")
        print("    enqueues    method  seconds  cpu s  ratio  peak MB  own MB")
        for method, result in results.items():
            ratio = result["cpu"] / results["jepsenvm"]["cpu"]
            print(
                f"{enqueues:>12,} {method:>9} {result['seconds']:>8.2f} "
                f"{result['cpu']:>6.2f} {ratio:>6.1f} {result['peak']:>8,} {result['own']:>7,}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
