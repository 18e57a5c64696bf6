"""Measure how many messages per second jepsenvm publishes, next to bare pika and a client in C.

    python -m benchmarks.load [-i INVENTORY | --private CONNECTIONS] [--rounds 3] [--seconds 10]
                              [--window 100] [--size BYTES] [--queue-type TYPE] [CLIENT ...]

It needs a cluster that `jepsenvm deploy` made. With --private it starts a RabbitMQ node of its own
on this machine, as tests/proxy does, and ends it afterwards. Each client has one connection to each
node, or CONNECTIONS to the private node, and as many unconfirmed messages on each as the window. It
publishes persistent, mandatory messages to a queue of its own, and every message must be confirmed.

| client | what it is |
| --- | --- |
| jepsenvm | the publishers of a run, in one process; every operation is recorded |
| joined | pika with joined writes, in one process, without jepsenvm |
| pika | pika as it is, in one process |
| rabbitmq-c | a C program with a thread for each connection; needs cc and librabbitmq-dev |

The clients take turns in each round, so that other work on the machine disturbs all of them alike.
The rate is of confirmed messages until the last confirm. "cpu" is the client's own CPU time for
100,000 messages; the brokers' is not in it. The last lines are the medians of the rounds, and the
ratios to pika and to rabbitmq-c. The queues are deleted again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from benchmarks.new_process import measured
from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.load import FLUSH_EVERY_S
from jepsenvm.experiment.tasks import every
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import TYPES
from jepsenvm.history.readers import open_history
from jepsenvm.history.units import SECOND
from jepsenvm.machines.selection import select_inventory
from jepsenvm.plan.message_sizes import LEAST_BYTES, size_bounds
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import QueueType
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.connections import session
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.joined_writes import JoiningConnection
from jepsenvm.rabbitmq.names import GROUP
from jepsenvm.workloads.bodies import bodies_of
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import queue_arguments
from jepsenvm.workloads.publishers import publishers_only
from tests.proxy.broker import HOST, running

C_SOURCE: Final = Path(__file__).with_name("rabbitmq_c.c")
C_CLIENT: Final = "rabbitmq-c"
REFERENCES: Final = ("pika", C_CLIENT)
"""The clients to which the others are compared."""


@dataclass(frozen=True)
class Measured:
    """What one client did in one round."""

    confirmed: int
    seconds: float
    """Until the last confirm."""
    cpu: float
    """Seconds of the client's own CPU time."""

    @property
    def rate(self) -> float:
        """Confirmed messages per second."""
        return self.confirmed / self.seconds


@dataclass(frozen=True)
class Task:
    """The load of one client in one round."""

    addresses: Sequence[Address]
    plan: Plan
    queue: str

    @property
    def seconds(self) -> float:
        """How long the client publishes."""
        return self.plan.time_limit


async def by_jepsenvm(task: Task) -> Measured:
    """Publish as a run does, with a history."""
    cpu = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.arrow")
        journal = Journal(path, time.monotonic_ns)
        context = Context(task.plan, task.addresses, task.queue, journal, asyncio.Event())

        async def flush() -> None:
            journal.flush()

        async with every(FLUSH_EVERY_S, flush), asyncio.TaskGroup() as tasks:
            for client in publishers_only(context):
                tasks.create_task(client)
            await asyncio.sleep(task.seconds)
            context.stop.set()
        journal.close()
        cpu = time.process_time() - cpu  # before the history is read
        confirmed, seconds = _confirmed(path)
    counted = sum(counts.ok for counts in context.op_counts.values())
    if confirmed != counted or any(c.failed or c.unknown for c in context.op_counts.values()):
        sys.exit(f"not every message was confirmed and recorded: {context.op_counts}")
    return Measured(confirmed, seconds, cpu)


def _confirmed(path: Path) -> tuple[int, float]:
    """Return the number of confirmed messages of a history, and the seconds that they took."""
    history = open_history(path)
    first, last = sys.maxsize, 0
    for chunk in history:
        first = min(first, int(chunk.time.min()))
        confirmed = chunk.time[chunk.type == TYPES.index("ok")]
        last = max(last, int(confirmed.max(initial=0)))
    return history.count("ok", "enqueue"), (last - first) / SECOND


