"""Reference pictures: kept by the sha256 of their bytes, and fetched from allowed hosts.

A workflow holds the sha256 alone; where a picture came from is written down nowhere.
"""

from .cache import CacheError, CacheFull, CacheUnwritable, Entry, NotCached, Pinned, ReferenceCache, Usage

__all__ = ["CacheError", "CacheFull", "CacheUnwritable", "Entry", "NotCached", "Pinned", "ReferenceCache", "Usage"]
