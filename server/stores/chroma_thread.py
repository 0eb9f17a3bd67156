"""Chroma's blocking calls, off the event loop, with a deadline and one kind of error."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx

from server.errors import StoreUnavailable, VestigeError

__all__ = ["ChromaThreads"]

T = TypeVar("T")

_THREADS = 3
"""More do not help: Chroma's reads do not scale with threads."""


class ChromaThreads:
    """A few threads for Chroma. A call that takes too long is given up, not ended: nothing can end a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="chroma")

    async def run(self, work: Callable[[], T], seconds: float, *, ended: Callable[[], object] | None = None) -> T:
        """`work()`. `ended` is called once it is over, which may be later than this returns or is cancelled.

        Raises:
            StoreUnavailable: Chroma failed or took longer than `seconds`.
        """
        working = asyncio.get_running_loop().run_in_executor(self._pool, _typed, work)
        if ended is not None:
            working.add_done_callback(lambda done: (done.cancelled() or done.exception(), ended()))
        try:
            async with asyncio.timeout(seconds):
                return await (working if ended is None else asyncio.shield(working))
        except TimeoutError as error:
            raise StoreUnavailable("The index did not answer in time: try again.", store="index") from error

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _typed(work: Callable[[], T]) -> T:
    from chromadb.errors import (
        ChromaError,
        DuplicateIDError,
        InvalidArgumentError,
        InvalidDimensionException,
    )

    try:
        return work()
    except (VestigeError, DuplicateIDError, InvalidArgumentError, InvalidDimensionException):
        raise  # the last three: a bug of ours, not a failure of the store
    except (ChromaError, httpx.HTTPError, sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"The index failed: {_line(error)}", store="index") from error
    except BaseException as error:
        # a panic of Chroma's Rust part is no Exception, and its HTTP client raises bare ones for answers it cannot read
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise StoreUnavailable(f"The index failed: {_line(error)}", store="index") from error
        raise


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
