"""Work that is done again and again outlives whatever happens to one round of it."""

import asyncio

import pytest

from server.errors import StoreUnavailable
from server.repeating import every


@pytest.mark.parametrize("at_once", [True, False])
async def test_it_outlives_a_bug_and_a_store_that_is_away(at_once: bool) -> None:
    failures: list[Exception] = [RuntimeError("a bug"), StoreUnavailable("away")]
    went_on = asyncio.Event()

    async def work() -> None:
        if failures:
            raise failures.pop()
        went_on.set()

    task = asyncio.create_task(every("step", 0.0, work, at_once=at_once))
    async with asyncio.timeout(5):
        await went_on.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
