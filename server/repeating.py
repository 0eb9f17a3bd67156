"""Work that is done again and again for as long as a process runs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from server.errors import VestigeError
from server.frames import frames, kinds

__all__ = ["every"]

_log = structlog.get_logger(__name__)


async def every(name: str, seconds: float, work: Callable[[], Awaitable[None]], *, at_once: bool = True) -> None:
    """Until cancelled; what does not answer is waited for, and a bug is logged and does not end it."""
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await work()
        except VestigeError as error:
            _log.warning("upkeep_waits", step=name, reason=error.message)
        except Exception as error:
            _log.error("upkeep_failed", step=name, error=kinds(error), frames=frames(error))
        await asyncio.sleep(seconds)
