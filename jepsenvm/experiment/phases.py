"""The phases of a run: set up, load and faults, heal, recover, drain, collect, check."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import RunError
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
from jepsenvm.experiment.run_analysis import judge_run
from jepsenvm.experiment.run_events import (
    FIGURES_EVERY_S,
    LoadFigures,
    Phase,
    PhaseBegan,
    RunEvent,
    Watch,
    fault_step,
)
from jepsenvm.experiment.set_up import QUEUE_PREFIX, set_up_queues
from jepsenvm.experiment.signals import Interrupts
from jepsenvm.experiment.store import Store
from jepsenvm.experiment.tasks import every, first_error, is_set_before, to_the_end
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import LoadSegment, about_load_segments, new_load_segments
from jepsenvm.history.nemesis_records import INTERRUPT, SCHEDULE, VIEW
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.recent_latencies import RecentLatencies
from jepsenvm.history.units import SECOND
from jepsenvm.machines.power import power_of
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.manual import Spool
from jepsenvm.nemesis.records import FaultRecord, Recorder, journaled
from jepsenvm.plan.plan import Plan
from jepsenvm.steps import MOVING
from jepsenvm.workloads.context import Context, QueueStatus
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)

SHOW_EVERY_S: Final = 5.0
RENEW_EVERY_S: Final = 15.0


def execute(prepared: Prepared, store: Store, watch: Watch | None = None) -> Results:
    """Run all phases and return the results of the checkers.

    ``watch`` is told what happens, and without it no figures are collected. Every fault is healed
    before this function returns or raises. Raises RunError when a phase fails.
    """
    try:
        return asyncio.run(_Run(prepared, store, watch).execute())
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
    def __init__(self, prepared: Prepared, store: Store, watch: Watch | None) -> None:
        self._prepared = prepared
        self._cluster, self._steps = prepared.cluster, prepared.steps
        self._store, self._watch = store, watch
        self._fleet = self._cluster.fleet
        self._plan = prepared.plan.patient(self._fleet.patience)
        self._workload = WORKLOADS[self._plan.workload]
        began, self._began_at = time.monotonic_ns(), time.time()
        self._load_began = began / SECOND
        segments = new_load_segments(self._plan.workers) if self._plan.workers > 1 else []
        self._recent = self._recent_latencies() if watch and not segments else None
        self._journal = Journal(
            store.history,
            lambda: time.monotonic_ns() - began,
            # A history that is moved or exported takes its plan along.
            about={"plan": prepared.plan.to_yaml(), **about_load_segments(segments)},
            observe=None if self._recent is None else self._recent.add,
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
        self._record = self._also_told(_healing_goes_on(journaled(self._journal)))
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
        async with every(FLUSH_EVERY_S, self._flush), self._telling_figures():
            self._begin("set up")
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
        self._begin("collect")
        await asyncio.to_thread(compact_run, self._store.history)
        await asyncio.to_thread(collect, self._fleet, self._store, log_sizes_before)
        self._begin("check")
        results = await asyncio.to_thread(judge_run, self._store.path)
        write_results(self._store, results)
        if results.verdict is not Verdict.VALID:
            self._begin("collect")
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
            return OwnLoad(self._workload, self._context, self._recent)
        first, patience = self._store.history, self._fleet.patience
        assignments = assignments_of(
            plan,
            patience,
            self._context,
            first,
            segments,
            began,
            watched=self._watch is not None,
        )
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
        began = self._load_began = asyncio.get_running_loop().time()
        self._begin("load", self._plan.time_limit)
        showing = every(SHOW_EVERY_S, self._show)
        async with showing, self._renewing_timers(), asyncio.TaskGroup() as tasks:
            load = tasks.create_task(self._load.run())
            tasks.create_task(inject_steps(self._nemesis, self._steps, self._stop, began))
            tasks.create_task(self._stop_at_time_limit(began))
            await asyncio.wait({load})
            self._stop.set()
        await self._show()

    async def _end_load_and_heal(self) -> None:
        ending = asyncio.create_task(self._load.end())
        try:
            await self._heal()
        finally:
            await ending

    async def _heal(self) -> None:
        self._begin("heal")
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
        self._begin("recover", self._plan.recovery_deadline)
        await recovery.wait()
        self._begin("drain", self._plan.drain_deadline)

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

    async def _show(self) -> None:
        for name, counts in self._context.op_counts.items():
            logger.info(counts.line(name), extra=MOVING)

    # What whoever watches the run is told.

    def _tell(self, event: RunEvent) -> None:
        if self._watch is not None:
            self._watch(event)

    def _begin(self, phase: Phase, limit_s: float | None = None) -> None:
        self._tell(PhaseBegan(phase, limit_s))

    def _recent_latencies(self) -> RecentLatencies:
        return RecentLatencies(self._workload.acknowledgements)

    def _also_told(self, record: Recorder) -> Recorder:
        """Return a recorder that also tells whoever watches the run."""

        def record_and_tell(entry: FaultRecord) -> None:
            record(entry)
            if entry.f != VIEW:
                self._tell(fault_step(entry, [*self._fleet.nodes], self._ends_in(entry.number)))

        return record if self._watch is None else record_and_tell

    def _ends_in(self, number: int) -> float | None:
        """Return the seconds until a scheduled fault is healed; None for a fault by hand."""
        if not 1 <= number <= len(self._steps):
            return None
        return self._load_began + self._steps[number - 1].until - time.monotonic()

    @asynccontextmanager
    async def _telling_figures(self) -> AsyncIterator[None]:
        if self._watch is None:
            yield
            return

        async def tell() -> None:
            self._tell(LoadFigures(self._load.figures()))

        async with every(FIGURES_EVERY_S, tell):
            yield

    @asynccontextmanager
    async def _renewing_timers(self) -> AsyncIterator[None]:
        """Renew the timers by which the nodes heal themselves, if the run has faults."""
        if not self._steps:
            yield
            return
        seconds = RENEW_EVERY_S * self._fleet.patience
        async with every(seconds, lambda: asyncio.to_thread(self._nemesis.renew)):
            yield
