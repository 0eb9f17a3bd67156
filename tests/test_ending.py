"""Background tasks end, also those that do not hear it the first time."""

import asyncio

from server.ending import end


async def test_a_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard += 1
                if heard == 2:
                    raise

    async def broken() -> None:
        raise RuntimeError("ended before")

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(broken())]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(tasks)
    assert heard == 2 and all(task.done() for task in tasks)
    await end([])
