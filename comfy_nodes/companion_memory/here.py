"""The companion's server as the environment of this ComfyUI names it; settings and widgets are read by anyone."""

from __future__ import annotations

import os
from functools import lru_cache

from .client import ADDRESS_VARIABLE, KEY_VARIABLE, Companion

__all__ = ["companion_here"]


def companion_here() -> Companion:
    """The one client of this process.

    Raises:
        NotSetUp: the environment does not say where the server is.
    """
    return _companion(os.environ.get(ADDRESS_VARIABLE, "").strip(), os.environ.get(KEY_VARIABLE, "").strip())


@lru_cache(1)
def _companion(address: str, key: str) -> Companion:
    return Companion(address, key)