class PikaPublisher:
    """One connection of pika that keeps a window of unconfirmed messages."""

    def __init__(self, task: Task, index: int, kind: type[AsyncioConnection]) -> None:
        address, loop = task.addresses[index], asyncio.get_running_loop()
        self._task, self._value = task, index
        self._bodies = bodies_of(task.plan, len(task.addresses))
        self._unconfirmed: OrderedDict[int, None] = OrderedDict()
        self._sent = self.confirmed = 0
        self._end = 0.0
        self.last = 0.0
        self.ready: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self._connection = kind(
            pika.ConnectionParameters(
                address.host,
                address.port,
                address.vhost,
                credentials=pika.PlainCredentials(address.user, address.password),
            ),
            on_open_callback=self._open_channel,
            on_open_error_callback=self._failed,
            on_close_callback=self._failed,
            custom_ioloop=loop,
        )

    def _open_channel(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._confirm)

    def _confirm(self, channel: Any) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=self._is_ready)

    def _is_ready(self, _: Any) -> None:
        self.ready.set_result(None)

    def _failed(self, _: Any, reason: Any) -> None:
        for future in (self.ready, self.finished):
            if not future.done():
                future.set_exception(RuntimeError(f"connection lost: {reason!r}"))

    def start(self) -> None:
        """Begin to publish."""
        self._end = time.monotonic() + self._task.seconds
        self._fill()

    def _fill(self) -> None:
        while len(self._unconfirmed) < self._task.plan.window and time.monotonic() < self._end:
            self._sent += 1
            properties = pika.BasicProperties(delivery_mode=2, message_id=str(self._sent))
            body = self._bodies.of(self._value)
            self._channel.basic_publish("", self._task.queue, body, properties, mandatory=True)
            self._value += len(self._task.addresses)
            self._unconfirmed[self._sent] = None
        if not self._unconfirmed and not self.finished.done():
            self.finished.set_result(None)

    def _answered(self, frame: Any) -> None:
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            self._failed(None, "a message was refused")
            return
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            del self._unconfirmed[tag]
        self.confirmed += len(tags)
        self.last = time.monotonic()
        self._fill()


async def _by_pika(task: Task, kind: type[AsyncioConnection]) -> Measured:
    cpu = time.process_time()
    publishers = [PikaPublisher(task, index, kind) for index in range(len(task.addresses))]
    await asyncio.gather(*(publisher.ready for publisher in publishers))
    began = time.monotonic()
    for publisher in publishers:
        publisher.start()
    await asyncio.gather(*(publisher.finished for publisher in publishers))
    cpu = time.process_time() - cpu
    confirmed = sum(publisher.confirmed for publisher in publishers)
    return Measured(confirmed, max(publisher.last for publisher in publishers) - began, cpu)


async def by_pika(task: Task) -> Measured:
    """Publish with pika as it is."""
    return await _by_pika(task, AsyncioConnection)


async def by_joined_writes(task: Task) -> Measured:
    """Publish with pika and joined writes."""
    return await _by_pika(task, JoiningConnection)


