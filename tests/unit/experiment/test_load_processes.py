"""Load processes: what a run does when they work, die, hang or fail."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.experiment.load import Load, OwnLoad
from jepsenvm.experiment.load_processes import LoadProcesses, assignments_of
from jepsenvm.experiment.load_protocol import Assignment, Message
from jepsenvm.experiment.lost_tail import LOST_TAIL_OF_LOAD
from jepsenvm.experiment.started_process import COMMAND
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import about_load_segments, new_load_segments
from jepsenvm.history.nemesis_records import LOAD_PROCESS
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.tls import Tls
from jepsenvm.workloads.clients import ClientCounts
from jepsenvm.workloads.connection_log import ConnectionEvent, connection_event
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.figures import NodeFigures
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit.rabbitmq.broker import HOST, Broker

DEADLINE_S: Final = 300.0

FAKE: Final = """
import json, os, select, signal, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
lines = channel.makefile("rb")
def tell(kind, content=None):
    channel.sendall(json.dumps([kind, content]).encode() + b"\\n")
def hear():
    return json.loads(lines.readline())
kind, assignment = hear()
assert kind == "assign"
number = assignment["index"] + 1
"""
"""The beginning of the program of a load process that is none."""

WORKING: Final = """
tell("ready")
assert hear() == ["start", None]
tell("log", f"fake {number} began")
tell("connection", [f"n{number}: connection lost", "reset"])
for count in (10, 20):
    tell("figures", {"n1": [number, 1, [[40, count]]], f"n{number}": [number, 1, [[40, count]]]})
tell("counts", {f"n{number}": [number, 2, 3]})
while not select.select([channel], [], [], 0.1)[0]:
    tell("counts", {f"n{number}": [number, 2, 3]})
assert hear() == ["stop", None]
tell("counts", {f"n{number}": [number + 10, 2, 3]})
tell("ended")
assert lines.read() == b""
"""


class World:
    """A run with load processes, as far as they need one."""

    def __init__(
        self,
        folder: Path,
        program: str | None = None,
        port: int = 1,
        silent: float = DEADLINE_S,
        *,
        watched: bool = False,
        **keys: Any,
    ) -> None:
        plan = Plan(**{"nemesis": "none", "workers": 2, **keys})
        began, segments = time.monotonic_ns(), new_load_segments(plan.workers)
        self.first = folder / "history.arrow"
        self.journal = Journal(
            self.first,
            lambda: time.monotonic_ns() - began,
            about=about_load_segments(segments),
        )
        self.context = Context(
            plan=plan,
            addresses=[Address(node, HOST, port, "guest", "guest") for node in ("n1", "n2")],
            queue="queue",
            journal=self.journal,
            stop=asyncio.Event(),
        )
        self.assignments = assignments_of(
            plan, 1.0, self.context, self.first, segments, began, watched=watched
        )
        command = COMMAND if program is None else (sys.executable, "-S", "-c", FAKE + program)
        self.load = LoadProcesses(
            self.context,
            self.first,
            self.assignments,
            patience=1.0,
            command=command,
            silent=silent,
        )

    def write_segments(self) -> None:
        """Write the segments of fake processes. Each ends with an op in flight."""
        for assignment in self.assignments:
            journal = Journal(Path(assignment.segment), count().__next__, about=assignment.about)
            process = assignment.index
            for type_, value in (("invoke", 10), ("ok", 10), ("invoke", 20)):
                journal.append(type_, "enqueue", value + process, process=process, node="n1")  # type: ignore[arg-type]  # of the tuple above
            journal.flush()

    def run(self, during: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Run the load, and meanwhile ``during``; then stop it."""

        async def run() -> None:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self.load.prepare()
                    running = asyncio.ensure_future(self.load.run())
                    if during is not None:
                        await during()
                    self.context.stop.set()
                    await running
            finally:
                await self.load.end()

        asyncio.run(run())

    def records(self) -> list[Op]:
        """Close the history, and return the ops that the run itself has recorded."""
        self.journal.close()
        return [op for op in open_history(self.first).ops() if op.f == LOAD_PROCESS]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


