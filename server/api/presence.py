"""Stops what is done for a client that has left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

WATCH_SECONDS = 0.5


@asynccontextmanager
async def while_there(request: web.Request) -> AsyncIterator[None]:
    """Cancels what is inside once the client hangs up, so that nobody pays for what nobody reads.

    Raises:
        ConnectionResetError: the client left.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    left = False

    def look() -> None:
        nonlocal left, timer
        if has_left(request) and task is not None:
            left = True
            task.cancel()
        else:
            timer = loop.call_later(WATCH_SECONDS, look)

    timer = loop.call_later(WATCH_SECONDS, look)
    try:
        yield
    except asyncio.CancelledError:
        if not left or task is None or task.uncancel() > 0:
            raise
        raise ConnectionResetError("the client left") from None
    finally:
        timer.cancel()


def has_left(request: web.Request) -> bool:
    """Whether the connection of a request is closed."""
    transport = request.transport
    return transport is None or transport.is_closing()
