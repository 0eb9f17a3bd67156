"""What a request carries, read with a bound and in a bounded time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from .errors import InvalidRequest, TooLarge, UnsupportedMedia

__all__ = ["integer", "read_bytes", "read_json"]

SECONDS = 60.0
MAX_DEPTH = 64  # levels of JSON; a graph nested deeper ends ComfyUI's worker thread when its queue copies it


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The body.

    Raises:
        TooLarge: more than `limit` bytes.
        UnsupportedMedia: it is compressed; a small one may unpack to any size.
        InvalidRequest: it does not arrive within a minute.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body uncompressed.")
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0

    async def read() -> None:
        nonlocal size
        async for part in request.content.iter_any():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)

    try:
        await asyncio.wait_for(read(), SECONDS)
    except asyncio.TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {SECONDS:.0f} seconds.", code="too_slow") from None
    return b"".join(parts)


async def read_json(request: web.Request, limit: int) -> dict[str, Any]:
    """The body as a JSON object. The request must say that it is JSON: a page of another origin cannot, unasked.

    Raises:
        UnsupportedMedia: another content type.
        InvalidRequest: not a JSON object, or nested deeper than anything meant is.
        TooLarge: as `read_bytes`.
    """
    if request.content_type != "application/json":
        raise UnsupportedMedia("Send the body as `Content-Type: application/json`.")
    data = await read_bytes(request, limit)
    try:
        body = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if not _within(body, MAX_DEPTH):
        raise InvalidRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return body


def integer(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A number in the query.

    Raises:
        InvalidRequest: it is none, or out of its range.
    """
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidRequest(f"`{name}` must be a whole number from {low} to {high}.", field=name)
    return int(text)


def _within(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    return depth > 0 and all(
        _within(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value)
    )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is too large: {limit // 2**20} MB are allowed.", limit=limit)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
