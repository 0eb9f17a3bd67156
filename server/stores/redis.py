"""The two Redis clients: `state` must not vanish, `cache` may be evicted. They may be the same server.

Without `redis_url` both are the embedded Valkey. No command is ever sent twice: a repeated append would be a repeated
message. Only making a connection is retried, which covers the moment in which a store restarts.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis.asyncio
import structlog
from pydantic import SecretStr
from redis.asyncio.connection import AbstractConnection, ConnectionPool, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from server.datafolder import DataFolder
from server.errors import SettingsError, StartupError, StoreUnavailable
from server.settings import Settings
from server.stores.errors import refuses_credentials, store_errors
from server.stores.multiplexed import MultiplexedRedis
from server.stores.valkey import open_valkey, running_socket

__all__ = ["RedisPair", "open_redis", "open_state", "purge_redis", "store_errors"]

_log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_CONNECTIONS = 64
_WAIT_SECONDS = 5.0
"""For a free connection of the pool."""
_HEALTH_SECONDS = 30
_REWRITE_SECONDS = 600.0
_CONNECT_DELAYS = (0.05, 0.15, 0.3)
_FIXED = {
    "valkey": ((7, 2, 11), (8, 0, 6), (8, 1, 4)),
    "redis": ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
}
"""The first version of each line without CVE-2025-49844."""


@dataclass(frozen=True)
class RedisPair:
    """`state`: conversations, accounts, epochs. `cache`: what can be made again. Both answer in `str`.

    `address`: where another process finds `state`; it may hold a password.
    """

    state: redis.asyncio.Redis
    cache: redis.asyncio.Redis
    address: SecretStr | None = None

    @cached_property
    def busy(self) -> redis.asyncio.Redis:
        """`state` for what every request asks: commands of many requests share a connection."""
        return MultiplexedRedis(self.state.connection_pool, seconds=_ANSWER_SECONDS)


class _Pool(ConnectionPool):
    """A bounded pool that serves tasks in the order in which they came.

    redis-py's own blocking pool lets whoever has just returned a connection take it again before those who wait:
    with 400 tasks at 64 connections most of them waited in vain.

    It tries a few times to *connect*, when nothing has been sent yet.
    """

    def __init__(self, *, max_connections: int, wait_seconds: float, **kwargs: Any) -> None:
        super().__init__(max_connections=max_connections, **kwargs)
        self._free = asyncio.Semaphore(max_connections)
        self._wait_seconds = wait_seconds

    async def get_connection(self, command_name: object = None, *keys: object, **options: object) -> AbstractConnection:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise RedisTimeoutError("no connection became free") from None
        try:
            connection = self.get_available_connection()
        except BaseException:
            self._free.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        try:
            await super().release(connection)
        finally:
            self._free.release()

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        for delay in _CONNECT_DELAYS:
            try:
                return await super().ensure_connection(connection)
            except RedisConnectionError as error:
                if refuses_credentials(error):
                    raise
                await asyncio.sleep(delay)
        return await super().ensure_connection(connection)


def make_client(kwargs: dict[str, Any]) -> redis.asyncio.Redis:
    pool = _Pool(
        max_connections=_CONNECTIONS,
        wait_seconds=_WAIT_SECONDS,
        **kwargs,
        decode_responses=True,
        protocol=2,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        health_check_interval=_HEALTH_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)


@asynccontextmanager
async def open_redis(settings: Settings, folder: DataFolder) -> AsyncIterator[RedisPair]:
    """Both clients, checked and ready.

    Raises:
        StartupError: the store does not answer, or the embedded one does not start.
        SettingsError: an address that is none, or a state store that may throw records away.
    """
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            valkey = await stack.enter_async_context(open_valkey(folder))
            state = _on_socket(valkey.socket)
            address = _socket_address(valkey.socket)
            cache = state
        else:
            address = settings.redis_url
            state = make_client(_address(address.get_secret_value(), "redis_url"))
            cache = state
            if settings.cache_redis_url is not None:
                cache = make_client(_address(settings.cache_redis_url.get_secret_value(), "cache_redis_url"))
        for client in {id(state): state, id(cache): cache}.values():
            stack.push_async_callback(client.aclose, close_connection_pool=True)
        await _check(state, "redis_url", keeps=True)
        if cache is not state:
            await _check(cache, "cache_redis_url", keeps=False)
        pair = RedisPair(state, cache, address)
        stack.push_async_callback(pair.busy.aclose)
        yield pair


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[RedisPair]:
    """The state store alone, as a process beside the server sees it: that of the settings, or the embedded one of the
    server that has the data folder open.

    Raises:
        StartupError: it does not answer, or no server runs there.
        SettingsError: as `open_redis`.
    """
    if settings.redis_url is not None:
        address = settings.redis_url
    else:
        socket = running_socket(DataFolder(settings.data).redis)
        if socket is None:
            raise StartupError(
                f"No server has {settings.data} open, so there is no store to work with: start `vestige serve` first, "
                "or set REDIS_URL to the store that the servers share."
            )
        address = _socket_address(socket)
    async with AsyncExitStack() as stack:
        state = make_client(_address(address.get_secret_value(), "redis_url"))
        stack.push_async_callback(state.aclose, close_connection_pool=True)
        await _check(state, "redis_url", keeps=True)
        pair = RedisPair(state, state, address)
        stack.push_async_callback(pair.busy.aclose)
        yield pair


def _on_socket(socket: Path) -> redis.asyncio.Redis:
    return make_client({"connection_class": UnixDomainSocketConnection, "path": str(socket)})


def _socket_address(socket: Path) -> SecretStr:
    return SecretStr(f"unix://{quote(str(socket))}")


async def purge_redis(client: redis.asyncio.Redis) -> None:
    """Takes what was deleted from the store off its disk, by writing its files anew; returns once that is done.

    A store that forbids this to its clients keeps the deleted text until its own next rewrite; the log says so.

    Raises:
        StoreUnavailable: it does not answer, or could not write.
    """
    with store_errors("memory"):
        try:
            async with asyncio.timeout(_REWRITE_SECONDS):
                # one that began before the deletion does not count: wait for it, then begin another
                info = await _persisted(client)
                appends, snapshots = int(info["aof_enabled"]), int(info.get("rdb_saves", 0))
                statuses = []
                if appends:
                    await client.bgrewriteaof()
                    statuses.append((await _persisted(client))["aof_last_bgrewrite_status"])
                if snapshots or not appends:
                    await client.bgsave()
                    statuses.append((await _persisted(client))["rdb_last_bgsave_status"])
        except (NoPermissionError, ResponseError) as error:
            if not isinstance(error, NoPermissionError) and "unknown command" not in str(error).lower():
                raise
            _log.warning("redis_purge_forbidden", advice="rewrite its file there, to take deleted text off its disk")
            return
    if statuses.count("ok") != len(statuses):
        raise StoreUnavailable("Deleted text could not be taken off the disk: is it full?", store="memory")


async def _persisted(client: redis.asyncio.Redis) -> dict[str, Any]:
    """The store's persistence figures, once no rewrite or save runs or waits."""
    running = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
    while True:
        info: dict[str, Any] = await client.info("persistence")
        if not any(int(info.get(name, 0)) for name in running):
            return info
        await asyncio.sleep(0.02)


