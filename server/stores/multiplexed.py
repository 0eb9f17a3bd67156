"""A Redis client for the hot path: many commands under way on one connection.

A command goes out behind those that still wait for their answers, and Redis answers in order; those that come together
go out together. A lone command waits for Redis and for nobody else, and fifty at once cost a few writes and reads, not
fifty with a connection and time-outs for each. Every command is sent once, answers or fails for itself, and shares
nothing but the connection with its neighbours: there is no transaction around them.

Where the connection breaks, all that wait for an answer on it hear so, and the next command opens another.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import ScriptTextT

ALONE = frozenset(
    ("BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "WAIT", "WAITAOF")
) | frozenset(("XREAD", "XREADGROUP"))
"""Commands that may take their time: everybody behind them would wait too, so they get a connection of their own."""

_NOT_YET = object()
"""What hiredis says where an answer has not come whole."""


class MultiplexedRedis(Redis):
    """`Redis` over somebody else's pool, of which it keeps one connection while it has one. Pipelines are as ever.

    Raises:
        RedisConnectionError, RedisTimeoutError: the connection broke, or nothing was answered for `seconds`; whether
            the command was carried out is not known.
    """

    def __init__(self, pool: ConnectionPool, *, seconds: float) -> None:
        super().__init__(connection_pool=pool)
        self._seconds = seconds
        self._line: _Line | None = None
        self._opening: asyncio.Task[_Line] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """A caller that is cancelled leaves its command, once that is under way, to be carried out all the same."""
        name, *rest = args
        if name in ALONE or NEVER_DECODE in options or EMPTY_RESPONSE in options:
            return await super().execute_command(*args, **options)
        command = hiredis.pack_command((*name.split(), *rest))
        line = self._line
        if line is None or line.broken:
            line = await self._opened()
        answer = await line.ask(command)
        callback = self.response_callbacks.get(name)
        options.pop("keys", None)  # redis-py's own, for its cache
        return answer if callback is None else callback(answer, **options)

    def register_script(self, script: ScriptTextT) -> AsyncScript:
        return _Script(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Gives the connection back; the next command takes one again."""
        if self._line is not None:
            await self._line.close(RedisConnectionError("closed"))
        await super().aclose(close_connection_pool)

    async def _opened(self) -> "_Line":
        """The line that all share who find none."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="redis-opening")
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            return await asyncio.shield(self._opening)
        except RedisError as error:
            raise _own(error) from error.__cause__

    async def _open(self) -> "_Line":
        connection = await self.connection_pool.get_connection()
        self._line = _Line(connection, self.connection_pool, self._seconds)
        return self._line


class _Script(AsyncScript):
    """A script without redis-py's detours, which cost as much as all else that happens to a command here."""

    async def __call__(
        self, keys: Sequence[Any] | None = None, args: Iterable[Any] | None = None, client: Any = None
    ) -> Any:
        if client is not None:
            return await super().__call__(keys, args, client)
        command = ("EVALSHA", self.sha, len(keys or ()), *(keys or ()), *(args or ()))
        try:
            return await self.registered_client.execute_command(*command)
        except NoScriptError:  # it was not carried out: the store forgot it, or never knew it
            await self.registered_client.script_load(self.script)
            return await self.registered_client.execute_command(*command)


class _Line(asyncio.Protocol):
    """A connection and those who wait for an answer on it, in the order in which Redis will give them.

    It takes redis-py's place at the socket that redis-py opened and signed in at: an answer goes from the socket to who
    asked, without a task and a stream between them.
    """

    def __init__(self, connection: AbstractConnection, pool: ConnectionPool, seconds: float) -> None:
        self.broken = False
        self._connection = connection
        self._pool = pool
        self._seconds = seconds
        self._answers = _answers(connection)
        self._clock: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._sending = False
        self._full = False
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()  # with the time it is due
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        writer = connection._writer
        if writer is None:
            raise RedisConnectionError("the connection was closed")
        self._transport = writer.transport
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)

    def ask(self, command: bytes) -> "asyncio.Future[Any]":
        """Sends a packed command; its answer, or its error."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        due = self._loop.time() + self._seconds
        self._waiting.append((due, answer))
        self._unsent.append(command)
        if not self._sending and not self._full:
            self._sending = True
            self._loop.call_soon(self._send)
        if self._clock is None:
            self._clock = self._loop.call_at(due, self._look)
        return answer

    async def close(self, error: RedisError) -> None:
        """Everybody who still waits hears `error`; returns once the connection is closed and back in the pool."""
        self._break(error)
        if self._closing is not None:
            await self._closing

    def _send(self) -> None:
        self._sending = False
        if not self._unsent or self.broken:
            return
        commands, self._unsent = self._unsent, []
        try:
            self._transport.write(b"".join(commands))
        except Exception as error:
            self._break(error)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            self._answers.feed(data)
            while (answer := self._answers.gets()) is not _NOT_YET:
                self._answer(answer)
        except Exception as error:
            self._break(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)  # whoever closes the connection through redis-py waits to hear of it there
        self._break(exc or RedisConnectionError("the store closed the connection"))

    def _answer(self, answer: Any) -> None:
        if isinstance(answer, RedisConnectionError):  # not of one command: it serves nobody now
            raise answer
        if not self._waiting:
            raise InvalidResponse("an answer to nothing that was asked")
        _, asker = self._waiting.popleft()
        if asker.done():
            return
        if isinstance(answer, ResponseError):
            asker.set_exception(answer)
        else:
            asker.set_result(answer)

    def _look(self) -> None:
        """Gives up where the one who has waited longest has waited long enough."""
        self._clock = None
        if not self._waiting:
            return
        due = self._waiting[0][0]
        if self._loop.time() < due:
            self._clock = self._loop.call_at(due, self._look)
        else:
            self._break(RedisTimeoutError("no answer in time"))

    def _break(self, error: Exception) -> None:
        """Of what was under way nobody knows how far it came: every one of its callers hears so."""
        if self.broken:
            return
        self.broken = True
        if not isinstance(error, RedisError):  # the socket's, or uvloop's for a transport that was just closed
            error = RedisConnectionError(f"the connection broke: {error}")
        waiting, self._waiting = self._waiting, deque()
        for _, asker in waiting:
            if not asker.done():
                asker.set_exception(_own(error))
        if self._clock is not None:
            self._clock.cancel()
        self._transport.abort()
        self._closing = self._loop.create_task(self._give_back(), name="redis-closing")

    async def _give_back(self) -> None:
        await self._connection.disconnect(nowait=True)
        await self._pool.release(self._connection)


def _answers(connection: AbstractConnection) -> hiredis.Reader:
    """Reads answers as redis-py does: the same text, and the same kinds of errors."""
    encoder = connection.encoder
    return hiredis.Reader(
        protocolError=InvalidResponse,
        replyError=connection._parser.parse_error,
        encoding=encoder.encoding if encoder.decode_responses else None,
        errors=encoder.encoding_errors,
        notEnoughData=_NOT_YET,
    )


def _own(error: Exception) -> Exception:
    """An error of its own for each caller: one that is raised twice would carry both tracebacks."""
    own = type(error)(*error.args)
    own.__cause__ = error.__cause__
    return own
