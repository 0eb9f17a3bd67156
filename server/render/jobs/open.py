"""Jobs with everything they need, opened and closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.render.jobs.follow import open_hub
from server.render.jobs.jobs import Jobs
from server.render.jobs.queue import Queue, make_broker
from server.stores.redis import RedisPair

__all__ = ["open_jobs"]


@asynccontextmanager
async def open_jobs(redis: RedisPair, *, waiting_most: int = 0) -> AsyncIterator[Jobs]:
    """The door to jobs. `waiting_most`: how many a person may wait for at once, 0 any number."""
    queue = Queue(make_broker(redis.state))
    try:
        async with open_hub(redis.state) as hub:
            yield Jobs(redis.busy, queue, hub, waiting_most=waiting_most)
    finally:
        queue.close()
