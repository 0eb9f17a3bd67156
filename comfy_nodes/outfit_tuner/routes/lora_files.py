"""`/vestige/lora-files`: LoRAs that a server sends to this host, in pieces that can be resumed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from functools import wraps

from aiohttp import web

from ..pushed_loras import Incoming, PushedLoras, PushError, Version
from .errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    RouteError,
    TooLarge,
    Unavailable,
    Unprocessable,
    UnsupportedMedia,
)
from .route import Handler, Route

__all__ = ["LoraFileRoutes"]

_RANGE = re.compile(r"bytes (?:(?P<start>\d{1,15})-(?P<last>\d{1,15})|\*)/(?P<total>\d{1,15})", re.ASCII)
_PIECE_SECONDS = 60.0
_BATCH_BYTES = 1 << 20
_AT_ONCE = 4
_KINDS: dict[str, type[RouteError]] = {
    "bad_name": InvalidRequest,
    "bad_hash": InvalidRequest,
    "not_here": NotFound,
    "version_taken": Conflict,
    "wrong_start": Conflict,
    "being_received": Conflict,
    "too_large": TooLarge,
    "wrong_content": Unprocessable,
    "no_room": Unavailable,
    "not_kept": Unavailable,
}


def _answering(handler: Callable[..., Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
    @wraps(handler)
    async def answer(self: LoraFileRoutes, request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except PushError as error:
            raise _KINDS[error.code](str(error), code=error.code, **error.details) from None

    return answer


class LoraFileRoutes:
    """List, look, send a piece, pin, hash anew. `loras` is asked for at each request."""

    def __init__(self, loras: Callable[[], PushedLoras]) -> None:
        self._loras = loras
        self._coming = asyncio.Semaphore(_AT_ONCE)
        self._hashing = asyncio.Semaphore(1)  # files of gigabytes, and the disk is one

    def routes(self) -> list[Route]:
        one = "/vestige/lora-files/{character}/{version}"
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/vestige/lora-files", self.listing),
            ("GET", one, self.look),
            ("PUT", one, self.receive),
            ("DELETE", one, self.drop),
            ("PUT", f"{one}/pin", self.pin),
            ("DELETE", f"{one}/pin", self.unpin),
            ("POST", f"{one}/verify", self.verify),
        ]
        return [Route(method, path, handler) for method, path, handler in handlers]

    @_answering
    async def listing(self, request: web.Request) -> web.Response:
        sent, usage = await asyncio.to_thread(lambda: (self._loras().sent(), self._loras().usage()))
        files = [
            {
                "file": each.file,
                "sha256": each.sha256,
                "bytes": each.bytes,
                "pinned": each.pinned,
                "used_at": datetime.fromtimestamp(each.used, timezone.utc).isoformat(timespec="seconds"),
            }
            for each in sent
        ]
        return web.json_response(
            {
                "files": files,
                "bytes": usage.bytes,
                "coming_bytes": usage.coming_bytes,
                "pinned_bytes": usage.pinned_bytes,
                "limit_bytes": usage.limit,
            }
        )

    @_answering
    async def look(self, request: web.Request) -> web.Response:
        whole, received = await asyncio.to_thread(self._loras().look, _version(request), _sha256(request))
        return _state(whole, received)

    @_answering
    async def receive(self, request: web.Request) -> web.Response:
        version, sha256 = _version(request), _sha256(request)
        start, end, total = _range(request)
        loras = self._loras()
        whole, received = await asyncio.to_thread(loras.look, version, sha256)
        if whole:
            return _state(True, received)
        if end:
            async with self._coming, _open(loras, version, sha256, start, total) as incoming:
                await _written(request, incoming, end - start)
            received = incoming.received
        if received != total:
            return _state(False, received)
        async with self._hashing:
            await asyncio.to_thread(loras.finish, version, sha256)
        return _state(True, total, status=201)

    @_answering
    async def drop(self, request: web.Request) -> web.Response:
        version, sha256 = _version(request), _sha256(request)
        await asyncio.to_thread(self._loras().drop, version, sha256)
        return _state(*await asyncio.to_thread(self._loras().look, version, sha256))

    @_answering
    async def pin(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._loras().pin, _version(request), True)
        return web.json_response({"pinned": True})

    @_answering
    async def unpin(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._loras().pin, _version(request), False)
        return web.json_response({"pinned": False})

    @_answering
    async def verify(self, request: web.Request) -> web.Response:
        async with self._hashing:
            sha256 = await asyncio.to_thread(self._loras().hashed_again, _version(request))
        return web.json_response({"sha256": sha256})


@asynccontextmanager
async def _open(loras: PushedLoras, version: Version, sha256: str, start: int, total: int) -> AsyncIterator[Incoming]:
    """The file on its way, opened and closed in other threads: closed whatever happens, or its lock would stay."""
    opening = asyncio.get_running_loop().run_in_executor(None, loras.receive, version, sha256, start, total)
    try:
        incoming = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: done.result().close() if done.exception() is None else None)
        raise
    try:
        yield incoming
    except asyncio.CancelledError:
        incoming.close()  # ComfyUI ends, and begins no more threads
        raise
    except BaseException:
        await asyncio.to_thread(incoming.close)
        raise
    await asyncio.to_thread(incoming.close)


async def _written(request: web.Request, incoming: Incoming, length: int) -> None:
    """Writes at most `length` bytes of the body as they come, a megabyte at a time and in another thread.

    Raises:
        UnsupportedMedia: it is compressed.
        InvalidRequest: it breaks off, stops for a minute or is longer; what came before is kept.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body uncompressed.")
    batch, left = bytearray(), length
    try:
        while True:
            piece = await asyncio.wait_for(request.content.readany(), _PIECE_SECONDS)
            if len(piece) > left:
                raise InvalidRequest("The body is longer than its Content-Range.")
            left -= len(piece)
            batch += piece
            if len(batch) >= _BATCH_BYTES or not piece:
                await asyncio.to_thread(incoming.write, bytes(batch))
                batch.clear()
            if not piece:
                break
    except asyncio.TimeoutError:
        raise InvalidRequest("The body stopped for a minute.", code="too_slow") from None
    except (ConnectionError, web.RequestPayloadError):
        raise InvalidRequest("The body broke off.", code="broke_off") from None
    finally:
        if batch:
            await asyncio.to_thread(incoming.write, bytes(batch))


def _version(request: web.Request) -> Version:
    return Version.named(request.match_info["character"], request.match_info["version"])


def _sha256(request: web.Request) -> str:
    return request.query.get("sha256", "")


def _range(request: web.Request) -> tuple[int, int, int]:
    """`(start, end, total)` in bytes, end not included; 0, 0 where nothing is sent and the end of it is asked for.

    Raises:
        InvalidRequest: no `Content-Range: bytes 0-1048575/170543052`, nor `bytes */170543052`.
    """
    match = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
    if match is not None:
        total = int(match["total"])
        if match["start"] is None:
            return 0, 0, total
        start, last = int(match["start"]), int(match["last"])
        if start <= last < total:
            return start, last + 1, total
    raise InvalidRequest("Say which bytes of how many these are: `Content-Range: bytes 0-1048575/170543052`.")


def _state(whole: bool, received: int, *, status: int = 200) -> web.Response:
    return web.json_response({"whole": whole, "received": received}, status=status)