def test_processes_that_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path, WORKING)
    counts = world.context.op_counts

    async def both_have_reported() -> None:
        await until(lambda: counts.keys() == {"n1", "n2"})
        assert [counts[node].ok for node in ("n1", "n2")] == [1, 2]
        n1, n2 = ClientCounts(3, 2), ClientCounts(2, 1)
        assert world.load.figures() == {
            "n1": NodeFigures(n1, {40: 60}),
            "n2": NodeFigures(n2, {40: 30}),
        }
        # Its ops are taken, and its clients are still connected.
        assert world.load.figures() == {"n1": NodeFigures(n1), "n2": NodeFigures(n2)}

    world.run(both_have_reported)
    assert [counts[node].ok for node in ("n1", "n2")] == [11, 12]
    assert (counts["n1"].failed, counts["n1"].unknown) == (2, 3)
    assert world.load.figures() == {}
    assert {"fake 1 began", "fake 2 began"} <= {record.getMessage() for record in caplog.records}
    events = [event for record in caplog.records if (event := connection_event(record))]
    assert ConnectionEvent("n2: connection lost", "reset") in events
    records = sorted(world.records(), key=lambda op: op.data["load-process"])
    assert [(op.process, op.error, op.data) for op in records] == [
        (NEMESIS, None, {"load-process": 1, "of": 2}),
        (NEMESIS, None, {"load-process": 2, "of": 2}),
    ]


def only_the_second(program: str) -> str:
    """Return a program of which only the second process runs this; the first one works."""
    indented = "".join(f"    {line}\n" for line in program.strip().splitlines())
    working = "".join(f"    {line}\n" for line in WORKING.strip().splitlines())
    return f"if number == 2:\n{indented}else:\n{working}"


DEATHS: Final = {
    "killed by SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "killed by SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "exit status 3: no memory": "print('one\\nno memory', file=sys.stderr); sys.exit(3)",
    "exit status 0": "pass",
    "it sent something else and was killed: not a message": (
        "channel.sendall(b'hello\\n'); time.sleep(600)"
    ),
    "it sent something else and was killed: an unknown kind": "tell('x'); time.sleep(600)",
}


@pytest.mark.parametrize("cause", DEATHS)
def test_a_process_that_dies(tmp_path: Path, cause: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path, only_the_second(f"tell('ready'); hear()\n{DEATHS[cause]}"))
    world.write_segments()

    async def it_is_dead() -> None:
        await until(lambda: "the run goes on without it" in caplog.text)
        assert not world.context.stop.is_set()

    world.run(it_is_dead)
    died, ended = world.records()
    assert ended.data == {"load-process": 1, "of": 2}
    assert died.data["died"].startswith(cause)
    assert (died.data["load-process"], died.data["in-flight"]) == (2, 1)
    assert str(died.error).startswith(f"load process 2 of 2 died: {cause}")
    (in_doubt,) = (op for op in open_history(world.first).ops() if op.type == "info" and op.value)
    assert (in_doubt.f, in_doubt.value, in_doubt.process, in_doubt.node) == (
        *("enqueue", 21, 1, "n1"),
    )
    assert in_doubt.error == died.error


def test_processes_that_hang(tmp_path: Path) -> None:
    world = World(tmp_path, "tell('ready')\nhear()\ntime.sleep(600)", silent=0.5)

    async def dead() -> None:
        await until(lambda: len(world.load._dead) == 2)

    world.run(dead)
    cause = "it gave no sign of life for 0.5 s and was killed"
    assert [op.data["died"] for op in world.records()] == [cause] * 2


def test_all_processes_die(tmp_path: Path) -> None:
    world = World(tmp_path, "tell('ready')\nhear()\n")

    async def ended() -> None:
        await until(lambda: len(world.load._dead) == 2)

    world.run(ended)
    assert [op.data["died"] for op in world.records()] == ["exit status 0"] * 2


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("sys.exit('no module')", "load process 2 of 2 did not start: exit status 1: no module"),
        ("tell('failed', 'disk full')", "load process 2 of 2: disk full"),
        (
            "tell('ready'); hear(); tell('failed', 'disk full'); lines.read()",
            "load process 2 of 2: disk full",
        ),
    ],
)
def test_a_process_that_fails_ends_the_run(tmp_path: Path, program: str, text: str) -> None:
    world = World(tmp_path, only_the_second(program))
    world.write_segments()

    async def wait() -> None:
        await asyncio.sleep(0)

    with pytest.raises((RunError, ExceptionGroup)) as failure:
        world.run(wait)
    error: BaseException = failure.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert str(error) == text


