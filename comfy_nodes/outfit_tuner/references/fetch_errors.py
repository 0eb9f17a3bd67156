"""Why a picture was not fetched.

    FetchError
    ├─ FetchingOff     no host is allowed
    ├─ FetchRefused    this address is not asked for anything
    └─ FetchFailed     the other host did not give a picture

Messages name the host at most: the rest of an address may be a signature.
"""

from __future__ import annotations

__all__ = ["FetchError", "FetchFailed", "FetchRefused", "FetchingOff"]


class FetchError(Exception):
    """`code` tells programs why; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FetchingOff(FetchError):
    pass


class FetchRefused(FetchError):
    pass


class FetchFailed(FetchError):
    pass
