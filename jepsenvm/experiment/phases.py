"""The phases of a run: set up, load and faults, heal, recover, drain, collect, check."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import RunError
from jepsenvm.experiment.analysis import judge_run
from jepsenvm.experiment.broker_state import collect_broker_state
from jepsenvm.experiment.environment import write_environment
from jepsenvm.experiment.injection import inject_steps
from jepsenvm.experiment.load import FLUSH_EVERY_S, Load, OwnLoad
from jepsenvm.experiment.load_processes import LoadProcesses, assignments_of
from jepsenvm.experiment.logs import LogFiles, collect, log_sizes
from jepsenvm.experiment.outputs import write_results
from jepsenvm.experiment.prepare import Prepared
from jepsenvm.experiment.queue_status import (
    binding_listing,
    node_listing,
    queue_listing,
    queue_status,
)
from jepsenvm.experiment.recovery import Recovery, may_restart
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.set_up import QUEUE_PREFIX, set_up_queues
from jepsenvm.experiment.signals import Interrupts
from jepsenvm.experiment.store import Store
from jepsenvm.experiment.tasks import every, first_error, is_set_before, to_the_end
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import LoadSegment, about_load_segments, new_load_segments
from jepsenvm.history.nemesis_records import INTERRUPT, SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.machines.power import power_of
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.manual import Spool
from jepsenvm.nemesis.records import FaultRecord, Recorder, journaled
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.context import Context, OpCounts, QueueStatus
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)

SHOW_EVERY_S: Final = 5.0
RENEW_EVERY_S: Final = 15.0

ShowLoad = Callable[[Mapping[str, OpCounts], float], None]
"""Shows the counts of each publisher. The second argument is the elapsed share of the time."""


def execute(prepared: Prepared, store: Store, show_load: ShowLoad) -> Results:
    """Run all phases and return the results of the checkers.

    Every fault is healed before this function returns or raises. Raises RunError when a phase
    fails.
    """
    try:
        return asyncio.run(_Run(prepared, store, show_load).execute())
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def _healing_goes_on(record: Recorder) -> Recorder:
    """Return a recorder that ignores a journal's failure, so that it never ends the healing.

    The journal keeps the failure, and the next flush ends the run with it.
    """

    def record_if_possible(entry: FaultRecord) -> None:
        with suppress(RunError):
            record(entry)

    return record_if_possible


class _Run:
    def __init__(self, prepared: Prepared, store: Store, show_load: ShowLoad) -> None:
        self._prepared = prepared
        self._cluster, self._steps = prepared.cluster, prepared.steps
        self._store, self._show_load = store, show_load
        self._fleet = self._cluster.fleet
        self._plan = prepared.plan.patient(self._fleet.patience)
        self._workload = WORKLOADS[self._plan.workload]
        began, self._began_at = time.monotonic_ns(), time.time()
        segments = new_load_segments(self._plan.workers) if self._plan.workers > 1 else []
        self._journal = Journal(
            store.history,
            lambda: time.monotonic_ns() - began,
            # A history that is moved or exported takes its plan along.
            about={"plan": prepared.plan.to_yaml(), **about_load_segments(segments)},
        )
        self._stop = asyncio.Event()
        self._interrupts = Interrupts(self._stop)
        login, nodes = self._cluster.credentials, self._cluster.inventory.nodes
        self._context = Context(
            plan=self._plan,
            addresses=[login.at(node) for node in nodes],
            queue=f"{QUEUE_PREFIX}{self._plan.queue_type}.{store.path.name}",
            journal=self._journal,
            stop=self._stop,
            list_node=node_listing(self._fleet),
            list_queues=queue_listing(self._fleet),
            list_bindings=binding_listing(self._fleet),
        )
        self._load = self._load_of(prepared.plan, segments, began)
        self._record = _healing_goes_on(journaled(self._journal))
        self._spool = Spool(store.path)
        self._nemesis = Nemesis(
            fleet=self._fleet,
            facts=self._cluster.facts,
            record=self._record,
            longest_fault=max((step.until - step.at for step in self._steps), default=0.0),
            queue=self._context.queue,
            power=power_of(self._cluster.inventory),
            views=True,
        )

    async def execute(self) -> Results:
        self._interrupts.listen()
        async with every(FLUSH_EVERY_S, self._flush):
            log_sizes_before = await asyncio.to_thread(log_sizes, self._fleet)
            self._prepare_resumption(log_sizes_before)
            hurrying = asyncio.create_task(self._hurry_when_interrupted_again())
            try:
                await self._set_up()
                await self._load_and_inject()
            finally:
                # Also if the run is cancelled, or if only some of the timers could be armed.
                await to_the_end(self._end_load_and_heal())
                hurrying.cancel()
            await self._recover_and_drain()
            await self._load.settle()
        self._journal.close()
        await asyncio.to_thread(collect, self._fleet, self._store, log_sizes_before)
        results = await asyncio.to_thread(judge_run, self._store.path)
        write_results(self._store, results)
        if results.verdict is not Verdict.VALID:
            await asyncio.to_thread(
                collect_broker_state,
                self._fleet,
                self._store,
                self._context.queue,
                self._plan.queue_type,
            )
        return results

    def _prepare_resumption(self, log_sizes_before: Mapping[str, LogFiles | None]) -> None:
        """Write what `jepsenvm resume` needs if this process is killed, and the environment."""
        resumption = Resumption.of_this_run(
            self._cluster.inventory, self._context.queue, self._began_at, log_sizes_before
        )
        resumption.write(self._store)
        write_environment(self._store, self._prepared)

    def _load_of(self, plan: Plan, segments: Sequence[LoadSegment], began: int) -> Load:
        """Return the load in this process, or in a process for each of the segments."""
        if not segments:
            return OwnLoad(self._workload, self._context)
        first, patience = self._store.history, self._fleet.patience
        assignments = assignments_of(plan, patience, self._context, first, segments, began)
        return LoadProcesses(self._context, first, assignments, patience=patience)

    # Phases.

    async def _set_up(self) -> None:
        await set_up_queues(self._fleet, self._workload, self._context)
        for number, step in enumerate(self._steps, 1):
            logger.info(
                f"planned: fault {number} from {step.at:g} s to {step.until:g} s: "
                f"{step.fault.describe()}"
            )
        planned = [
            {"at": step.at, "until": step.until, "fault": step.fault.as_data()}
            for step in self._steps
        ]
        self._journal.append("info", SCHEDULE, process=NEMESIS, data=planned)
        if self._steps:
            await asyncio.to_thread(self._nemesis.prepare)
        await self._load.prepare()

    async def _load_and_inject(self) -> None:
        began = asyncio.get_running_loop().time()
        showing = every(SHOW_EVERY_S, lambda: self._show(began))
        async with showing, self._renewing_timers(), asyncio.TaskGroup() as tasks:
            load = tasks.create_task(self._load.run())
            tasks.create_task(inject_steps(self._nemesis, self._steps, self._stop, began))
            tasks.create_task(self._stop_at_time_limit(began))
            await asyncio.wait({load})
            self._stop.set()
        await self._show(began)

    async def _end_load_and_heal(self) -> None:
        ending = asyncio.create_task(self._load.end())
        try:
            await self._heal()
        finally:
            await ending

    async def _heal(self) -> None:
        try:
            await asyncio.to_thread(self._nemesis.heal_by_hand)
        finally:
            problems = await asyncio.to_thread(self._nemesis.end)
        if problems:
            raise RunError(
                f"not everything could be healed: {'; '.join(problems)}",
                remedy="run `jepsenvm heal`",
            )
        logger.info("everything is healed")

    async def _recover_and_drain(self) -> None:
        if self._interrupts.received.is_set():
            self._journal.append("info", INTERRUPT, process=NEMESIS, error="by a signal")
        draining = asyncio.create_task(self._recover_then_drain())
        skipping = asyncio.create_task(self._interrupts.skip_drain.wait())
        await asyncio.wait({draining, skipping}, return_when=asyncio.FIRST_COMPLETED)
        skipping.cancel()
        if not draining.done():
            logger.info("interrupted again: skipping the drain")
            draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining

    async def _recover_then_drain(self) -> None:
        recovery = Recovery(
            fleet=self._fleet,
            journal=self._journal,
            addresses=self._context.addresses,
            queue=self._context.queue,
            more_queues=self._context.routes.queues[1:],
            deadline=self._plan.recovery_deadline,
            may_restart=may_restart(self._cluster.inventory),
        )
        await recovery.wait()

        async def get_status(queue: str) -> QueueStatus:
            return await queue_status(self._fleet, queue)

        await self._workload.drain(self._context, get_status)

    # Tasks beside the phases.

    async def _stop_at_time_limit(self, began: float) -> None:
        await is_set_before(self._stop, began + self._plan.time_limit)
        self._stop.set()

    async def _hurry_when_interrupted_again(self) -> None:
        await self._interrupts.skip_drain.wait()
        self._nemesis.hurry()

    async def _flush(self) -> None:
        """Flush the journal, with the faults that another process injected by hand."""
        if self._cluster.lock is not None:
            self._cluster.lock.require_held()
        for fault_record in self._spool.new():
            self._record(fault_record)
            self._nemesis.adopt(fault_record)
            fault = fault_record.fault
            logger.info(
                f"by hand: fault {fault_record.number} ({fault['name']} {{{fault['text']}}}) "
                f"{fault_record.phase}"
            )
        self._journal.flush()

    async def _show(self, began: float) -> None:
        elapsed = asyncio.get_running_loop().time() - began
        self._show_load(self._context.op_counts, min(1.0, elapsed / self._plan.time_limit))

    @asynccontextmanager
    async def _renewing_timers(self) -> AsyncIterator[None]:
        """Renew the timers by which the nodes heal themselves, if the run has faults."""
        if not self._steps:
            yield
            return
        seconds = RENEW_EVERY_S * self._fleet.patience
        async with every(seconds, lambda: asyncio.to_thread(self._nemesis.renew)):
            yield
