"""Making the stores' files forget what was deleted from the stores."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.exceptions import NoPermissionError, ResponseError

from server.errors import StoreUnavailable
from server.memory.shared import Shared
from server.stores.errors import store_errors

_log = structlog.get_logger(__name__)

_SECONDS = 120.0
_LOOK_SECONDS = 0.05


class Purger:
    """Rewrites the append-only file of the state store, and Chroma's database. Both keep deleted text until then."""

    def __init__(self, shared: Shared) -> None:
        self._client = shared.state
        self._chroma = shared.chroma
        self._one = asyncio.Lock()

    async def __call__(self) -> None:
        """Returns when it is done.

        Raises:
            StoreUnavailable: the text is deleted, but may still be in the files; the next purge takes it out.
        """
        async with self._one:
            await self._rewrite_append_only_file()
            await self._chroma.purge()

    async def _rewrite_append_only_file(self) -> None:
        with store_errors("memory"):
            try:
                if str((await self._persistence()).get("aof_enabled", "0")) != "1":
                    return
                async with asyncio.timeout(_SECONDS):
                    await _until(self._begun)  # one that began before the deletion does not count
                    await _until(self._ended)
            except NoPermissionError:
                _log.warning(
                    "append_only_file_not_rewritten", advice="let the server run BGREWRITEAOF, or run it there"
                )
                return
        if str((await self._persistence()).get("aof_last_bgrewrite_status")) != "ok":
            raise StoreUnavailable("The memory store could not rewrite its file: see its log.", store="memory")

    async def _begun(self) -> bool:
        try:
            await self._client.bgrewriteaof()
        except ResponseError as error:
            if isinstance(error, NoPermissionError) or "in progress" not in str(error):
                raise
            return False
        return True

    async def _ended(self) -> bool:
        state = await self._persistence()
        return "1" not in (str(state.get("aof_rewrite_in_progress")), str(state.get("aof_rewrite_scheduled")))

    async def _persistence(self) -> dict[str, Any]:
        return await self._client.info("persistence")


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await done():
            return
        await asyncio.sleep(_LOOK_SECONDS)
