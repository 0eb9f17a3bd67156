"""What was read from a file, remembered for as long as the file stays as it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["ByFile", "Stamp", "stamp"]

T = TypeVar("T")
Stamp = tuple[str, int, int]


def stamp(path: Path) -> Stamp:
    """`(path, bytes, mtime in nanoseconds)`: a file that was replaced or written to has another one.

    Raises:
        OSError: there is no such file.
    """
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


class ByFile(Generic[T]):
    """Calls `read` once for each state of a file, and keeps the results used last, `limit` of them.

    With `cost` the limit is on the sum of the results' costs; the newest is kept whatever it costs. What `read` raises
    is not kept. Safe to use from several threads; two that ask at once may both read.
    """

    def __init__(self, read: Callable[[Path], T], limit: int, cost: Callable[[T], int] = lambda _: 1) -> None:
        self._read = read
        self._limit = limit
        self._cost = cost
        self._held: OrderedDict[Stamp, T] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> T:
        try:
            key = stamp(path)
        except OSError:
            return self._read(path)  # which says what is wrong with it
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        result = self._read(path)
        with self._lock:
            self._held[key] = result
            self._held.move_to_end(key)
            for old in [held for held in self._held if held[0] == key[0] and held != key]:
                del self._held[old]  # an earlier state of the same file
            while len(self._held) > 1 and sum(map(self._cost, self._held.values())) > self._limit:
                self._held.popitem(last=False)
        return result
