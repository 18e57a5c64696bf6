"""Measure what the recording of a load costs, as a share of the CPU time of the load.

    python -m benchmarks.recording [--rounds 3] [--messages 20000] [--rate 0] [--connections 5]
                                   [--window 100] [--queue-type TYPE]

It starts a RabbitMQ node of its own on this machine, as tests/proxy does, and ends it afterwards.
The publishers and the consumers of workload queue, as many of each as CONNECTIONS, send and receive
all messages in one process. Consumers acknowledge by hand.

| load | what it is |
| --- | --- |
| recorded | the load of a run: each op is recorded and flushed to a file |
| unrecorded | the same load with a journal that does nothing |
| recording | the calls of a recorded load to its journal, in the same batches, without the load |

The loads take turns in each round, each in a new process. "cpu" is the CPU time of that process for
100,000 messages; the broker's is not in it. The share of the recording is given in two ways: from
the difference of the first two, and from the third. The difference also has what recording costs
the rest of the process. It is less exact if other work disturbs the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from benchmarks.new_process import measured
from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.load import FLUSH_EVERY_S
from jepsenvm.experiment.tasks import every, first_error, run_all
from jepsenvm.history.journal import Journal
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import QueueType
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import queue_arguments
from jepsenvm.workloads.registry import WORKLOADS
from tests.proxy.broker import HOST, running

LOOK_EVERY_S: Final = 0.2
"""Seconds between two looks whether all messages were sent and received."""

Calls = list[tuple[tuple[Any, ...], dict[str, Any]] | None]
"""The calls to a journal: the arguments of an append, None for a flush."""


class NoJournal(Journal):
    """Records nothing."""

    def append(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


class NotedJournal(Journal):
    """Records, and notes each call."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: Calls = []

    def append(self, *arguments: Any, **named: Any) -> None:
        """Note an op, and record it."""
        self.calls.append((arguments, named))
        super().append(*arguments, **named)

    def flush(self) -> None:
        """Note a flush, and flush."""
        self.calls.append(None)
        super().flush()


async def load(plan: Plan, port: int, journal: Journal) -> float:
    """Send and receive all messages of a plan; return the CPU time in seconds."""
    nodes = [f"n{number}" for number in range(1, plan.consumers + 1)]
    addresses = [Address(node, HOST, port, "guest", "guest") for node in nodes]
    context = Context(plan, addresses, f"benchmark.{os.getpid()}", journal, asyncio.Event())

    async def flush() -> None:
        journal.flush()

    async with session(addresses[0], addresses[0].connect_timeout) as opened:
        await opened.declare(context.queue, queue_arguments(plan))
        cpu = time.process_time()
        async with every(FLUSH_EVERY_S, flush), asyncio.TaskGroup() as tasks:
            tasks.create_task(run_all(WORKLOADS[plan.workload].load(context)))
            while _sent(context) < (plan.messages or 0) or await opened.ready(context.queue):
                await asyncio.sleep(LOOK_EVERY_S)
            context.stop.set()
        journal.close()
        cpu = time.process_time() - cpu
        await opened.delete(context.queue)
    if any(counts.failed or counts.unknown for counts in context.op_counts.values()):
        sys.exit(f"not every message was confirmed: {context.op_counts}")
    return cpu


def _sent(context: Context) -> int:
    return sum(counts.ok for counts in context.op_counts.values())


def recorded(plan: Plan, port: int, path: Path) -> float:
    """Return the CPU time of a load that is recorded."""
    return asyncio.run(load(plan, port, Journal(path, time.monotonic_ns)))


def unrecorded(plan: Plan, port: int, path: Path) -> float:
    """Return the CPU time of a load that is not recorded."""
    return asyncio.run(load(plan, port, NoJournal(path, time.monotonic_ns)))


def recording(plan: Plan, port: int, path: Path) -> float:
    """Return the CPU time that the calls of a load to its journal take without the load."""
    noted = NotedJournal(path.with_name("noted.arrow"), time.monotonic_ns)
    asyncio.run(load(plan, port, noted))
    journal = Journal(path, time.monotonic_ns)
    cpu = time.process_time()
    for call in noted.calls:
        if call is None:
            journal.flush()
        else:
            journal.append(*call[0], **call[1])
    journal.close()
    return time.process_time() - cpu


LOADS: Final[Mapping[str, Callable[[Plan, int, Path], float]]] = {
    "recorded": recorded,
    "unrecorded": unrecorded,
    "recording": recording,
}


def main() -> None:
    """Print the CPU time of each load and round, then the medians and the shares."""
    arguments = _arguments()
    if arguments.measure:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "history.arrow")
            try:
                cpu = LOADS[arguments.measure](_plan(arguments), arguments.port, path)
            except* JepsenvmError as problems:
                sys.exit(str(first_error(problems)))
        print(json.dumps({"cpu": cpu / arguments.messages * 100_000}))
        return
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "node")) as broker:
        _compare(arguments, [*sys.argv[1:], "--port", str(broker.port)])


def _compare(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Measure each load in each round, in a process with these arguments."""
    rounds: dict[str, list[float]] = {name: [] for name in LOADS}
    print("      load  round   cpu s/100k")
    for number in range(1, arguments.rounds + 1):
        for name in LOADS:
            rounds[name].append(measured("benchmarks.recording", name, *words)["cpu"])
            print(f"{name:>10} {number:>6} {rounds[name][-1]:>12.2f}", flush=True)
    median = {name: statistics.median(all_) for name, all_ in rounds.items()}
    for name in LOADS:
        print(f"{name:>10} median {median[name]:>12.2f}")
    whole = median["recorded"]
    print(f"share of recording, from the difference: {1 - median['unrecorded'] / whole:.1%}")
    print(f"share of recording, from its calls alone: {median['recording'] / whole:.1%}")


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        nemesis="none",
        queue_type=arguments.queue_type,
        messages=arguments.messages,
        rate=arguments.rate,
        window=arguments.window,
        consumers=arguments.connections,
        op_timeout=600,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0, help="messages per second; 0: no limit")
    parser.add_argument(
        "--connections", type=int, default=5, help="publishers, and as many consumers"
    )
    parser.add_argument(
        "--window", type=int, default=100, help="unconfirmed messages of each publisher"
    )
    types = [name for name in get_args(QueueType) if name not in ("mirrored", "stream")]
    parser.add_argument("--queue-type", choices=types, default="quorum")
    parser.add_argument("--measure", choices=LOADS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
