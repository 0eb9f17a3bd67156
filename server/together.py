"""Opening several things at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar, cast

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@asynccontextmanager
async def together(
    a: AbstractAsyncContextManager[A],
    b: AbstractAsyncContextManager[B],
    c: AbstractAsyncContextManager[C],
    d: AbstractAsyncContextManager[D],
) -> AsyncIterator[tuple[A, B, C, D]]:
    """Enters all at the same time and leaves them one after the other, the last that was ready first.

    If one does not open, the others are closed once they have opened, and its error is raised.
    """
    async with AsyncExitStack() as stack:
        opened = await asyncio.gather(*map(stack.enter_async_context, (a, b, c, d)), return_exceptions=True)
        for result in opened:
            if isinstance(result, BaseException):
                raise result
        yield cast(tuple[A, B, C, D], tuple(opened))
