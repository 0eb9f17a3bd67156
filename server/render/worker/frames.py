"""Live previews on their way to those who watch: small, few, and not kept."""

import asyncio
import base64
import time
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.render.jobs.scripts import key
from server.render.worker.pictures import Damaged, small

__all__ = ["Frames"]

EVERY_SECONDS = 0.5


class Frames:
    """Sends the frames of one render; one that comes while another is made ready is left out."""

    def __init__(self, state: Redis, job: str) -> None:
        self._state = state
        self._job = job
        self._last = -EVERY_SECONDS
        self._sending: asyncio.Task[None] | None = None

    def take(self, data: bytes) -> None:
        """A picture of the render as it is now, in whatever size and format."""
        now = time.monotonic()
        if now - self._last < EVERY_SECONDS or (self._sending is not None and not self._sending.done()):
            return
        self._last = now
        self._sending = asyncio.create_task(self._send(data), name="frame")

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self, data: bytes) -> None:
        with suppress(Damaged, RedisError, OSError):  # a frame that nobody sees is no loss
            frame = await asyncio.to_thread(small, data)
            await self._state.publish(key("frames"), f"{self._job} {base64.b64encode(frame).decode()}")
