"""One HTTP exchange with a model server: bounded in time and size, never redirected, never compressed."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from itertools import takewhile
from typing import Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from server.errors import ModelError, ModelUnavailable
from server.routing.clock import Clock
from server.routing.failures import Report, Target, Unreachable, read_report
from server.routing.options import Options, SecretHeaders
from server.routing.sse import EventReader, EventTooLarge
from server.routing.wire import Chunk, Dialect, chunk_of, read_chunks

MAX_BODY = 4 << 20  # bytes of an answer that is not a stream
MAX_ERROR = 64 << 10
BYTES_PER_TOKEN = 2_048  # of a stream: the JSON around a token is many times its text
CONNECT_SECONDS = 10.0
GOODBYE_SECONDS = 0.2
MAX_STALE = 2  # connections in a row that may turn out to be closed
_JSON = json.JSONEncoder(ensure_ascii=False)
_ON_KEPT: ContextVar[bool] = ContextVar("on_kept")
"""Whether the request that this task sends goes out on a connection that was kept."""


class KeepingConnector(aiohttp.TCPConnector):
    """Knows of each request whether it went out on a connection that had served another one before.

    aiohttp's own tracing says so too, at the price of a URL and seven objects for every request.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._served: WeakSet[object] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[aiohttp.tracing.Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        _ON_KEPT.set(connection.protocol in self._served)
        if connection.protocol is not None:
            self._served.add(connection.protocol)
        return connection