def test_what_a_dead_process_did_not_record(tmp_path: Path) -> None:
    # Of two publishers, the second one is in the dead process: values 1, 3, 5 and so on.
    world = World(tmp_path, only_the_second("tell('ready'); hear()"))
    world.write_segments()

    async def it_is_dead() -> None:
        await until(lambda: bool(world.load._dead))

    world.run(it_is_dead)
    for value in (19, 20, 22, 23, 25, 10, 11):
        world.journal.append("ok", "dequeue", value, process=1 << 40)
    asyncio.run(world.load.settle())
    world.records()
    found = [op for op in open_history(world.first).ops() if op.error == LOST_TAIL_OF_LOAD]
    # 22 would be of the other publisher, and 19 comes before what was recorded.
    assert [(op.type, op.f, op.value) for op in found] == [
        ("info", "enqueue", 23),
        ("info", "enqueue", 25),
    ]
    assert len({op.process for op in found}) == 2


def test_a_run_without_dead_processes_has_nothing_to_settle(tmp_path: Path) -> None:
    world = World(tmp_path, WORKING)
    asyncio.run(world.load.settle())
    assert world.records() == []


def test_messages() -> None:
    assert Message.of(Message("log", "a\nb").line()) == Message("log", "a\nb")
    assert Message("log", "a\nb").line().count(b"\n") == 1
    for line in (b"", b"x", b"{}", b"1", b'["log"]', b'["x", 1]', b'[["log"], 1]', b"\xff", b"["):
        with pytest.raises(ValueError, match="message"):
            Message.of(line)


def test_an_assignment_comes_as_it_was_given(tmp_path: Path) -> None:
    assignment = World(tmp_path).assignments[1]
    addresses = (
        replace(assignment.addresses[0], tls=Tls("authority", "n1")),
        *assignment.addresses,
    )
    given = replace(assignment, addresses=addresses)
    assert Assignment.of(Message.of(given.message().line())) == given
    assert "guest" not in repr(given.addresses[0]).replace("user='guest'", "")
    with pytest.raises(ValueError, match="not an assignment"):
        Assignment.of(Message("start"))


@pytest.mark.parametrize(("workers", "publishers", "nodes"), [(1, 1, 1), (3, 1, 3), (6, 2, 3)])
def test_each_process_has_a_publisher(workers: int, publishers: int, nodes: int) -> None:
    preflight.require_client_for_each_process(Plan(workers=workers, publishers=publishers), nodes)
    with pytest.raises(UsageError) as refusal:
        preflight.require_client_for_each_process(Plan(workers=7, publishers=publishers), nodes)
    assert str(refusal.value) == (
        f"workers (7) must not be more than the publishers ({publishers * nodes}: {publishers} on "
        f"each of {nodes} nodes); use fewer workers or more publishers"
    )


# Real load processes, with a broker that confirms everything.

KEYS: Final[Mapping[str, Any]] = {
    "messages": 40,
    "publishers": 2,
    "window": 2,
    "seed": 7,
    "message_size": 60,
}


async def finish(load: Load) -> None:
    try:
        await load.prepare()
        await load.run()
    finally:
        await load.end()


def enqueues(first: Path) -> list[tuple[Any, ...]]:
    ops = open_history(first).ops()
    return sorted((op.process, op.value, op.type, op.node) for op in ops if op.f == "enqueue")


