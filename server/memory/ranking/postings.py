"""Which rows a term occurs in, as sorted integers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
MERGE = 2  # a segment is merged into the one before it unless that one is more than this many times its size


@dataclass(frozen=True, slots=True)
class Segment:
    """Sorted keys `term << 32 | row` [postings] and how often the term occurs in that row [postings]."""

    keys: NDArray[np.uint64]
    counts: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Hits:
    """Occurrences of the terms of a query: `term` indexes the query's terms, `row` the index's rows [hits]."""

    term: NDArray[np.int64]
    row: NDArray[np.int64]
    count: NDArray[np.float32]


class Postings:
    """Segments of falling size, merged as they come: an append costs O(log n) amortised, a look-up a search in each.

    Immutable: `extended` shares the segments it does not merge.
    """

    __slots__ = ("segments",)

    def __init__(self, segments: tuple[Segment, ...] = ()) -> None:
        self.segments = segments

    def extended(self, rows: Sequence[Sequence[int]], first_row: int) -> "Postings":
        """With the term ids of new rows, of which the first is `first_row`."""
        flat = [term for row in rows for term in row]
        if not flat:
            return self
        keys = np.array(flat, np.uint64) << _SHIFT
        keys |= np.repeat(np.arange(first_row, first_row + len(rows), dtype=np.uint64), [len(row) for row in rows])
        unique, counts = np.unique(keys, return_counts=True)
        segments = [*self.segments, Segment(unique, np.minimum(counts, 65_535).astype(np.uint16))]
        while len(segments) > 1 and len(segments[-2].keys) <= MERGE * len(segments[-1].keys):
            right, left = segments.pop(), segments.pop()
            merged = np.concatenate([left.keys, right.keys])
            order = np.argsort(merged, kind="stable")
            segments.append(Segment(merged[order], np.concatenate([left.counts, right.counts])[order]))
        return Postings(tuple(segments))

    def find(self, terms: Sequence[int]) -> Hits:
        wanted = np.array(terms, np.uint64)
        term: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        row: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        count: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        for segment in self.segments:
            starts = np.searchsorted(segment.keys, wanted << _SHIFT)
            ends = np.searchsorted(segment.keys, (wanted << _SHIFT) | _ROW, side="right")
            for index in np.flatnonzero(ends > starts):
                part = slice(starts[index], ends[index])
                term.append(np.full(ends[index] - starts[index], index, np.int64))
                row.append((segment.keys[part] & _ROW).astype(np.int64))
                count.append(segment.counts[part].astype(np.float32))
        return Hits(np.concatenate(term), np.concatenate(row), np.concatenate(count))

    def frequency(self, terms: Sequence[int]) -> NDArray[np.int64]:
        """[terms] In how many rows each occurs."""
        wanted = np.array(terms, np.uint64) << _SHIFT
        total = np.zeros(len(terms), np.int64)
        for segment in self.segments:
            total += np.searchsorted(segment.keys, wanted | _ROW, side="right") - np.searchsorted(segment.keys, wanted)
        return total

    @property
    def nbytes(self) -> int:
        return sum(segment.keys.nbytes + segment.counts.nbytes for segment in self.segments)
