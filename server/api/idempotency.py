"""The `Idempotency-Key` header."""

import re

from aiohttp import web

from server.errors import InvalidRequest

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key(request: web.Request) -> str | None:
    """The key that a client gave its request, None where it gave none.

    Raises:
        InvalidRequest: it is not one value, or not such a value.
    """
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest("The Idempotency-Key must be one value of 1 to 255 visible ASCII characters.")
    return keys[0]
