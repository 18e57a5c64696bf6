"""Run mixed faults for hours, and measure the memory and the file descriptors of the controller.

    python -m benchmarks.soak [-i INVENTORY] [--minutes 120] [--rate 2000] [--dir soak]

It needs a cluster that `jepsenvm deploy` made. Publishers and consumers of a quorum queue send and
receive at a constant rate. The controller and its load processes are looked at every five seconds.
The folder gets samples.csv, soak.png and the store of the run.

The exit status is 1 if the run was not valid, if its history is not complete, or if a curve grew:
the median of its last quarter is more than a quarter above that of its second quarter. The first
quarter is left out, because caches fill in it.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

import yaml
from matplotlib.figure import Figure

from jepsenvm.history.readers import open_history

PERIOD_S: Final = 5.0
LEAST_SAMPLES: Final = 4
"""One for each quarter."""
GROWTH: Final = 1.25
"""A curve is not flat if it grows by more than this factor."""
MIB: Final = 2**20


@dataclass(frozen=True)
class Sample:
    """The processes of a run at one moment."""

    seconds: float
    memory_mib: float
    descriptors: int
    """Open file descriptors."""


CURVES: Final = {"memory_mib": "memory (MiB)", "descriptors": "file descriptors"}
"""Of the controller and its load processes together."""


def plan(minutes: float, rate: int) -> dict[str, object]:
    """Return the plan of the run."""
    return {
        "name": "soak",
        "queue-type": "quorum",
        "nemesis": "mixed",
        "rate": rate,
        "window": 100,
        "consumers": 5,
        "delivery-limit": -1,  # each fault returns messages to the queue
        "time-limit": minutes * 60,
        "quiet-before": [20, 60],
        "fault-duration": [10, 40],
        "seed": 1,
    }


def sample(controller: int, began: float) -> Sample | None:
    """Return what the processes of a run use; None if the controller has ended."""
    try:
        memory = _memory(controller)
        processes = [controller, *_descendants(controller)]
    except OSError:
        return None
    descriptors = 0
    for pid in processes:
        try:
            memory += 0 if pid == controller else _memory(pid)
            descriptors += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue  # it ended meanwhile
    return Sample(round(time.monotonic() - began, 1), memory / MIB, descriptors)


def _memory(pid: int) -> int:
    """Return the bytes of a process that are not shared with a file or with another process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Anonymous":
            return int(value.split()[0]) * 1024
    raise ProcessLookupError(pid)


def _descendants(pid: int) -> list[int]:
    """Return the Python processes that a process started, and those that these started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if "python" in Path(f"/proc/{child}/comm").read_text():
                found += [child, *_descendants(child)]
    return found


def run(folder: Path, minutes: float, rate: int, inventory: str | None) -> tuple[int, list[Sample]]:
    """Run the plan; return its exit status and the samples, which are also in samples.csv."""
    file = folder / "plan.yml"
    file.write_text(yaml.safe_dump(plan(minutes, rate)), encoding="utf-8")
    words = ["run", str(file), "--store", str(folder / "store")]
    if inventory:
        words += ["-i", inventory]
    process = subprocess.Popen([sys.executable, "-m", "jepsenvm", *words])
    began = time.monotonic()
    samples = []
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(field.name for field in fields(Sample))
        while process.poll() is None:
            if now := sample(process.pid, began):
                samples.append(now)
                writer.writerow(astuple(now))
                output.flush()
            time.sleep(PERIOD_S)
    return process.returncode, samples


def growth(samples: Sequence[Sample], curve: str) -> float:
    """Return the median of a curve's last quarter as a multiple of that of its second quarter."""
    values = [float(getattr(one, curve)) for one in samples]
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) / statistics.median(values[quarter : 2 * quarter])


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Draw the curves, one below the other."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(len(CURVES), sharex=True)
    minutes = [one.seconds / 60 for one in samples]
    for axis, (curve, label) in zip(axes, CURVES.items(), strict=True):
        axis.plot(minutes, [getattr(one, curve) for one in samples])
        axis.set_ylabel(label, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes since the start of the command")
    figure.savefig(file, dpi=100)


def main() -> None:
    """Run the soak, print its figures, and exit with 1 if something grew or was not valid."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-i", "--inventory")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--dir", type=Path, default=Path("soak"))
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True)
    status, samples = run(arguments.dir, arguments.minutes, arguments.rate, arguments.inventory)
    if len(samples) < LEAST_SAMPLES:
        sys.exit(f"the run ended after {len(samples)} samples, with exit status {status}")
    draw(samples, arguments.dir / "soak.png")
    stored = (arguments.dir / "store/latest").resolve()
    results = json.loads((stored / "results.json").read_text(encoding="utf-8"))
    complete = open_history(stored / "history.arrow").complete
    print(f"verdict {results['verdict']}, history {'complete' if complete else 'NOT complete'}")
    grown = []
    for curve, label in CURVES.items():
        factor = growth(samples, curve)
        print(f"{label}: last quarter {factor:.2f} times the second, {len(samples)} samples")
        if factor > GROWTH:
            grown.append(label)
    if status or not complete or grown:
        sys.exit(f"exit status {status}; grew: {', '.join(grown) or 'nothing'}")


if __name__ == "__main__":
    main()
