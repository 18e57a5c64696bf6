"""A Dask worker that owns the machines of this process, and runs one experiment at a time."""

from __future__ import annotations

import asyncio
import logging
import signal

from distributed import Worker

from jepsenvm.campaign import remote_machines
from jepsenvm.errors import RunError, shorten

logger = logging.getLogger(__name__)

POLL_S = 0.2
CONNECT_S = 30.0


async def work(scheduler: str, host: str) -> None:
    """Serve a scheduler until it ends, or until SIGINT or SIGTERM.

    ``host`` is the address on which the worker listens. A run in progress heals before the worker
    ends. Raises RunError if the scheduler does not answer.
    """
    logging.getLogger("distributed").setLevel(logging.WARNING)  # each connection would be a line
    worker = Worker(
        scheduler,
        nthreads=1,
        host=host,
        memory_limit=0,
        dashboard=False,
        death_timeout=CONNECT_S,
    )
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _request_end, ended)
    try:
        async with worker:
            logger.info(f"waiting for runs from {scheduler}")
            await _end_of(worker, ended)
    except (OSError, TimeoutError) as error:
        raise RunError(
            f"the Dask scheduler {shorten(scheduler)} does not answer: {shorten(error)}",
            remedy="start it with `dask scheduler`",
        ) from None


def _request_end(ended: asyncio.Event) -> None:
    ended.set()
    remote_machines.request_stop()


async def _end_of(worker: Worker, ended: asyncio.Event) -> None:
    finished = asyncio.create_task(worker.finished())
    requested = asyncio.create_task(ended.wait())
    await asyncio.wait({finished, requested}, return_when=asyncio.FIRST_COMPLETED)
    requested.cancel()
    if not finished.done():
        logger.info("the run in progress heals, then the worker ends")
    while not finished.done() and worker.state.executing_count:
        await asyncio.sleep(POLL_S)
    finished.cancel()
