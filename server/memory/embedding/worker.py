"""One thread that does the most urgent waiting job next."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class UrgentFirst:
    """A single worker thread with priorities: lower goes first, equals in order of arrival.

    A job that has begun is never interrupted, so long work should be submitted in small pieces. Cancelling the awaiting
    task takes a waiting job out of the line.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting: list[tuple[int, int, Callable[[], None], Future[object]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    async def run(self, priority: int, work: Callable[[], T]) -> T:
        """`work()`'s result, or what it raised. Raises `RuntimeError` after `close`."""
        done: Future[T] = Future()

        def job() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(work())
            except BaseException as error:  # handed to whoever awaits, as an executor does
                done.set_exception(error)

        with self._lock:
            heapq.heappush(self._waiting, (priority, next(self._order), job, done))  # type: ignore[arg-type]
        self._pool.submit(self._next)  # as many of these as there are jobs; each takes the most urgent one
        return await asyncio.wrap_future(done)

    def _next(self) -> None:
        with self._lock:
            *_, job, _done = heapq.heappop(self._waiting)
        job()

    def close(self) -> None:
        """Waiting jobs are cancelled; the running one ends in its own time."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for *_, done in waiting:
            done.cancel()