class Exchange:
    """Speaks HTTP with the server that `options` name, over a session it does not own.

    Raises:
        SettingsError: the key cannot be one.
    """

    def __init__(self, session: aiohttp.ClientSession, options: Options) -> None:
        self._session = session
        self._base = options.base_url
        self._urls: dict[str, URL] = {}
        self._plain = options.base_url.scheme == "http" and options.dialect is Dialect.PLAIN
        self._headers = options.headers()
        self._posting = SecretHeaders(
            self._headers, **{"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        target: Target,
        clock: Clock,
        query: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response up to its headers, whatever its status. Left before the body's end, the connection is closed.

        Raises:
            ModelUnavailable, ModelTimeout: there is none; `Unreachable` where nothing was sent.
        """
        headers, data = self._headers, None
        if body is not None:
            headers = self._posting
            data = _JSON.encode(body).encode("utf-8", "replace")
        try:
            async with clock.wait():
                response = await self._answered(method, self._url(path), query, data, headers)
        except aiohttp.ClientSSLError as error:
            raise Unreachable(f"{target} has a certificate that is not trusted.", model=target.model) from error
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise Unreachable(f"{target} cannot be reached. Is it running?", model=target.model) from error
        except aiohttp.ClientConnectionError as error:
            raise ModelUnavailable(f"{target} hung up without an answer. Try again.", model=target.model) from error
        except TimeoutError as error:
            raise clock.late(target) from error
        except (aiohttp.ClientError, OSError):  # its repr shows the request's headers, so it does not travel on
            raise ModelUnavailable(f"{target} did not answer in HTTP.", model=target.model) from None
        try:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ModelUnavailable(
                    f"{target} sent a compressed answer, which was not asked for.", model=target.model
                )
            yield response
        finally:
            response.close()  # an abort, unless the body was read to its end: then the connection is back in the pool

    async def _answered(
        self, method: str, url: URL, query: Mapping[str, str] | None, data: bytes | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """The response to one request, sent again where the connection turns out to have been closed before.

        Servers without TLS, such as llama.cpp, hang up on a connection that was kept, without a word. Nothing of the
        request was read then. Behind TLS a provider may have read it, and bill it: there it is never sent twice.
        """
        for stale in range(MAX_STALE, -1, -1):
            _ON_KEPT.set(False)
            try:
                return await self._session.request(
                    method,
                    url,
                    params=query,
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                    timeout=self._timeout,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if isinstance(error, aiohttp.ClientConnectorError) or not (self._plain and _ON_KEPT.get() and stale):
                    raise
        raise AssertionError  # the last round returns or raises

    def _url(self, path: str) -> URL:
        """Made once for each path: joining them costs more than sending a small request."""
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self._base / path
        return url

    async def chunks(
        self, response: aiohttp.ClientResponse, max_tokens: int, target: Target, clock: Clock
    ) -> AsyncGenerator[Chunk, None]:
        """What a good response says, chunk by chunk, up to its proper end.

        Raises:
            ModelUnavailable, ModelTimeout: it breaks off, stalls, or is no stream of chunks.
        """
        if response.content_type == "application/json":  # an error under 200, or a server that does not stream
            yield _understood(chunk_of, await self.json(response, target, clock, MAX_BODY), target)
            return
        if response.content_type != "text/event-stream":
            kind = repr(response.content_type[:64])
            raise ModelUnavailable(
                f"{target} answered with {kind} instead of a stream: is it a chat API?", model=target.model
            )
        reader, ended, room = EventReader(), False, MAX_BODY + BYTES_PER_TOKEN * max_tokens
        while data := await self._read(response, target, clock):
            try:
                events = reader.feed(data)
            except EventTooLarge as error:
                raise ModelUnavailable(f"{target} sent an event too large to be one.", model=target.model) from error
            said = list(takewhile(_goes_on, events))
            for chunk in _said(said, target):
                ended = ended or chunk.reason is not None
                if chunk.alive:
                    clock.alive()
                yield chunk
            if len(said) < len(events):
                await self._goodbye(response)
                return
            room -= len(data)
            if room < 0:
                raise ModelUnavailable(f"{target} sent far more than was asked for.", model=target.model)
        if not ended:
            raise _broken(target)

    async def json(self, response: aiohttp.ClientResponse, target: Target, clock: Clock, limit: int) -> object:
        """A whole body of at most `limit` bytes as JSON.

        Raises:
            ModelUnavailable, ModelTimeout: it is larger, late, or not JSON.
        """
        body = bytearray()
        while data := await self._read(response, target, clock):
            body += data
            if len(body) > limit:
                raise ModelUnavailable(f"{target} sent far more than was asked for.", model=target.model)
        return _understood(json.loads, bytes(body), target)

    async def report(self, response: aiohttp.ClientResponse, target: Target, clock: Clock) -> Report:
        """What an error response says, as far as it can be read."""
        with suppress(ModelError):
            return read_report(await self.json(response, target, clock, MAX_ERROR))
        return read_report(None)

    async def _read(self, response: aiohttp.ClientResponse, target: Target, clock: Clock) -> bytes:
        """What has arrived of the body; nothing at its end."""
        try:
            if data := response.content.read_nowait():
                return data
            async with clock.wait():
                return await response.content.readany()
        except TimeoutError as error:
            raise clock.late(target) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(target) from error

    async def _goodbye(self, response: aiohttp.ClientResponse) -> None:
        """Reads the end of the body, so that the connection can be used again; it is due at once, or not worth it."""
        if response.content.at_eof():
            return
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await response.content.readany()


def _goes_on(event: str) -> bool:
    return event.strip() != "[DONE]"


def _said(events: Iterable[str], target: Target) -> Iterator[Chunk]:
    """What events that arrived together say.

    Raises:
        ModelUnavailable: one of them cannot be read; what those before it say came already.
    """
    try:
        yield from read_chunks([event for event in events if event and not event.isspace()])
    except (ValueError, RecursionError) as error:
        raise _unreadable(target) from error


def _broken(target: Target) -> ModelUnavailable:
    return ModelUnavailable(f"{target} broke off before the reply was finished. Try again.", model=target.model)


def _understood(read: Any, data: object, target: Target) -> Any:
    try:
        return read(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(target) from error


def _unreadable(target: Target) -> ModelUnavailable:
    return ModelUnavailable(f"{target} sent an answer that cannot be read.", model=target.model)
