"""`/vestige/references`: pictures by the sha256 of their bytes, added from a file or an address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from functools import wraps
from typing import Any

from aiohttp import web

from ..pictures import CONTENT_TYPES, MAX_BYTES, PictureError, PictureInfo, decode, inspect
from ..references import (
    CacheError,
    Entry,
    Fetcher,
    FetchError,
    FetchingOff,
    FetchRefused,
    NotCached,
    Pinned,
    ReferenceCache,
)
from .body import integer, read_bytes, read_json
from .errors import (
    BadUpstream,
    Conflict,
    InvalidRequest,
    NotFound,
    TooLarge,
    Unavailable,
    Unprocessable,
    UnsupportedMedia,
)
from .route import Handler, Route

__all__ = ["ReferenceRoutes"]

_MAX_JSON = 16 * 2**10
_FETCHED_AT_ONCE = 4
_DECODED_AT_ONCE = 2  # one may take 200 MB
_SAFE = {"Content-Security-Policy": "default-src 'none'; sandbox"}


def _answering(handler: Callable[..., Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
    """The errors of pictures, cache and fetching as the routes' own."""

    @wraps(handler)
    async def answer(self: ReferenceRoutes, request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except PictureError as error:
            kind = TooLarge if error.code == "too_large" else Unprocessable
            raise kind(str(error), code=error.code) from None
        except FetchError as error:
            refused = Unprocessable if isinstance(error, FetchRefused) else BadUpstream
            kind = Unavailable if isinstance(error, FetchingOff) else refused
            raise kind(str(error), code=error.code) from None
        except NotCached as error:
            raise NotFound(str(error), code=error.code) from None
        except Pinned as error:
            raise Conflict(str(error), code=error.code) from None
        except CacheError as error:
            raise Unavailable(str(error), code=error.code) from None

    return answer


class ReferenceRoutes:
    """Add, list, look at, pin, delete. `cache` and `fetcher` are asked for at each request."""

    def __init__(self, cache: Callable[[], ReferenceCache], fetcher: Callable[[], Fetcher]) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._fetching = asyncio.Semaphore(_FETCHED_AT_ONCE)
        self._decoding = asyncio.Semaphore(_DECODED_AT_ONCE)

    def routes(self) -> list[Route]:
        one = "/vestige/references/{sha256}"
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/vestige/references", self.listing),
            ("POST", "/vestige/references", self.add),
            ("GET", one, self.one),
            ("DELETE", one, self.delete),
            ("GET", f"{one}/bytes", self.content),
            ("PUT", f"{one}/pin", self.pin),
            ("DELETE", f"{one}/pin", self.unpin),
        ]
        return [Route(method, path, handler) for method, path, handler in handlers]

    @_answering
    async def add(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            url = (await read_json(request, _MAX_JSON)).get("url")
            if not isinstance(url, str):
                raise InvalidRequest('Send `{"url": "https://…"}`, or the picture itself as `image/png`.', field="url")
            async with self._fetching:
                data = await self._fetcher().fetch(url.strip())
            return await self._keep(data)
        if request.content_type not in (*CONTENT_TYPES.values(), "application/octet-stream"):
            raise UnsupportedMedia("Send a PNG, JPEG or WebP picture as its type, or an address as application/json.")
        return await self._keep(await read_bytes(request, MAX_BYTES))

    @_answering
    async def listing(self, request: web.Request) -> web.Response:
        limit = integer(request, "limit", 100, 1, 1000)
        offset = integer(request, "offset", 0, 0, 10**8)
        entries = await asyncio.to_thread(self._cache().entries)
        usage = await asyncio.to_thread(self._cache().usage)
        return web.json_response(
            {
                "references": [_described(entry) for entry in entries[offset : offset + limit]],
                "count": usage.count,
                "bytes": usage.bytes,
                "pinned_bytes": usage.pinned_bytes,
                "limit_bytes": usage.limit,
            }
        )

    @_answering
    async def one(self, request: web.Request) -> web.Response:
        entry, info = await asyncio.to_thread(self._look, request.match_info["sha256"])
        return web.json_response(_described(entry) | _shape(info))

    @_answering
    async def content(self, request: web.Request) -> web.Response:
        data = await asyncio.to_thread(self._cache().read, request.match_info["sha256"])
        return web.Response(body=data, content_type=CONTENT_TYPES[inspect(data).format], headers=_SAFE)

    @_answering
    async def pin(self, request: web.Request) -> web.Response:
        return web.json_response(_described(await self._told(self._cache().pin, request)))

    @_answering
    async def unpin(self, request: web.Request) -> web.Response:
        return web.json_response(_described(await self._told(self._cache().unpin, request)))

    @_answering
    async def delete(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._cache().delete, request.match_info["sha256"])
        return web.Response(status=204)

    async def _told(self, act: Callable[[str], Entry], request: web.Request) -> Entry:
        return await asyncio.to_thread(act, request.match_info["sha256"])

    async def _keep(self, data: bytes) -> web.Response:
        """Puts bytes into the cache once they turned out to be a whole picture."""
        async with self._decoding:
            info = await asyncio.to_thread(_decoded_info, data)
        entry, new = await asyncio.to_thread(self._cache().put, data)
        return web.json_response(_described(entry) | _shape(info), status=201 if new else 200)

    def _look(self, sha256: str) -> tuple[Entry, PictureInfo]:
        info = inspect(self._cache().read(sha256))
        return self._cache().entry(sha256), info


def _decoded_info(data: bytes) -> PictureInfo:
    return decode(data).info


def _described(entry: Entry) -> dict[str, Any]:
    used = datetime.fromtimestamp(entry.used, timezone.utc)
    return {
        "sha256": entry.sha256,
        "bytes": entry.bytes,
        "pinned": entry.pinned,
        "used_at": used.isoformat(timespec="seconds"),
    }


def _shape(info: PictureInfo) -> dict[str, Any]:
    return {"format": info.format.lower(), "width": info.width, "height": info.height}
