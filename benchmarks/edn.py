"""Measure the reading of EDN, and `jepsenvm check` of a lock history, in CPU time.

    python -m benchmarks.edn [--rounds 3] [--operations 100000]

The history is that of a lock with 20 processes, with two lines for each operation.

| row | what is measured |
| --- | --- |
| edn | reading the file to columns |
| forms | reading it one form at a time, as lines are that are not plain |
| json | Arrow's compiled JSON parser on the same ops as JSON lines |
| check | the whole command `jepsenvm check --workload lock`, with the start of Python |
| import | a Python that only imports the module of that command |

The ratio is to the row json of the same round. MB is the growth of the peak memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pyarrow.json

from benchmarks.new_process import measured
from jepsenvm.history import readers
from jepsenvm.history.readers import open_history

PROCESSES: Final = 20


def lock_history(operations: int) -> Iterator[dict[str, Any]]:
    """Yield the ops of a lock. Most acquires fail because another process holds it."""
    chance = random.Random(1)
    now, index, finished = 0, 0, 0
    holder: int | None = None
    invoked: dict[int, str] = {}
    while finished < operations:
        process = chance.randrange(PROCESSES)
        now += chance.randrange(1_000, 90_000)
        f = invoked.pop(process, None)
        type_ = "invoke"
        if f is None:
            f = invoked[process] = "release" if holder == process else "acquire"
        else:
            type_ = "ok" if f == "release" or holder is None else "fail"
            if type_ == "ok":
                holder = process if f == "acquire" else None
            finished += 1
        yield {
            "type": type_,
            "f": f,
            "value": None,
            "process": process,
            "time": now,
            "index": index,
        }
        index += 1


def write(folder: Path, operations: int) -> int:
    """Write the history as EDN and as JSON lines; return the number of lines."""
    with (folder / "history.edn").open("w") as in_edn, (folder / "history.json").open("w") as js:
        lines = 0
        for op in lock_history(operations):
            in_edn.write(
                f"{{:type :{op['type']}, :f :{op['f']}, :value nil, :process {op['process']}, "
                f":time {op['time']}, :index {op['index']}}}\n"
            )
            js.write(f"{json.dumps(op)}\n")
            lines += 1
    return lines


def read_edn(folder: Path) -> None:
    """Read the history as a check does."""
    open_history(folder / "history.edn")


def read_forms(folder: Path) -> None:
    """Read the history without columns."""
    with patch.object(readers, "PlainLines") as lines:
        lines.return_value.at = None
        open_history(folder / "history.edn")


def read_json(folder: Path) -> None:
    """Read the same ops with Arrow."""
    pyarrow.json.read_json(folder / "history.json")


def check(folder: Path) -> None:
    """Check the history with the command."""
    path = str(folder / "history.edn")
    command = [sys.executable, "-m", "jepsenvm", "check", "--workload", "lock", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def only_import(_: Path) -> None:
    """Start a Python that imports what the command imports."""
    subprocess.run([sys.executable, "-c", "import jepsenvm.cli.check"], check=True)


ROWS: Final[Mapping[str, Callable[[Path], None]]] = {
    "json": read_json,
    "edn": read_edn,
    "forms": read_forms,
    "check": check,
    "import": only_import,
}


def measure(row: str, folder: Path) -> dict[str, float]:
    """Return the CPU seconds of a row, and the growth of the peak memory in MB."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _cpu()
    ROWS[row](folder)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu": _cpu() - began, "megabytes": (after - before) / 1024}


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def in_new_process(row: str, folder: Path) -> dict[str, float]:
    """Return what ``measure`` returns in a process of its own."""
    return measured("benchmarks.edn", row, str(folder))


def main() -> None:
    """Print a line for each row and round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = write(Path(folder), arguments.operations)
        print(f"{lines:,} lines\nround     row   cpu s    lines/s  ratio     MB")
        for number in range(1, arguments.rounds + 1):
            results = {row: in_new_process(row, Path(folder)) for row in ROWS}
            for row, result in results.items():
                ratio = result["cpu"] / results["json"]["cpu"]
                print(
                    f"{number:>5} {row:>7} {result['cpu']:>7.2f} {lines / result['cpu']:>10,.0f} "
                    f"{ratio:>6.1f} {result['megabytes']:>6.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
