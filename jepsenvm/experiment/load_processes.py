"""The load processes of a run, as the run sees them: started, followed, and missed if they die.

A load process that dies or hangs does not end the run. Its ops in flight are recorded as ``info``,
and the run can no longer be valid. A load process that fails to do its work, such as one whose disk
is full, ends the run with an error, as in a run with one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.load_protocol import Assignment, Message
from jepsenvm.experiment.lost_tail import LOST_TAIL_OF_LOAD, record_lost_tail
from jepsenvm.experiment.started_process import COMMAND, Died, StartedProcess
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.load_segments import LoadSegment
from jepsenvm.history.nemesis_records import LOAD_PROCESS
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.open_ops import open_ops
from jepsenvm.history.segments import record_sizes
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.context import Context, OpCounts
from jepsenvm.workloads.figures import Figures, NodeFigures, figures_from_data, latest, total
from jepsenvm.workloads.publishers import publisher_addresses
from jepsenvm.workloads.share import Share

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 180.0
"""Seconds in which a load process must be ready. It imports its packages, all of them at once."""
SILENT_S: Final = 30.0
"""Seconds without a report after which a load process hangs. It reports twice a second."""

LOST_TAIL_PROCESS: Final = 1 << 41
"""The first process number of lost tails, above those of drains."""


def assignments_of(
    plan: Plan,
    patience: float,
    context: Context,
    first_segment: Path,
    segments: Sequence[LoadSegment],
    began: int,
    *,
    watched: bool = False,
) -> list[Assignment]:
    """Return the assignment of each load process, one for each of the ``segments``.

    ``plan`` is the plan without the ``patience`` of the hosts. ``began`` is the reading of the
    monotonic clock at which the run began, in nanoseconds. ``watched`` says that somebody watches
    the run.
    """
    return [
        Assignment(
            plan=plan.to_yaml(),
            patience=patience,
            queue=context.queue,
            addresses=tuple(context.addresses),
            segment=str(first_segment.with_name(segment.name).absolute()),
            about=segment.about,
            began=began,
            index=index,
            processes=len(segments),
            parent=os.getpid(),
            watched=watched,
        )
        for index, segment in enumerate(segments)
    ]


class LoadProcesses:
    """A load in several processes."""

    def __init__(
        self,
        context: Context,
        first_segment: Path,
        assignments: Sequence[Assignment],
        *,
        patience: float,
        command: Sequence[str] = COMMAND,
        silent: float = SILENT_S,
    ) -> None:
        """Prepare one process for each assignment.

        Their segments are beside the ``first_segment``. ``command`` starts a process, and
        ``silent`` are the seconds without a sign of life after which it hangs.
        """
        self._context = context
        self._first_segment = first_segment
        self._assignments = assignments
        self._patience = patience
        self._processes = [StartedProcess(command) for _ in assignments]
        self._silent = silent * patience
        self._figures: dict[int, Figures] = {}
        """What each process has told since the figures were taken."""
        self._dead: list[int] = []
        """The indices of the processes that have died."""

    @property
    def pids(self) -> list[int]:
        """The process ids of the started processes."""
        return [process.pid for process in self._processes if process.pid is not None]

    async def prepare(self) -> None:
        """Start the processes, and wait until all are ready."""
        await asyncio.gather(*map(self._prepare, range(len(self._processes))))
        logger.info(f"{len(self._processes)} load processes are ready: pid {_listed(self.pids)}")

    async def _prepare(self, index: int) -> None:
        process = self._processes[index]
        await process.start(self._assignments[index].message())
        try:
            silent = START_TIMEOUT_S * self._patience
            while (message := await process.next_message(silent)).kind != "ready":
                self._heed(index, message)
        except Died as death:
            raise RunError(f"{self._name(index)} did not start: {death}") from None

    async def run(self) -> None:
        """Let the processes run the load, until all of them have ended or died."""
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._pass_on_stop())
            following = [
                tasks.create_task(self._follow(index)) for index in range(len(self._processes))
            ]
            await asyncio.wait(following)
            stopping.cancel()

    async def settle(self) -> None:
        """Record what dead processes published last, as far as it came back."""
        if not self._dead:
            return
        publishers = len(publisher_addresses(self._context))
        shares = [Share(index, len(self._processes)) for index in self._dead]
        recorded = await asyncio.to_thread(
            record_lost_tail,
            self._context.journal,
            self._first_segment,
            publishers,
            self._context.plan.messages,
            error=LOST_TAIL_OF_LOAD,
            first_process=LOST_TAIL_PROCESS,
            of=[number for number in range(publishers) if any(s.has(number) for s in shares)],
        )
        logger.info(f"{recorded:,} messages came back that dead load processes had not recorded")

    def figures(self) -> Figures:
        """Return what the clients did since the last call; nothing if nobody watches the run."""
        told = total(self._figures.values())
        # The clients stay connected until the process tells something else.
        self._figures = {
            index: {node: NodeFigures(of_node.clients) for node, of_node in figures.items()}
            for index, figures in self._figures.items()
        }
        return told

    async def end(self) -> None:
        """Kill the processes that still run, and wait until they have ended."""
        for process in self._processes:
            process.kill()
        await asyncio.gather(*(process.ended() for process in self._processes))

    async def _pass_on_stop(self) -> None:
        await self._context.stop.wait()
        for process in self._processes:
            process.tell(Message("stop"))

    async def _follow(self, index: int) -> None:
        """Follow one process until its load has ended or it is dead."""
        process = self._processes[index]
        process.tell(Message("start"))
        try:
            while (message := await process.next_message(self._silent)).kind != "ended":
                self._heed(index, message)
        except Died as death:
            await self._bury(index, str(death))
            return
        process.dismiss()
        await process.ended()
        self._figures.pop(index, None)
        data = {"load-process": index + 1, "of": len(self._processes)}
        self._context.journal.append("info", LOAD_PROCESS, process=NEMESIS, data=data)

    def _heed(self, index: int, message: Message) -> None:
        match message.kind:
            case "counts":
                for name, counts in message.content.items():
                    self._context.op_counts[name] = OpCounts(*counts)
            case "log":
                logger.info(message.content)
            case "figures":
                told = latest(self._figures.get(index, {}), figures_from_data(message.content))
                self._figures[index] = told
            case "connection":
                log_connection(*message.content)
            case "failed":
                raise RunError(f"{self._name(index)}: {message.content}")

    async def _bury(self, index: int, cause: str) -> None:
        """Record that a process is dead, and its ops in flight as ``info``."""
        self._dead.append(index)
        self._figures.pop(index, None)
        segment, name = Path(self._assignments[index].segment), self._name(index)
        if await self._processes[index].ended() and segment.is_file():
            # Nobody writes to the segment any more.
            await asyncio.to_thread(record_sizes, self._first_segment, [segment])
        in_flight = await asyncio.to_thread(_open_ops_of, segment)
        journal, error = self._context.journal, f"{name} died: {cause}"
        for op in in_flight:
            journal.append("info", op.f, op.value, process=op.process, node=op.node, error=error)
        data = {
            "load-process": index + 1,
            "of": len(self._processes),
            "died": cause,
            "in-flight": len(in_flight),
        }
        journal.append("info", LOAD_PROCESS, process=NEMESIS, error=error, data=data)
        logger.info(f"{error}; the run goes on without it, and cannot be valid")

    def _name(self, index: int) -> str:
        return f"load process {index + 1} of {len(self._processes)}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _open_ops_of(segment: Path) -> list[Op]:
    """Return the ops in flight in a segment; none if the segment cannot be read."""
    try:
        return open_ops(open_arrow(segment))
    except UsageError:
        return []
