"""Making the stores' files forget what was deleted from the stores."""

import asyncio

from server.memory.shared import Shared
from server.stores.redis import purge_redis


class Purger:
    """Has every store write its files anew: until then they keep deleted text."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._one = asyncio.Lock()

    async def __call__(self) -> None:
        """Returns when it is done.

        Raises:
            StoreUnavailable: the text is deleted, but may still be in the files; the next purge takes it out.
        """
        async with self._one:
            await purge_redis(self._shared.state)
            if self._shared.cache is not self._shared.state:
                await purge_redis(self._shared.cache)
            await self._shared.chroma.purge()
