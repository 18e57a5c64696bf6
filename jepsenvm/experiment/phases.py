"""The phases of a run: setup, load and faults, heal, recover, drain, collect, check."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import tenacity

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import JepsenvmError, RunError, UsageError
from jepsenvm.experiment.analysis import judge_run
from jepsenvm.experiment.existing_cluster import RESTART
from jepsenvm.experiment.logs import collect, log_sizes
from jepsenvm.experiment.recovery import Recovery
from jepsenvm.experiment.store import Store
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.manual import Spool
from jepsenvm.nemesis.records import journaled
from jepsenvm.nemesis.schedule import ScheduledFault, schedule
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.amqp import SessionLost
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.workloads.context import Context, OpCounts, QueueStatus
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)

FLUSH_EVERY_S: Final = 0.1
TELL_EVERY_S: Final = 5.0
RENEW_EVERY_S: Final = 15.0
QUEUE_PREFIX: Final = "jepsenvm."
POLICY: Final = "jepsenvm-run"
"""The name of a run's own policy, which playbooks/roles/cluster leaves out of account."""
SETTLE_S: Final = 120.0
SETTLE_POLL_S: Final = 2.0

Tell = Callable[[Mapping[str, OpCounts], float], None]
"""Shows the publishers' tallies; the second argument is the share of the load's time that has gone by."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is fit for a run."""

    inventory: Inventory
    fleet: Fleet
    facts: Mapping[str, Facts]
    credentials: Credentials


def execute(plan: Plan, cluster: Cluster, store: Store, tell: Tell) -> Results:
    """Run a plan on a cluster; return what the checkers make of it.

    Whatever happens, every fault is healed before this returns or raises; raises RunError when the run broke midway.
    """
    try:
        return asyncio.run(_Run(plan, cluster, store, tell).execute())
    except BaseExceptionGroup as group:
        raise _first(group) from None


def mirroring(plan: Plan) -> dict[str, object]:
    """Return the policy of a mirrored queue."""
    copies = (
        {"ha-mode": "all"}
        if plan.mirrors == "all"
        else {"ha-mode": "exactly", "ha-params": plan.mirrors}
    )
    promotion = {
        "ha-promote-on-shutdown": plan.promote_on_shutdown,
        "ha-promote-on-failure": plan.promote_on_failure,
    }
    return {
        **copies,
        "ha-sync-mode": "automatic",
        **{key: value for key, value in promotion.items() if value},
    }


def may_settle(problem: BaseException) -> bool:
    """Return whether what went wrong may be over in a while: a broker that refuses for good gives a code for it."""
    if isinstance(problem, SessionLost):
        return not str(problem).startswith(("403 ", "404 ", "405 ", "406 "))
    return isinstance(problem, TimeoutError | JepsenvmError) and not isinstance(problem, UsageError)


def _text(state: tenacity.RetryCallState) -> str:
    problem = state.outcome and state.outcome.exception()
    return str(problem or "") or "no answer in time"