def test_the_same_plan_gives_the_same_ops_in_several_processes(tmp_path: Path) -> None:
    async def run(folder: Path, *, own: bool) -> tuple[list[tuple[Any, ...]], list[bytes]]:
        folder.mkdir()
        async with asyncio.timeout(DEADLINE_S), Broker().listening() as broker:
            world = World(folder, port=broker.port, **KEYS)
            load = OwnLoad(WORKLOADS["queue"], world.context) if own else world.load
            await finish(load)
            world.journal.close()
            if own:
                for assignment in world.assignments:
                    Journal(Path(assignment.segment), lambda: 0, about=assignment.about).close()
            assert sum(counts.ok for counts in world.context.op_counts.values()) == 40
            assert list(world.context.op_counts) != []
            return enqueues(world.first), sorted(broker.bodies)

    ops, bodies = asyncio.run(run(tmp_path / "own", own=True))
    assert {value for _, value, *_ in ops} == set(range(40))
    in_processes, sent = asyncio.run(run(tmp_path / "processes", own=False))
    assert sent == bodies
    assert {(value, type_, node) for _, value, type_, node in in_processes} == {
        (value, type_, node) for _, value, type_, node in ops
    }
    publishers = {(process % 8, value % 4) for process, value, *_ in in_processes}
    assert publishers == {(process % 8, value % 4) for process, value, *_ in ops}


def test_watched_processes_tell_figures(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE_S), Broker().listening() as broker:
            keys = {**KEYS, "messages": None, "rate": 100}
            world = World(tmp_path, port=broker.port, watched=True, **keys)
            await world.load.prepare()
            running = asyncio.ensure_future(world.load.run())
            acknowledged: Counter[str] = Counter()
            clients: dict[str, ClientCounts] = {}
            # Two publishers of each node, spread over two processes.
            connected = dict.fromkeys(("n1", "n2"), ClientCounts(connected=2))
            while clients != connected or not all(acknowledged[node] for node in connected):
                await asyncio.sleep(0.05)
                figures = world.load.figures()
                clients = {node: of_node.clients for node, of_node in figures.items()}
                for node, of_node in figures.items():
                    acknowledged[node] += sum(of_node.latencies.values())
            world.context.stop.set()
            await running
            await world.load.end()
            counts = world.context.op_counts
            assert acknowledged.total() <= sum(count.ok for count in counts.values())

    asyncio.run(run())


def test_a_killed_process_leaves_its_ops_in_doubt(tmp_path: Path) -> None:
    """The first process is told to end by signals that only the run obeys; the second is killed."""

    async def run() -> World:
        async with asyncio.timeout(DEADLINE_S), Broker().listening() as broker:
            broker.silent = True
            world = World(tmp_path, port=broker.port, window=3, op_timeout=3600.0)
            await world.load.prepare()
            running = asyncio.ensure_future(world.load.run())
            await until(lambda: len(broker.bodies) == 6)
            first, second = world.load.pids
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(first, number)
            await until(lambda: _flushed(world, 1) == 3)
            os.kill(second, signal.SIGKILL)
            await until(lambda: world.load._dead == [1])
            broker.reset()
            broker.silent = False
            world.context.stop.set()
            await running
            await world.load.end()
            return world

    world = asyncio.run(run())
    died, ended = world.records()
    assert (died.data["died"], died.data["in-flight"]) == ("killed by SIGKILL", 3)
    assert ended.data["load-process"] == 1
    history = open_history(world.first)
    assert (history.complete, history.damage) == (True, None)
    in_doubt = [op for op in history.ops() if op.error == died.error and op.f == "enqueue"]
    assert [(op.type, op.value, op.node) for op in in_doubt] == [
        ("info", value, "n2") for value in (1, 3, 5)
    ]


def _flushed(world: World, index: int) -> int:
    return len(list(open_arrow(Path(world.assignments[index].segment)).ops()))


def test_a_segment_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    Path(world.assignments[0].segment).touch()
    with pytest.raises(RunError, match=r"load process 1 of 2: cannot write .*File exists"):
        asyncio.run(finish(world.load))


RUN: Final = """
import asyncio, sys, time
from pathlib import Path
from tests.unit.experiment.test_load_processes import World

async def run():
    world = World(Path(sys.argv[1]))
    await world.load.prepare()
    print(*world.load.pids, flush=True)
    time.sleep(600)

asyncio.run(run())
"""


def test_no_process_outlives_its_run(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    with run:
        pids = list(map(int, run.stdout.readline().split()))
        run.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + DEADLINE_S
    while any(map(_runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
