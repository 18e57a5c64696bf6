"""Resumes a run whose controller was killed: heals, recovers, drains, collects and checks.

What was recorded is not modified. The journal of the run gets one more segment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.experiment.heal import heal_nodes, switch_on
from jepsenvm.experiment.interrupt import raise_on_signals
from jepsenvm.experiment.load import FLUSH_EVERY_S
from jepsenvm.experiment.logs import collect
from jepsenvm.experiment.lost_tail import record_lost_tail
from jepsenvm.experiment.outputs import write_report, write_results
from jepsenvm.experiment.queue_status import (
    binding_listing,
    node_listing,
    queue_listing,
    queue_status,
)
from jepsenvm.experiment.recovery import Recovery, may_restart
from jepsenvm.experiment.resumed_history import (
    Recorded,
    ResumedJournal,
    close_open_drains,
    recorded_so_far,
)
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.run import finish
from jepsenvm.experiment.run_analysis import judge_run, plan_of_run
from jepsenvm.experiment.run_events import PhaseBegan, Watch, ignore, run_began
from jepsenvm.experiment.signals import Interrupts
from jepsenvm.experiment.store import HISTORY, PLAN, RESULTS, Store
from jepsenvm.experiment.tasks import every, first_error
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.nemesis_records import INTERRUPT
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.readers import open_history
from jepsenvm.history.segments import next_segment
from jepsenvm.machines.cluster_lock import ClusterLock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lock_owner import this_machine
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.queue_listing import queues
from jepsenvm.workloads.context import Context, QueueStatus
from jepsenvm.workloads.publishers import publisher_addresses
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.routes import Routes

logger = logging.getLogger(__name__)

CAUSE: Final = "its controller ended before the drain did, and the run was resumed"

QUEUE_WAIT_S: Final = 30.0
"""Seconds in which a queue that no node lists may still appear: brokers may be starting."""

QUEUE_POLL_S: Final = 1.0


@dataclass(frozen=True)
class UnfinishedRun:
    """A run in the store that has a history but no results."""

    store: Store
    plan: Plan
    resumption: Resumption

    @classmethod
    def at(cls, path: Path) -> UnfinishedRun:
        """Return the run in a folder; raise UsageError if it has finished or cannot be resumed."""
        folder = path.resolve()
        if not (folder / HISTORY).is_file() or not (folder / PLAN).is_file():
            raise UsageError(
                f"{path}: not the folder of a run", remedy="give a folder such as store/run/TIME"
            )
        if (folder / RESULTS).exists():
            raise UsageError(
                f"{path}: the run has finished", remedy=f"`jepsenvm check {path}` shows its verdict"
            )
        resumption = Resumption.read(folder)
        # The messages of the run are read back as they were sent, whatever became of plan.yml.
        plan, _ = plan_of_run(folder, open_history(folder / HISTORY))
        return cls(Store(folder), plan, resumption)


def resume(run: UnfinishedRun, inventory: Inventory, watch: Watch | None = None) -> Results:
    """Resume a run and return its results, which are never valid if its load was cut short.

    ``watch`` is told what happens. Raises UsageError if the run is in progress, another process
    uses the cluster, or the queue of the run is gone.
    """
    tell = watch or ignore
    tell(run_began(run.plan, inventory))
    tell(PhaseBegan("heal"))
    with (
        Fleet(inventory.nodes, patience=inventory.patience) as fleet,
        ClusterLock(fleet, "resume", run.store.path) as lock,
    ):
        lock.take(skip_silent=True)
        problems = [*switch_on(inventory), *heal_nodes(fleet)]
        if problems:
            raise RunError(
                f"not everything could be healed: {'; '.join(problems)}",
                remedy="repair that and resume again",
            )
        preflight.connect(fleet)
        recorded = recorded_so_far(run.store.history)
        # A closed history has everything. Only its results are missing.
        if not recorded.complete:
            _require_queue(fleet, run)
            try:
                asyncio.run(_Resumed(run, recorded, inventory, fleet, tell).execute())
            except BaseExceptionGroup as group:
                raise first_error(group) from None
            finally:
                raise_on_signals()  # the loop has removed the handlers
        tell(PhaseBegan("collect"))
        compact_run(run.store.history)
        collect(fleet, run.store, run.resumption.log_sizes)
        tell(PhaseBegan("check"))
        results = judge_run(run.store.path)
        write_results(run.store, results)
        finish(fleet, run.store)
    tell(PhaseBegan("report"))
    write_report(run.store, results)
    return results


def _require_queue(fleet: Fleet, run: UnfinishedRun) -> None:
    """Wait until a node lists a queue of a run; raise UsageError if none does in time."""
    queue = run.resumption.queue
    own = Routes(run.plan.routing, queue).queues
    began = time.monotonic()
    answered = False
    while True:
        answers = fleet.each_or_error(lambda node: queues(fleet, node))
        lists = [answer for answer in answers.values() if not isinstance(answer, Exception)]
        if any(name in names for names in lists for name in own):
            return
        answered = answered or bool(lists)
        # Brokers that do not answer at all have the time in which a cluster may recover.
        limit = QUEUE_WAIT_S * fleet.patience if answered else run.plan.recovery_deadline
        if time.monotonic() - began > limit:
            break
        time.sleep(QUEUE_POLL_S)
    if not answered:
        raise RunError("no broker answers, so the queue cannot be read", remedy="start RabbitMQ")
    raise UsageError(
        f"the queue {queue} is gone{' with all others' if len(own) > 1 else ''}, so nothing can "
        "be read back",
        remedy=f"`jepsenvm check {run.store.path}` judges what was recorded",
    )


class _Resumed:
    def __init__(
        self,
        run: UnfinishedRun,
        recorded: Recorded,
        inventory: Inventory,
        fleet: Fleet,
        tell: Watch,
    ) -> None:
        self._tell = tell
        self._run, self._inventory, self._fleet = run, inventory, fleet
        self._plan = run.plan.patient(fleet.patience)
        self._recorded = recorded
        self._journal = ResumedJournal(
            next_segment(run.store.history), run.resumption.began, self._recorded
        )
        self._interrupts = Interrupts(asyncio.Event())
        login = credentials(inventory)
        self._context = Context(
            plan=self._plan,
            addresses=[login.at(node) for node in inventory.nodes],
            queue=run.resumption.queue,
            journal=self._journal,
            stop=asyncio.Event(),
            list_node=node_listing(self._fleet),
            list_queues=queue_listing(self._fleet),
            list_bindings=binding_listing(self._fleet),
        )

    async def execute(self) -> None:
        """Recover and drain, and close the journal."""
        self._interrupts.listen()
        self._journal.append("info", INTERRUPT, process=NEMESIS, error=CAUSE)
        same_machine = self._run.resumption.machine == this_machine()
        close_open_drains(self._journal, self._recorded, complete=same_machine, cause=CAUSE)
        self._journal.flush()
        async with every(FLUSH_EVERY_S, self._flush):
            draining = asyncio.create_task(self._recover_and_drain())
            skipping = asyncio.create_task(self._interrupts.received.wait())
            await asyncio.wait({draining, skipping}, return_when=asyncio.FIRST_COMPLETED)
            skipping.cancel()
            if not draining.done():
                draining.cancel()
            with suppress(asyncio.CancelledError):
                await draining
        if self._interrupts.received.is_set():
            raise RunError("interrupted", remedy="resume again")
        publishers = len(publisher_addresses(self._context))
        record_lost_tail(self._journal, self._run.store.history, publishers, self._plan.messages)
        self._journal.close()

    async def _recover_and_drain(self) -> None:
        recovery = Recovery(
            fleet=self._fleet,
            journal=self._journal,
            addresses=self._context.addresses,
            queue=self._context.queue,
            more_queues=self._context.routes.queues[1:],
            deadline=self._plan.recovery_deadline,
            may_restart=may_restart(self._inventory),
        )
        self._tell(PhaseBegan("recover", self._plan.recovery_deadline))
        await recovery.wait()
        self._tell(PhaseBegan("drain", self._plan.drain_deadline))

        async def get_status(queue: str) -> QueueStatus:
            return await queue_status(self._fleet, queue)

        await WORKLOADS[self._plan.workload].drain(self._context, get_status)

    async def _flush(self) -> None:
        self._journal.flush()