class _Run:
    def __init__(self, plan: Plan, cluster: Cluster, store: Store, tell: Tell) -> None:
        plan = plan.patient(cluster.fleet.patience)
        self._plan, self._cluster, self._store, self._tell = (
            plan,
            cluster,
            store,
            tell,
        )
        self._workload = WORKLOADS[plan.workload]
        began = time.monotonic_ns()
        self._journal = Journal(store.history, lambda: time.monotonic_ns() - began)
        self._steps = schedule(plan, [node.name for node in cluster.inventory.nodes])
        self._stop = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._abandoned = asyncio.Event()
        self._context = Context(
            plan,
            [cluster.credentials.at(node) for node in cluster.inventory.nodes],
            f"{QUEUE_PREFIX}{plan.queue_type}.{store.path.name}",
            self._journal,
            self._stop,
        )
        self._record = journaled(self._journal)
        self._spool = Spool(store.path)
        self._nemesis = Nemesis(
            cluster.fleet,
            cluster.facts,
            self._record,
            max((step.until - step.at for step in self._steps), default=0.0),
            self._context.queue,
            power_of(cluster.inventory),
            views=True,
        )

    async def execute(self) -> Results:
        self._listen_to_signals()
        async with self._every(FLUSH_EVERY_S, self._flush):
            sizes = await asyncio.to_thread(log_sizes, self._cluster.fleet)
            await self._setup()
            try:
                await self._load_and_break()
            finally:
                await self._heal()
            await self._recover_and_drain()
        self._journal.close()
        await asyncio.to_thread(collect, self._cluster.fleet, self._store, sizes)
        results = await asyncio.to_thread(judge_run, self._store.path)
        self._store.write_results(results)
        return results

    # Phases.

    async def _setup(self) -> None:
        # A cluster that was broken a moment ago, by hand say, may look whole and be about to restart nodes (autoheal).
        patience = self._cluster.fleet.patience
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(may_settle),
            stop=lambda state: (
                self._stop.is_set() or (state.seconds_since_start or 0.0) > SETTLE_S * patience
            ),
            wait=tenacity.wait_fixed(SETTLE_POLL_S),
            before_sleep=lambda state: self._context.log_once(
                f"set-up: {_text(state)}; trying again"
            ),
            reraise=True,
        )
        try:
            await again(self._make_queues)
        except (SessionLost, TimeoutError) as problem:
            raise RunError(
                f"the queue could not be set up: {problem or 'no answer in time'}"
            ) from None
        for number, step in enumerate(self._steps, 1):
            logger.info(
                f"planned: fault {number} from {step.at:g} s to {step.until:g} s: {step.fault.describe()}"
            )
        planned = [
            {"at": step.at, "until": step.until, "fault": step.fault.as_data()}
            for step in self._steps
        ]
        self._journal.append("info", SCHEDULE, process=NEMESIS, data=planned)
        if self._steps:
            await asyncio.to_thread(self._nemesis.prepare)

    async def _make_queues(self) -> None:
        # What an attempt before this one left half made is stale too.
        names = await asyncio.to_thread(
            broker.queues, self._cluster.fleet, self._context.addresses[0].node
        )
        stale = [name for name in names if name.startswith(QUEUE_PREFIX)]
        if self._plan.queue_type == "mirrored":
            await asyncio.to_thread(self._mirror)
        await self._workload.setup(self._context, stale)
        logger.info(
            f"queue {self._context.queue} declared"
            + (f", {len(stale)} old one(s) deleted" if stale else "")
        )

    def _mirror(self) -> None:
        """Have this run's queue mirrored as its plan says."""
        pattern = f"^{re.escape(self._context.queue)}$"
        node = self._context.addresses[0].node
        broker.set_policy(self._cluster.fleet, node, POLICY, pattern, mirroring(self._plan))

    async def _load_and_break(self) -> None:
        began = asyncio.get_running_loop().time()
        telling = self._every(TELL_EVERY_S, lambda: self._show(began))
        async with telling, self._renewing(), asyncio.TaskGroup() as tasks:
            load = tasks.create_task(_together(self._workload.load(self._context)))
            tasks.create_task(self._break(began))
            tasks.create_task(self._end_load(began))
            await asyncio.wait({load})
            self._stop.set()
        await self._show(began)

    async def _break(self, began: float) -> None:
        await _together(
            [self._one_fault(number, step, began) for number, step in enumerate(self._steps, 1)]
        )

    async def _one_fault(self, number: int, step: ScheduledFault, began: float) -> None:
        if await self._stopped_by(began + step.at - self._nemesis.ahead):
            return
        await asyncio.to_thread(self._nemesis.inject, number, step.fault, _wall(began + step.at))
        stopped = await self._stopped_by(began + step.until - self._nemesis.ahead)
        await asyncio.to_thread(
            self._nemesis.heal, number, None if stopped else _wall(began + step.until)
        )

    async def _end_load(self, began: float) -> None:
        await self._stopped_by(began + self._plan.time_limit)
        self._stop.set()

    async def _heal(self) -> None:
        await asyncio.to_thread(self._nemesis.heal_by_hand)
        problems = await asyncio.to_thread(self._nemesis.end)
        if problems:
            raise RunError(
                f"not everything could be healed: {'; '.join(problems)}",
                remedy="run `jepsenvm heal`",
            )
        logger.info("everything is healed")

    async def _recover_and_drain(self) -> None:
        if self._interrupted.is_set():
            self._journal.append(
                "info", "interrupt", process=NEMESIS, error="a signal asked for it"
            )
        work = asyncio.create_task(self._recover_then_drain())
        given_up = asyncio.create_task(self._abandoned.wait())
        await asyncio.wait({work, given_up}, return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        if not work.done():
            logger.info("asked twice: not waiting for the drain")
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _recover_then_drain(self) -> None:
        plan = self._plan
        inventory = self._cluster.inventory
        recovery = Recovery(
            self._cluster.fleet,
            self._journal,
            self._context.queue,
            plan.recovery_deadline,
            not inventory.existing or RESTART in (inventory.allowed_faults or ()),
        )
        await recovery.wait()
        await self._workload.drain(self._context, self._ask_broker)

    async def _ask_broker(self, name: str) -> QueueStatus:
        """Return what is left in a queue; only when every node says so is it empty, or gone."""
        fleet = self._cluster.fleet
        told = await asyncio.to_thread(
            fleet.each_or_error, lambda node: broker.queues(fleet, node).get(name)
        )
        for node, queue in told.items():
            if isinstance(queue, Exception):
                return QueueStatus(1, f"nothing on {node}: {queue}")
        found = [queue for queue in told.values() if isinstance(queue, broker.Queue)]
        if not found:
            return QueueStatus(None, "that the queue is gone from every node")
        ready = max(queue.ready for queue in found)
        unacknowledged = max(queue.unacknowledged for queue in found)
        everywhere = len(found) == len(told) and all(queue.empty for queue in found)
        kept = max(queue.messages - queue.ready - queue.unacknowledged for queue in found)
        text = f"ready {ready}, unacknowledged {unacknowledged}" + (
            f", kept {kept}" if kept > 0 else ""
        )
        return QueueStatus(0 if everywhere else 1, text, max(0, unacknowledged))

    # What goes on beside the phases.

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._interrupted.is_set():
            self._abandoned.set()
            return
        self._interrupted.set()
        self._stop.set()
        logger.info("asked to end: healing, then draining for a verdict; once more skips the drain")

    async def _stopped_by(self, instant: float) -> bool:
        """Wait until an instant of the loop's clock; return True at once when the load is to end before."""
        try:
            async with asyncio.timeout_at(instant):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    async def _flush(self) -> None:
        for note in self._spool.new():
            self._record(note)
            self._nemesis.adopt(note)
            logger.info(
                f"by hand: fault {note.number} ({note.fault['name']} {{{note.fault['text']}}}) {note.phase}"
            )
        self._journal.flush()

    async def _show(self, began: float) -> None:
        gone = (asyncio.get_running_loop().time() - began) / self._plan.time_limit
        self._tell(self._context.op_counts, min(1.0, gone))

    @asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        if not self._steps:
            yield
            return
        async with self._every(
            RENEW_EVERY_S * self._cluster.fleet.patience,
            lambda: asyncio.to_thread(self._nemesis.renew),
        ):
            yield

    @asynccontextmanager
    async def _every(
        self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]]
    ) -> AsyncIterator[None]:
        """Act every so often as long as the context is open; an error in it ends the run."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                await act()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(repeat())
            try:
                yield
            finally:
                task.cancel()


def _wall(instant: float) -> float:
    """Return an instant of the loop's clock on the wall clock."""
    return time.time() + instant - asyncio.get_running_loop().time()


async def _together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for one in work:
            tasks.create_task(one)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
