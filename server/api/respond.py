"""What goes out: JSON with offset times, errors in their one shape, downloads with safe names."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel

from server.accounts.limits import WINDOW_SECONDS, Standing
from server.errors import BudgetExceeded, RateLimited, VestigeError

__all__ = ["attachment", "error_json", "json_bytes", "json_response", "limit_headers", "no_content"]


def json_bytes(body: object) -> bytes:
    """`body` as compact UTF-8 JSON. Knows pydantic models and times; times are ISO 8601 with their offset."""
    return _JSON.encode(body).encode()


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer. `body`: a pydantic model, or anything `json` takes with models and times in it."""
    return web.Response(body=json_bytes(body), status=status, headers=headers, content_type="application/json")


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)


def error_json(error: VestigeError, body: Mapping[str, object] | None = None) -> web.Response:
    """An error as every client meets it, or with another `body`.

    Where waiting helps, `Retry-After` says for how many seconds.
    """
    headers: dict[str, str] = {}
    wait = error.details.get("retry_after", 60 if isinstance(error, RateLimited | BudgetExceeded) else None)
    if isinstance(wait, int | float):
        headers["Retry-After"] = str(math.ceil(wait))
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="vestige"'
    return json_response(body or error.payload(), status=error.status, headers=headers)


def limit_headers(standings: Sequence[Standing]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 has them.

    `q` and `w`: how many in how many seconds; `r` and `t`: what is left, and seconds until it is more.
    """
    return {
        "RateLimit-Policy": ", ".join(f'"{each.policy}";q={each.quota};w={WINDOW_SECONDS}' for each in standings),
        "RateLimit": ", ".join(f'"{each.policy}";r={each.left};t={each.seconds}' for each in standings),
    }


def attachment(filename: str) -> str:
    """A `Content-Disposition` that saves under `filename`, whatever characters a person put into it (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]+", "_", filename).strip(" .") or "download"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _default(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_JSON = json.JSONEncoder(default=_default, ensure_ascii=False, separators=(",", ":"))
