"""The references of the ComfyUI that the pack runs in."""

from __future__ import annotations

import os
from functools import cache

from ...environment import megabytes
from ...private import private_folder
from .cache import ReferenceCache
from .fetch import Fetcher
from .hosts import HOSTS_VARIABLE, AllowedHosts

__all__ = ["LIMIT_VARIABLE", "fetcher_here", "references_here"]

LIMIT_VARIABLE = "VESTIGE_CACHE_MB"
_DEFAULT_MB = 2048


@cache
def references_here() -> ReferenceCache:
    """The cache in ComfyUI's user folder, `user/__vestige/references`."""
    return ReferenceCache(private_folder("references"), megabytes(LIMIT_VARIABLE, _DEFAULT_MB))


@cache
def fetcher_here() -> Fetcher:
    """Fetches from the hosts that the environment names."""
    return Fetcher(AllowedHosts(os.environ.get(HOSTS_VARIABLE, "")))
