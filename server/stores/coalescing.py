"""A Redis client for the hot path: commands that come together go out together.

While one batch is on its way the next one gathers, so that fifty requests at once cost a few round trips and not fifty,
each with its own writes, reads and time-outs. A lone command waits for nobody. Each is still sent once, answers or
fails for itself, and shares nothing but the connection with its neighbours: there is no transaction around them.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

MAX_BATCH = 256


class CoalescingRedis(Redis):
    """`Redis` over somebody else's pool, which it does not close. Pipelines of its own are as ever."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        self._gathered: list[tuple[asyncio.Future[Any], tuple[Any, ...], dict[str, Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """A caller that is cancelled meanwhile leaves its command to be carried out all the same."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._gathered.append((future, args, options))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="redis-batches")
        return await future

    async def _send(self) -> None:
        while self._gathered:
            batch, self._gathered = self._gathered[:MAX_BATCH], self._gathered[MAX_BATCH:]
            try:
                answers = await self._carried_out(batch)
            except BaseException as error:
                # of a batch that failed nobody knows how far it came: every one of its callers hears so
                answers = [_for_each(error) for _ in batch]
                if not isinstance(error, Exception):
                    _hand_out(batch, answers)
                    raise
            _hand_out(batch, answers)

    async def _carried_out(
        self, batch: "list[tuple[asyncio.Future[Any], tuple[Any, ...], dict[str, Any]]]"
    ) -> list[Any]:
        async with self.pipeline(transaction=False) as pipe:
            for _, args, options in batch:
                pipe.pipeline_execute_command(*args, **options)
            return await pipe.execute(raise_on_error=False)


def _for_each(error: BaseException) -> BaseException:
    """An error of its own for each caller: one that is raised twice would carry both tracebacks."""
    if isinstance(error, asyncio.CancelledError):
        return asyncio.CancelledError()
    own = type(error)(*error.args)
    own.__cause__ = error.__cause__
    return own


def _hand_out(batch: "list[tuple[asyncio.Future[Any], tuple[Any, ...], dict[str, Any]]]", answers: list[Any]) -> None:
    for (future, _, _), answer in zip(batch, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, asyncio.CancelledError):
            future.cancel()
        elif isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
