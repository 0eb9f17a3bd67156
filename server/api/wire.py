"""What the HTTP server under the app says of requests that are none, and how long an address may be."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from aiohttp.http_exceptions import BadHttpMessage

__all__ = ["LINE_BYTES", "WireLog"]

LINE_BYTES = 131_072
"""An address up to here gets our own typed error, such as for an id of 10,000 characters, each of them escaped."""


class WireLog(logging.LoggerAdapter[logging.Logger]):
    """A log without the texts of exceptions: they quote what the client sent, and that may hold its credential.

    What is no HTTP is the client's mistake: it is logged at `info`, so that strangers cannot fill the log with errors.
    """

    def __init__(self) -> None:
        super().__init__(logging.getLogger(__name__), {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        error = kwargs.get("exc_info")
        if error is True:
            error = sys.exception()
        super().log(logging.INFO if isinstance(error, BadHttpMessage) else level, msg, *args, **kwargs)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        error = kwargs.pop("exc_info", None)
        if error is True:
            error = sys.exception()
        if not isinstance(error, BaseException):
            return msg, kwargs
        return f"{msg} ({type(error).__name__})", kwargs
