"""Coroutines that run beside the phases of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def every(
    seconds: float, action: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncIterator[None]:
    """Run an action periodically while the context is open; an error of it cancels the context."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            await action()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()


async def run_all(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all coroutines concurrently; the first error cancels the others."""
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


async def to_the_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end; a cancellation takes effect only then."""
    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:
            break  # raised below, once
    task.result()
    if cancelled is not None:
        raise cancelled


async def is_set_before(event: asyncio.Event, instant: float) -> bool:
    """Wait until an instant of the loop's clock; return True early, as soon as the event is set."""
    try:
        async with asyncio.timeout_at(instant):
            await event.wait()
    except TimeoutError:
        return False
    return True


def first_error(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first error of an exception group that is not a group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
