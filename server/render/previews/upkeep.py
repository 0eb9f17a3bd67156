"""The server's share of looking after previews: money, plans, what is counted, and now and then the unused."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from server.ending import end
from server.render.jobs.jobs import Jobs
from server.render.jobs.scripts import STORE, key
from server.render.previews.ahead import Ahead
from server.render.previews.collect import Collector
from server.render.previews.meters import PreviewMeters
from server.render.previews.purse import Purse
from server.repeating import every
from server.stores.errors import store_errors

__all__ = ["running"]

SETTLE_SECONDS = 1.0
PLAN_SECONDS = 1.0
SHOW_SECONDS = 5.0
COLLECT_SECONDS = 86_400.0


@asynccontextmanager
async def running(
    state: Redis, jobs: Jobs, purse: Purse, ahead: Ahead, collector: Collector, meters: PreviewMeters
) -> AsyncIterator[None]:
    """Does all of it until left."""

    async def show() -> None:
        await _show(state, jobs, meters)

    async def collect() -> None:
        await collector.collect(dry_run=False)

    works = [
        every("settle", SETTLE_SECONDS, purse.settle_all),
        every("prerender", PLAN_SECONDS, ahead.step),
        every("show", SHOW_SECONDS, show),
        every("collect", COLLECT_SECONDS, collect, at_once=False),
    ]
    tasks = [asyncio.create_task(work, name="previews-upkeep") for work in works]
    try:
        yield
    finally:
        await end(tasks)


async def _show(state: Redis, jobs: Jobs, meters: PreviewMeters) -> None:
    now = time.time()
    with store_errors(STORE):
        async with state.pipeline(transaction=False) as pipe:
            pipe.hgetall(key("totals"))
            pipe.zcard(key("workers"))
            pipe.zrange(key("line", "user"), 0, 0)
            pipe.zrange(key("line", "prerender"), 0, 0)
            totals, workers, *first = await pipe.execute()
    heads: list[Any] = [str(one[0]) if one else None for one in first]
    found = {job.line: job for job in await jobs.look([id for id in heads if id]) if job is not None}
    lines = ("user", "prerender")
    oldest = {line: now - found[line].created.timestamp() if line in found else 0.0 for line in lines}
    meters.show(await jobs.counts(), oldest, totals, int(workers))
