"""The worker processes of `vestige serve`: started with it, started again when they die, ended with it."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from pydantic import SecretStr

from server.ending import end
from server.processes import Child, plain_environment, spawn_child
from server.settings import Settings
from server.stores.redis import RedisPair

__all__ = ["environment", "running_workers"]

STOP_SECONDS = 15.0
STEADY_SECONDS = 30.0
"""A worker that ran for so long did not fail at its start."""
DELAYS = (0.2, 1.0, 5.0, 15.0, 30.0)
COMMAND = (sys.executable, "-P", "-m", "server.cli", "worker")
PASSED = (
    "objects_url",
    "comfy_token",
    "comfy_render_seconds",
    "comfy_swap_seconds",
    "render_threads",
    "log_level",
    "log_json",
)
"""Settings that a worker has from its server. Others it does not need, and the model's key above all."""
_PASSED_ON = ("AWS_", "SSL_CERT_")

_log = structlog.get_logger(__name__)


class Workers:
    """Keeps a number of children running."""

    def __init__(self, count: int, env: dict[str, str], command: Sequence[str] = COMMAND) -> None:
        self._env = env
        self._command = command
        self._children: list[Child | None] = [None] * count

    @property
    def pids(self) -> list[int]:
        """Of those that run, for tests and support."""
        return [child.pid for child in self._children if child is not None and child.returncode is None]

    async def keep(self, number: int) -> None:
        """Starts one and starts it again, later and later where it does not last."""
        failures = 0
        while True:
            began = time.monotonic()
            # stderr is the server's own: a worker's log lines are the server's
            child = spawn_child(self._command, env=self._env, stdout=2, stderr=2, grace=STOP_SECONDS)
            self._children[number] = child
            code = await child.wait()
            failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            _log.error("render_worker_died", status=code, restarts_in=DELAYS[min(failures, len(DELAYS) - 1)])
            await asyncio.sleep(DELAYS[min(failures, len(DELAYS) - 1)])

    async def stop(self) -> None:
        """Has all of them drain and end."""
        await asyncio.gather(*(child.stop(STOP_SECONDS) for child in self._children if child is not None))


@asynccontextmanager
async def running_workers(settings: Settings, redis: RedisPair, count: int) -> AsyncIterator[Workers]:
    """`count` workers, until left. Must be entered from the main thread (`server.processes.spawn_child`)."""
    workers = Workers(count, environment(settings, redis))
    keeping = [asyncio.create_task(workers.keep(number), name=f"worker-{number}") for number in range(count)]
    try:
        yield workers
    finally:
        await end(keeping)
        await workers.stop()


def environment(settings: Settings, redis: RedisPair) -> dict[str, str]:
    """A worker's whole environment: where the stores are, and what `PASSED` lists. Secrets go no other way."""
    passed: dict[str, object] = {"data": str(settings.data), "redis_url": redis.address}
    passed["comfy_hosts"] = {
        name: {"url": one.url, "token": one.secret()} for name, one in settings.comfy_hosts.items()
    }
    passed |= {name: value for name in PASSED if (value := getattr(settings, name)) is not None}
    variables = {f"VESTIGE_{name.upper()}": _written(value) for name, value in passed.items()}
    outside = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return plain_environment(**outside, **variables, OPENBLAS_NUM_THREADS="1")


def _written(value: object) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, default=_plain)


def _plain(value: object) -> object:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case _:
            return value
