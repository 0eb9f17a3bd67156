"""Append-only columns that versions of an index share."""

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S", bound=np.generic)


class _Store(Generic[S]):
    def __init__(self, buffer: NDArray[S], used: int) -> None:
        self.buffer, self.used = buffer, used


class Column(Generic[S]):
    """An array [rows, ...] that looks immutable and grows cheaply.

    `extended` writes behind the last row of the shared buffer and returns a longer view of it; whoever holds the
    shorter one sees no change. A second extension of the same version copies. Capacity doubles, so n appends cost O(n).
    """

    __slots__ = ("_store", "rows")

    def __init__(self, values: NDArray[S], _store: _Store[S] | None = None) -> None:
        self._store = _store if _store is not None else _Store(values, len(values))
        self.rows = values

    def extended(self, values: NDArray[S]) -> "Column[S]":
        store, old = self._store, len(self.rows)
        new = old + len(values)
        if store.used != old or new > len(store.buffer):
            buffer = np.empty((max(new, old * 2), *self.rows.shape[1:]), self.rows.dtype)
            buffer[:old] = self.rows
            store = _Store(buffer, old)
        store.buffer[old:new] = values
        store.used = new
        return Column(store.buffer[:new], store)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        return self._store.buffer.nbytes
