"""Every error a route of the pack answers with, its HTTP status and its code.

    RouteError             500 internal
    ├─ InvalidRequest      400 invalid_request   what was sent cannot be used
    ├─ Unauthenticated     401 unauthenticated   no token, or a wrong one
    ├─ Forbidden           403 forbidden         a web page of another origin
    ├─ NotFound            404 not_found
    ├─ Conflict            409 conflict          it exists, or is in use
    ├─ TooLarge            413 too_large
    ├─ UnsupportedMedia    415 unsupported_media
    ├─ Unprocessable       422 unprocessable     understood, and refused for what it says
    ├─ BadUpstream         502 bad_upstream      another host did not give what was asked of it
    └─ Unavailable         503 unavailable       not set up, or the disk does not take it

A person reads `message`: one sentence that says what is wrong and what to do. A program reads
`{"error": {"code", "message", "details"}}`.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadUpstream",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "RouteError",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unprocessable",
    "UnsupportedMedia",
]


class RouteError(Exception):
    """`details` goes to programs beside the message: JSON-serialisable, never a secret. `code` may be more exact."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, code: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details = details

    def payload(self) -> dict[str, dict[str, object]]:
        """The body every error has on the wire."""
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


class InvalidRequest(RouteError):
    status, default_code = 400, "invalid_request"


class Unauthenticated(RouteError):
    status, default_code = 401, "unauthenticated"


class Forbidden(RouteError):
    status, default_code = 403, "forbidden"


class NotFound(RouteError):
    status, default_code = 404, "not_found"


class Conflict(RouteError):
    status, default_code = 409, "conflict"


class TooLarge(RouteError):
    status, default_code = 413, "too_large"


class UnsupportedMedia(RouteError):
    status, default_code = 415, "unsupported_media"


class Unprocessable(RouteError):
    status, default_code = 422, "unprocessable"


class BadUpstream(RouteError):
    status, default_code = 502, "bad_upstream"


class Unavailable(RouteError):
    status, default_code = 503, "unavailable"
