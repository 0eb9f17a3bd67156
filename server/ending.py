"""Ending background tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

_PATIENCE_SECONDS = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancels tasks until all have ended, whatever with.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, with which the Redis client sends, swallows a
    cancellation that comes in the moment in which it is done, and a loop would go on for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_PATIENCE_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)
