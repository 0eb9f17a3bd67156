"""`vestige worker`: a process that renders until it is told to stop."""

import asyncio
import os
import secrets
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import dramatiq
import structlog

from server.catalog.references import References
from server.ending import end
from server.loras.push import open_pusher
from server.loras.registry import Registry
from server.metrics import Metrics
from server.render.fleet.config import host_configs, open_fleet
from server.render.fleet.fleet import Fleet
from server.render.forgetting.todo import Todo
from server.render.jobs.jobs import Jobs
from server.render.jobs.open import open_jobs
from server.render.jobs.queue import QUEUES, actor_name, make_broker
from server.render.previews.shelf import Shelf
from server.render.worker.rendering import Renderer
from server.render.worker.supervisor import running_workers
from server.render.worker.upkeep import Upkeep
from server.render.worker.worker import Worker
from server.settings import Settings
from server.stores.objects_open import open_objects
from server.stores.redis import RedisPair, open_state

__all__ = ["DRAIN_SECONDS", "consuming", "run", "run_several", "worker_threads"]

DRAIN_SECONDS = 2.0
"""How long renders may still take once the worker is told to stop; then others find them on their hosts."""
END_SECONDS = 12.0
"""After so long the process ends whatever is left: leases run out by themselves."""
POLL_MS = 200
"""How long a ticket waits at most in an idle worker."""
PRIORITIES = {"user": 0, "prerender": 10}

_log = structlog.get_logger(__name__)


def worker_threads(settings: Settings) -> int:
    """How many renders one process watches at once: a thread each, which does nothing but wait."""
    return settings.render_threads or min(64, 4 + 3 * len(settings.comfy_hosts))


async def run(settings: Settings) -> None:
    """Renders until SIGTERM or SIGINT; a second one ends at once.

    Raises:
        StartupError: a store does not answer, or a setting cannot be used.
    """
    stopping = _stop_signal()
    async with opened(settings) as worker:
        _log.info("worker_ready", worker=worker.name, threads=worker_threads(settings))
        await stopping.wait()
        _log.info("worker_draining", busy=worker.busy)
        _end_for_certain()
        await worker.drain(DRAIN_SECONDS)


async def run_several(settings: Settings, processes: int) -> None:
    """Keeps so many workers running until SIGTERM or SIGINT. Raises `StartupError` as `run`."""
    stopping = _stop_signal()
    async with open_state(settings) as redis, running_workers(settings, redis, processes):
        await stopping.wait()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Worker]:
    """Everything a worker is made of, at work until left."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_state(settings))
        objects = await stack.enter_async_context(open_objects(settings))
        fleet = await stack.enter_async_context(open_fleet(settings, redis.busy, Metrics().registry))
        jobs = await stack.enter_async_context(open_jobs(redis))
        hosts = [(host.name, host.url, host.token) for host in host_configs(settings)]
        pusher = await stack.enter_async_context(open_pusher(hosts, objects, Registry(redis.busy)))
        shelf = Shelf(redis.busy, jobs, objects, Todo(redis.busy))
        renderer = Renderer(fleet, objects, References(objects, redis.busy), pusher, shelf)
        worker = Worker(jobs, fleet, renderer, redis.state, name=name)
        await stack.enter_async_context(fleet.watching())
        await stack.enter_async_context(consuming(redis, worker, worker_threads(settings)))
        await stack.enter_async_context(_swept(jobs, fleet, worker))
        yield worker


@asynccontextmanager
async def consuming(redis: RedisPair, worker: Worker, threads: int) -> AsyncIterator[None]:
    """Has dramatiq's threads take tickets and wait for what the event loop does about them."""
    loop, broker = asyncio.get_running_loop(), make_broker(redis.state)
    for line in QUEUES:
        dramatiq.Actor(
            _on(loop, worker.look),
            broker=broker,
            actor_name=actor_name(line),
            queue_name=line,
            priority=PRIORITIES[line],
            options={},
        )
    consumer = dramatiq.Worker(broker, worker_timeout=POLL_MS, worker_threads=threads)
    consumer.start()
    try:
        yield
    finally:
        await worker.drain(0)  # threads end once what they wait for has
        await asyncio.to_thread(consumer.stop, timeout=round(DRAIN_SECONDS * 1000))
        broker.close()
        broker.client.close()


@asynccontextmanager
async def _swept(jobs: Jobs, fleet: Fleet, worker: Worker) -> AsyncIterator[None]:
    sweeping = asyncio.create_task(Upkeep(jobs, fleet, worker).run(), name="upkeep")
    try:
        yield
    finally:
        await end([sweeping])


def _on(loop: asyncio.AbstractEventLoop, look: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def take_ticket() -> None:
        with suppress(CancelledError):
            asyncio.run_coroutine_threadsafe(look(), loop).result()

    return take_ticket


def _stop_signal() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets; the second one ends the process."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping


def _end_for_certain() -> None:
    """A store that hangs must not keep the process: nothing is lost by its end."""
    timer = threading.Timer(END_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
