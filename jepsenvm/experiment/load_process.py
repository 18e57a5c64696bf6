"""The program of a load process: runs its share of a load, and records it in its own segment.

Its argument is the file descriptor of a socket to the run, over which everything goes. The process
handles no signals: the run does, and tells it to stop. It never outlives the run.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from jepsenvm.errors import JepsenvmError, shorten
from jepsenvm.experiment.interrupt import SIGNALS
from jepsenvm.experiment.load import FLUSH_EVERY_S
from jepsenvm.experiment.load_protocol import MOST_BYTES, Assignment, Message
from jepsenvm.experiment.plan_file import parse_plan
from jepsenvm.experiment.tasks import every, first_error, run_all
from jepsenvm.history.journal import Journal
from jepsenvm.history.recent_latencies import RecentLatencies
from jepsenvm.workloads.connection_log import connection_event
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.figures import taken
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.share import Share

REPORT_EVERY_S: Final = 0.5
"""Seconds between two reports of the counts."""

_PR_SET_PDEATHSIG: Final = 1
"""``prctl(2)``: the signal that the kernel sends to this process when its parent ends."""

Tell = Callable[[Message], None]


class ControllerGone(Exception):  # noqa: N818 - named after the event
    """The run has ended, or has closed its end of the socket."""


class _ToRun(logging.Handler):
    """Tells each line of progress to the run."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        event = connection_event(record)
        if event is None:
            self._tell(Message("log", record.getMessage()))
        else:
            self._tell(Message("connection", event))


class _LoadProcess:
    def __init__(self, assignment: Assignment, tell: Tell) -> None:
        plan = parse_plan(assignment.plan, "the plan of the run").patient(assignment.patience)
        self._tell = tell
        self._workload = WORKLOADS[plan.workload]
        acknowledgements = self._workload.acknowledgements
        self._recent = RecentLatencies(acknowledgements) if assignment.watched else None
        self._journal = Journal(
            Path(assignment.segment),
            # The monotonic clock is the same in all processes of a machine.
            lambda: time.monotonic_ns() - assignment.began,
            about=assignment.about,
            observe=None if self._recent is None else self._recent.add,
        )
        self._context = Context(
            plan=plan,
            addresses=assignment.addresses,
            queue=assignment.queue,
            journal=self._journal,
            stop=asyncio.Event(),
            share=Share(assignment.index, assignment.processes),
        )

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Run the load when the run says so, and close the segment."""
        self._tell(Message("ready"))
        if (await _next_message(reader)).kind != "start":
            raise ControllerGone
        async with every(FLUSH_EVERY_S, self._flush), every(REPORT_EVERY_S, self._report):
            load = asyncio.ensure_future(run_all(self._workload.load(self._context)))
            obeying = asyncio.ensure_future(self._obey(reader))
            try:
                await asyncio.wait({load, obeying}, return_when=asyncio.FIRST_COMPLETED)
                if not load.done():
                    obeying.result()
                load.result()
            finally:
                load.cancel()
                obeying.cancel()
        await self._report()
        self._journal.close()
        self._tell(Message("ended"))

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        """Do what the run says, until it is gone."""
        while True:
            if (await _next_message(reader)).kind == "stop":
                self._context.stop.set()

    async def _flush(self) -> None:
        self._journal.flush()

    async def _report(self) -> None:
        counts = {
            name: [count.ok, count.failed, count.unknown]
            for name, count in self._context.op_counts.items()
        }
        self._tell(Message("counts", counts))
        if self._recent is not None:
            figures = taken(self._context.clients, self._recent)
            data = {node: of_node.as_data() for node, of_node in figures.items()}
            self._tell(Message("figures", data))


async def _next_message(reader: asyncio.StreamReader) -> Message:
    try:
        line = await reader.readline()
    except ConnectionError:
        raise ControllerGone from None
    if not line.endswith(b"\n"):
        raise ControllerGone
    return Message.of(line)


async def serve(channel: socket.socket) -> None:
    """Do what the run at the other end of a socket says."""
    reader, writer = await asyncio.open_connection(sock=channel, limit=MOST_BYTES)

    def tell(message: Message) -> None:
        writer.write(message.line())

    progress = logging.getLogger("jepsenvm")
    progress.setLevel(logging.INFO)
    handler = _ToRun(tell)
    try:
        assignment = Assignment.of(await _next_message(reader))
        _end_with(assignment.parent)
        progress.addHandler(handler)
        await _LoadProcess(assignment, tell).run(reader)
    except Exception as error:
        first = first_error(error) if isinstance(error, ExceptionGroup) else error
        if isinstance(first, ControllerGone):
            return
        tell(_failed(first))
    finally:
        progress.removeHandler(handler)
    # The run closes the socket once it has the last message. If this process closed it first, with
    # a message of the run unread, the kernel would drop that last message.
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


def _failed(error: BaseException) -> Message:
    if isinstance(error, JepsenvmError):
        return Message("failed", str(error))
    return Message("failed", f"{type(error).__name__}: {shorten(error, 200)}")


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when the run ends, also if it is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ControllerGone  # it ended before


def main() -> None:
    """Run the load process."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