async def by_rabbitmq_c(task: Task) -> Measured:
    """Publish with the C program."""
    address, size = task.addresses[0], size_bounds(task.plan.message_size or 0)[1]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "rabbitmq_c")
        build = ["cc", "-O2", "-o", str(program), str(C_SOURCE), "-lrabbitmq", "-lpthread"]
        if subprocess.run(build, check=False).returncode:
            sys.exit(f"{C_CLIENT} needs a C compiler and librabbitmq-dev (or name other clients)")
        words: list[object] = [
            address.vhost,
            address.user,
            task.queue,
            task.seconds,
            task.plan.window,
            size,
        ]
        words += [word for node in task.addresses for word in (node.host, node.port)]
        done = subprocess.run(
            [str(program), *map(str, words)],
            env={**os.environ, "AMQP_PASSWORD": address.password},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Measured(**json.loads(done.stdout))


CLIENTS: Final[Mapping[str, Callable[[Task], Awaitable[Measured]]]] = {
    "jepsenvm": by_jepsenvm,
    "joined": by_joined_writes,
    "pika": by_pika,
    C_CLIENT: by_rabbitmq_c,
}


async def measure(client: str, task: Task) -> Measured:
    """Declare a queue, let a client publish to it, and delete it."""
    first = task.addresses[0]
    async with session(first, first.connect_timeout) as opened:
        await opened.declare(task.queue, queue_arguments(task.plan))
    try:
        return await CLIENTS[client](task)
    finally:
        async with session(first, first.connect_timeout) as opened:
            await opened.delete(task.queue)


def main() -> None:
    """Print a line for each client and round, then the medians."""
    arguments = _arguments()
    if arguments.measure:
        try:
            result = asyncio.run(measure(arguments.measure, _task(arguments)))
        except JepsenvmError as problem:
            sys.exit(str(problem))
        print(json.dumps(vars(result)))
        return
    if not arguments.private or arguments.port:
        _compare(arguments, sys.argv[1:])
        return
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "node")) as broker:
        _compare(arguments, [*sys.argv[1:], "--port", str(broker.port)])


def _compare(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Measure each client in each round, in a process with these arguments."""
    clients = arguments.clients or list(CLIENTS)
    rounds: dict[str, list[Measured]] = {client: [] for client in clients}
    print("    client  round  confirmed/s   cpu s/100k")
    for number in range(1, arguments.rounds + 1):
        for client in clients:
            result = Measured(**measured("benchmarks.load", client, *words))
            rounds[client].append(result)
            _print(client, str(number), result.rate, _cpu(result))
    rates = {
        client: statistics.median(each.rate for each in all_) for client, all_ in rounds.items()
    }
    for client, all_ in rounds.items():
        _print(client, "median", rates[client], statistics.median(map(_cpu, all_)))
    for reference in REFERENCES:
        if reference in rates:
            for client in clients:
                print(f"{client:>10}  {rates[client] / rates[reference]:.2f} of {reference}")


def _cpu(measured: Measured) -> float:
    return measured.cpu / measured.confirmed * 100_000


def _print(client: str, number: str, rate: float, cpu: float) -> None:
    print(f"{client:>10} {number:>6} {rate:>12,.0f} {cpu:>12.2f}", flush=True)


def _task(arguments: argparse.Namespace) -> Task:
    plan = Plan(
        nemesis="none",
        queue_type=arguments.queue_type,
        time_limit=arguments.seconds,
        window=arguments.window,
        message_size=arguments.size,
    )
    queue = f"benchmark.{arguments.measure}.{os.getpid()}"
    return Task(_addresses(arguments), plan, queue)


def _addresses(arguments: argparse.Namespace) -> list[Address]:
    if arguments.private:
        names = [f"n{number}" for number in range(1, arguments.private + 1)]
        return [Address(name, HOST, arguments.port, "guest", "guest") for name in names]
    inventory = select_inventory(arguments.inventory, GROUP)
    if inventory.existing:
        sys.exit("the benchmark needs a cluster that `jepsenvm deploy` made")
    login = credentials(inventory)
    return [login.at(node) for node in inventory.nodes]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("-i", "--inventory", type=Path, help="by default the machines here")
    parser.add_argument(
        "--private", type=int, metavar="CONNECTIONS", help="to a private node of this machine"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument(
        "--window", type=int, default=100, help="unconfirmed messages of each connection"
    )
    parser.add_argument("--size", type=int, help="bytes of a body; bare integers by default")
    types = [name for name in get_args(QueueType) if name != "mirrored"]
    parser.add_argument("--queue-type", choices=types, default="quorum")
    parser.add_argument("--measure", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.clients) - CLIENTS.keys():
        parser.error(f"unknown client {sorted(unknown)[0]!r} (choose from {', '.join(CLIENTS)})")
    if arguments.size is not None and arguments.size < LEAST_BYTES:
        parser.error(f"--size: at least {LEAST_BYTES} bytes")
    return arguments


if __name__ == "__main__":
    main()
