"""The dramatiq side: two queues of tickets over the state Redis.

A ticket is no job. It says that the line should be looked at, and whoever gets it takes the job that is next by then:
so a person's ask overtakes what came before it, a ticket that comes twice does nothing twice, and one that is lost is
made up for by the next sweep. The truth about jobs is in their own keys alone.
"""

import asyncio
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError

from server.render.jobs.types import Line

__all__ = ["QUEUES", "Queue", "actor_name", "make_broker"]

_log = structlog.get_logger(__name__)

QUEUES: tuple[Line, ...] = ("user", "prerender")
NAMESPACE = "vestige:{render}:queue"
SILENT_MS = 15_000
"""A worker that was not heard of for so long has left its tickets to the others."""
_SHARED = ("host", "port", "db", "username", "password", "path", "socket_timeout", "socket_connect_timeout")


def make_broker(state: Redis) -> RedisBroker:
    """A broker over the server that `state` talks to, with queues declared and connections of its own.

    It has no middleware: what a ticket does never fails, takes no longer than one render, and is never tried again.
    """
    client = redis.Redis(connection_pool=_pool(state))
    broker = RedisBroker(client=client, middleware=[], namespace=NAMESPACE, heartbeat_timeout=SILENT_MS)
    for name in QUEUES:
        broker.declare_queue(name)
    return broker


def actor_name(line: Line) -> str:
    """What looks at the line when a ticket of this queue comes."""
    return f"look_for_{line}"


class Queue:
    """Sends tickets. `broker` does its input and output in threads of its own."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    async def send(self, line: Line) -> None:
        """Says that the line should be looked at. Where it cannot be said, the next sweep says it."""
        try:
            await asyncio.to_thread(self._send, line)
        except (RedisError, OSError) as error:
            _log.warning("ticket_not_sent", error=type(error).__qualname__)

    def close(self) -> None:
        self._broker.close()
        self._broker.client.close()

    def _send(self, line: Line) -> None:
        if self._broker.client.llen(f"{NAMESPACE}:{line}"):
            return  # whoever takes that one looks at the line after now
        message: Message[Any] = Message(queue_name=line, actor_name=actor_name(line), args=(), kwargs={}, options={})
        self._broker.enqueue(message)


def _pool(state: Redis) -> redis.ConnectionPool:
    """The same place for a client that blocks."""
    kwargs = state.connection_pool.connection_kwargs
    shared: dict[str, Any] = {name: kwargs[name] for name in _SHARED if kwargs.get(name) is not None}
    shared |= {name: value for name, value in kwargs.items() if name.startswith("ssl_")}
    kind = state.connection_pool.connection_class
    if issubclass(kind, UnixDomainSocketConnection):
        shared["connection_class"] = redis.UnixDomainSocketConnection
    elif issubclass(kind, SSLConnection):
        shared["connection_class"] = redis.SSLConnection
    return redis.ConnectionPool(**shared)
