"""Reference pictures: kept by the sha256 of their bytes, and fetched from allowed hosts.

A workflow holds the sha256 alone; where a picture came from is written down nowhere.
"""

from .cache import CacheError, CacheFull, CacheUnwritable, Entry, NotCached, Pinned, ReferenceCache, Usage
from .fetch import Fetcher
from .fetch_errors import FetchError, FetchFailed, FetchingOff, FetchRefused
from .hosts import HOSTS_VARIABLE, AllowedHosts

__all__ = [
    "HOSTS_VARIABLE",
    "AllowedHosts",
    "CacheError",
    "CacheFull",
    "CacheUnwritable",
    "Entry",
    "FetchError",
    "FetchFailed",
    "FetchRefused",
    "Fetcher",
    "FetchingOff",
    "NotCached",
    "Pinned",
    "ReferenceCache",
    "Usage",
]
