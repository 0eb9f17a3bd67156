"""The references of the ComfyUI that the pack runs in."""

from __future__ import annotations

import logging
import os
from functools import cache

from ...private import private_folder
from .cache import ReferenceCache
from .fetch import Fetcher
from .hosts import HOSTS_VARIABLE, AllowedHosts

__all__ = ["LIMIT_VARIABLE", "fetcher_here", "references_here"]

LIMIT_VARIABLE = "VESTIGE_CACHE_MB"
_DEFAULT_MB = 2048

_log = logging.getLogger(__name__)


@cache
def references_here() -> ReferenceCache:
    """The cache in ComfyUI's user folder, `user/__vestige/references`."""
    return ReferenceCache(private_folder("references"), _limit_mb() << 20)


@cache
def fetcher_here() -> Fetcher:
    """Fetches from the hosts that the environment names."""
    return Fetcher(AllowedHosts(os.environ.get(HOSTS_VARIABLE, "")))


def _limit_mb() -> int:
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**30:
        return int(text)
    if text:
        _log.warning("%s is %r, not a number of megabytes: %d are used.", LIMIT_VARIABLE, text, _DEFAULT_MB)
    return _DEFAULT_MB