def _address(url: str, name: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError as error:
        raise SettingsError(
            f"{name} is no Redis address: write redis://host:port/0, rediss://… or unix:///path."
        ) from error


async def _check(client: redis.asyncio.Redis, name: str, *, keeps: bool) -> None:
    """Refuses a store that is not there or not safe; warns about one with a known hole.

    Raises:
        StartupError, SettingsError: see `open_redis`.
    """
    try:
        info: dict[str, Any] = await client.info("everything")
    except (RedisError, OSError, TimeoutError) as error:
        if refuses_credentials(error):
            raise SettingsError(f"The store at {name} refuses the password or user in the address.") from error
        raise StartupError(
            f"The store at {name} does not answer ({error}): start it, or correct the address."
        ) from error
    flavour = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get(f"{flavour}_version", "0"))
    if vulnerable(flavour, version):
        _log.warning(
            "redis_version_has_cve_2025_49844", store=name, version=f"{flavour} {version}", advice="upgrade it"
        )
    policy, limit = str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0))
    if keeps and limit and policy != "noeviction":
        raise SettingsError(
            f"The store at {name} has maxmemory set with policy {policy}, so it would silently drop conversations: "
            "set maxmemory-policy noeviction there, and give caches another server with cache_redis_url."
        )
    if keeps and str(info.get("aof_enabled", "0")) != "1":
        _log.warning(
            "redis_without_append_only_file", store=name, advice="set appendonly yes, or accept losing minutes"
        )


def vulnerable(flavour: str, version: str) -> bool:
    """Whether CVE-2025-49844 (use after free in Lua) is open in this version."""
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    fixed = _FIXED[flavour]
    same_line = [patch for patch in fixed if patch[:2] == number[:2]]
    return number < same_line[0] if same_line else number < fixed[-1]
