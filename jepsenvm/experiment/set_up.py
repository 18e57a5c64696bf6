"""The set-up of a run's queues, with retries while the cluster settles."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import tenacity

from jepsenvm.errors import JepsenvmError, RunError, UsageError, shorten
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.amqp import SessionLost, failure_text
from jepsenvm.rabbitmq.finished_runs import finished_runs, run_of_queue
from jepsenvm.rabbitmq.policies import RUN_POLICY, mirroring, of_run
from jepsenvm.rabbitmq.topology_listing import listing
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import delete_exchanges
from jepsenvm.workloads.workload import Workload

logger = logging.getLogger(__name__)

QUEUE_PREFIX: Final = "jepsenvm."

SETTLE_S: Final = 120.0
"""Seconds after which the set-up is not retried."""

SETTLE_POLL_S: Final = 2.0

FINAL_REPLIES: Final = ("403 ", "404 ", "405 ", "406 ")
"""AMQP reply codes for which a retry is useless: refused, not found, locked, precondition."""


async def set_up_queues(
    fleet: Fleet, workload: Workload[WorkloadOptions], context: Context
) -> None:
    """Delete the queues and exchanges of finished runs and declare the queues of this run.

    A cluster that was broken a moment ago may look healthy and still restart nodes (autoheal), so
    failures that may pass are retried. Raises RunError when they do not pass.
    """

    async def attempt() -> None:
        await _make_queues(fleet, workload, context)

    def is_too_late(state: tenacity.RetryCallState) -> bool:
        elapsed = state.seconds_since_start or 0.0
        return context.stop.is_set() or elapsed > SETTLE_S * fleet.patience

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(may_pass),
        stop=is_too_late,
        wait=tenacity.wait_fixed(SETTLE_POLL_S),
        before_sleep=lambda state: context.log_once(f"set-up: {_problem(state)}; trying again"),
        reraise=True,
    )
    try:
        await retrying(attempt)
    except (SessionLost, TimeoutError) as error:
        raise RunError(f"the queue could not be set up: {failure_text(error)}") from None


def may_pass(error: BaseException) -> bool:
    """Return whether a retry may succeed: not if the broker gave a final reply code."""
    if isinstance(error, SessionLost):
        return not str(error).startswith(FINAL_REPLIES)
    return isinstance(error, TimeoutError | JepsenvmError) and not isinstance(error, UsageError)


async def _make_queues(fleet: Fleet, workload: Workload[WorkloadOptions], context: Context) -> None:
    node = context.addresses[0].node
    listed = await asyncio.to_thread(listing, fleet, node)
    finished = await asyncio.to_thread(finished_runs, fleet, node)
    # A failed attempt may have left queues of this run. They are stale as well.
    own = run_of_queue(context.queue)
    runs = {name: run_of_queue(name) for name in sorted(listed.queues)}
    stale = [name for name, run in runs.items() if run and (run == own or run in finished)]
    stale_exchanges = [
        name for name in sorted(listed.exchanges) if run_of_queue(name) in {own, *finished}
    ]
    if context.plan.queue_type == "mirrored":
        pattern, definition = of_run(context.queue), mirroring(context.plan)
        await asyncio.to_thread(broker.set_policy, fleet, node, RUN_POLICY, pattern, definition)
    # The exchanges first: while a run has queues, the cluster knows that it has finished.
    await delete_exchanges(context, stale_exchanges)
    await workload.setup(context, stale)
    deleted = f", {len(stale)} old one(s) deleted" if stale else ""
    more = context.plan.queues - 1
    logger.info(f"queue {context.queue}{f' and {more:,} more' if more else ''} declared{deleted}")
    if kept := [name for name, run in runs.items() if run and name not in stale]:
        logger.info(
            f"{len(kept)} queue(s) of runs without a verdict stay: {shorten(' '.join(kept), 200)}; "
            "`jepsenvm resume` reads them, `rabbitmqctl delete_queue` deletes them"
        )


def _problem(state: tenacity.RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome else None
    return failure_text(error or TimeoutError())
