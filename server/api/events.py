"""Server-sent events at little cost: a token is one write, and a timer pings while nothing is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

PING_SECONDS = 15.0
SEND_SECONDS = 60.0
"""A client that takes nothing for so long has gone."""


class EventStream:
    """Sends events on a response that is prepared already."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def send(self, name: str, data: bytes, *, id: str | None = None) -> None:
        """One event; `data` is JSON, which has no line ends. `id`: what a client resumes from.

        Raises:
            ConnectionResetError: the client left, or takes nothing any more.
        """
        self._last = self._loop.time()
        numbered = b"" if id is None else b"id: %b\n" % id.encode()
        await self._write(b"%bevent: %b\ndata: %b\n\n" % (numbered, name.encode(), data))

    async def data(self, data: bytes) -> None:
        """One event without a name. Raises as `send` does."""
        self._last = self._loop.time()
        await self._write(b"data: %b\n\n" % data)

    async def ping(self) -> None:
        """Comments, whenever nothing else was sent for a while, so that proxies keep the connection."""
        while True:
            quiet = self._loop.time() - self._last
            if quiet < PING_SECONDS:
                await asyncio.sleep(PING_SECONDS - quiet)
                continue
            self._last = self._loop.time()
            await self._write(b": ping\n\n")

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.response.write(data)
        except TimeoutError:
            raise ConnectionResetError("the client takes nothing any more") from None


@asynccontextmanager
async def event_stream(request: web.Request) -> AsyncIterator[EventStream]:
    """An answer of events, begun here and ended on the way out."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    stream = EventStream(response)
    pings = asyncio.create_task(stream.ping(), name="pings")
    try:
        yield stream
        await response.write_eof()
    finally:
        pings.cancel()
