"""The coarse stage: which turns of a very long conversation are worth a close look."""

import numpy as np
from numpy.typing import NDArray

from server.memory.ranking.index import BLOCK, REACH, ConversationIndex
from server.memory.ranking.model import Matrix
from server.memory.ranking.postings import Hits

EVERYTHING = 3_000  # turns; up to here all are looked at closely
BEST = 70  # blocks kept by words, by meaning, and twice as many by both


def candidate_rows(
    index: ConversationIndex, end: int, hits: Hits, weights: Matrix, vector: Matrix, nearness: Matrix | None
) -> NDArray[np.int64]:
    """Sorted rows below `end` to rank, with their context.

    `weights` [terms] are idf times frequency in the query, `vector` [dim] the query's, `nearness` [turns] to a
    date it names, or None. Blocks of 8 turns are scored by words, by meaning and by both; the best of each go on.
    """
    if end <= EVERYTHING:
        return np.arange(end)
    count = -(-end // BLOCK)
    inside = hits.row < end
    strength = hits.count[inside] / (hits.count[inside] + 1.0) * weights[hits.term[inside]]
    by_words = np.bincount(hits.row[inside] // BLOCK, strength, minlength=count)
    by_meaning = np.full(count, -1.0, np.float32)
    complete = min(len(index.blocks), count)
    by_meaning[:complete] = index.blocks.rows[:complete] @ vector
    by_meaning[complete:] = by_meaning[:complete].max()  # the newest few turns are always looked at
    both = by_words / max(by_words.max(), 1e-6) + by_meaning / max(by_meaning.max(), 1e-6)
    if nearness is not None:
        both += np.maximum.reduceat(nearness[:end], np.arange(0, end, BLOCK))
    chosen = np.zeros(count, bool)
    for score, size in ((by_words, BEST), (by_meaning, BEST), (both, 2 * BEST)):
        chosen[np.argpartition(score, -size)[-size:]] = True
    wanted = np.zeros(count * BLOCK + 2 * REACH, bool)
    blocks = np.repeat(chosen, BLOCK)
    for shift in range(0, 2 * REACH + 1, REACH):  # the blocks and REACH rows on either side
        wanted[shift : shift + len(blocks)] |= blocks
    return np.flatnonzero(wanted[REACH : REACH + end])
