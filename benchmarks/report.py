"""Measure `jepsenvm report` of a run with 10 million ops, and how long its page takes to open.

    python -m benchmarks.report [--rounds 3] [--messages 2500000]

Each message has four ops. The run takes 1,200 s, which is the most time bins that a page has, and
has two faults. The smaller side of a partition lost what it confirmed.

| column | what is measured |
| --- | --- |
| cpu, wall | seconds of the whole command, with the start of Python |
| peak | largest resident memory in MB, with the pages of the mapped history |
| page | size of the page in MB |
| load | wall seconds in Chromium until the page's load event ended |
| drawn | wall seconds until two frames were drawn after that |
| script | CPU seconds of the page's main thread until then |
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from playwright.sync_api import Browser

from jepsenvm.history.op import Op, Type
from jepsenvm.history.units import MILLISECOND, SECOND
from tests.browser.chromium import DEADLINE_MS, chromium
from tests.report_runs import MINORITY, NODES, fault_ops, write_run

RUN_S: Final = 1_200
PROCESSES: Final = 5_000
"""More than there are messages in flight at any time."""
LOST_S: Final = (34, 62)
"""What the smaller side of the partition confirmed in these seconds never came back."""
AT_ONCE: Final = 100_000

KINDS: Final[tuple[tuple[Type, str], ...]] = (
    ("invoke", "enqueue"),
    ("ok", "enqueue"),
    ("invoke", "dequeue"),
    ("ok", "dequeue"),
)


def load(messages: int) -> Iterator[Op]:
    """Yield the ops of publishers and consumers, by time."""
    random = np.random.default_rng(5)
    sent = np.sort(random.integers(0, RUN_S * SECOND, messages))
    confirmed = sent + random.lognormal(15, 1, messages).astype(np.int64)
    delivered = confirmed + random.integers(MILLISECOND, SECOND, messages)
    value = np.arange(messages)
    begin, end = (second * SECOND for second in LOST_S)
    lost = (value % len(NODES) < len(MINORITY)) & (begin <= confirmed) & (confirmed < end)
    kept = value[~lost]
    times = [sent, confirmed, (delivered - MILLISECOND)[kept], delivered[kept]]
    at = np.concatenate(times)
    kind = np.repeat(np.arange(4), [len(of_kind) for of_kind in times])
    of = np.concatenate([value, value, kept, kept])
    order = np.argsort(at, kind="stable")
    for start in range(0, len(order), AT_ONCE):
        rows = order[start : start + AT_ONCE]
        for row in zip(at[rows].tolist(), kind[rows].tolist(), of[rows].tolist(), strict=True):
            yield _op(*row)


def _op(at: int, kind: int, value: int) -> Op:
    type_, f = KINDS[kind]
    process = value % PROCESSES + (PROCESSES if f == "dequeue" else 0)
    known = value if (type_, f) != ("invoke", "dequeue") else None
    return Op(type_, f, known, process, at, NODES[value % len(NODES)])


def ops(messages: int) -> Iterator[Op]:
    """Yield the ops of the whole run, by time."""
    faults = sorted(fault_ops(), key=lambda op: op.time)
    yield from heapq.merge(faults, load(messages), key=lambda op: op.time)
    for second, type_ in enumerate(("invoke", "ok"), RUN_S + 10):
        data = {"received": messages, "broker": "ready 0"} if type_ == "ok" else None
        yield Op(type_, "drain", None, 2 * PROCESSES, second * SECOND, data=data)  # type: ignore[arg-type]  # both are types


def report(run: Path, page: Path) -> tuple[float, float, float]:
    """Write the report with the command; return its CPU and wall seconds, and its peak in MB."""
    command = [sys.executable, "-m", "jepsenvm", "report", str(run), "-o", str(page)]
    began = time.perf_counter()
    # Its messages are few lines about what the run does not have.
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe, text=True) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"jepsenvm report ended with {process.returncode}: {process.communicate()[1]}")
    wall = time.perf_counter() - began
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024


DRAWN: Final = """() => new Promise((done) => {
  const [navigation] = performance.getEntriesByType("navigation");
  requestAnimationFrame(() => requestAnimationFrame(
    () => done([navigation.loadEventEnd / 1000, performance.now() / 1000])));
})"""


def opened(browser: Browser, page: Path) -> tuple[float, float, float]:
    """Open a page; return the seconds until it was loaded, until it was drawn, and of its CPU."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(DEADLINE_MS)
    tab = context.new_page()
    tools = context.new_cdp_session(tab)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(page.as_uri(), wait_until="load")
    if not tab.locator("#chart-timeline svg path").count():
        sys.exit("the page has no timeline")
    loaded, drawn = tab.evaluate(DRAWN)
    metrics = tools.send("Performance.getMetrics")["metrics"]
    script = {metric["name"]: metric["value"] for metric in metrics}["TaskDuration"]
    context.close()
    return loaded, drawn, script


def main() -> None:
    """Print a line for each round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=2_500_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, page = (
            write_run(Path(folder) / "run", ops(arguments.messages)),
            Path(folder) / "page.html",
        )
        print("round    cpu s  wall s  peak MB  page MB  load s  drawn s  script s", flush=True)
        for number in range(1, arguments.rounds + 1):
            cpu, wall, peak = report(run, page)
            with chromium() as browser:
                loaded, drawn, script = opened(browser, page)
            print(
                f"{number:>5} {cpu:>8.1f} {wall:>7.1f} {peak:>8,.0f} "
                f"{page.stat().st_size / 1e6:>8.2f} {loaded:>7.2f} {drawn:>8.2f} {script:>9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
