"""What is known about each turn in the light of a query, as numbers of like size.

Every feature is made independent of the conversation's length and of the query's: similarities are divided by their
largest value among the turns of this query. BM25: Robertson & Zaragoza, "The Probabilistic Relevance Framework" (2009).
"""

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from server.memory.ranking.candidates import candidate_rows
from server.memory.ranking.dates import NamedDate
from server.memory.ranking.index import (
    MENTIONS_NUMBER,
    MENTIONS_TIME,
    NAMES_SHIFT,
    OF_SELF,
    QUESTION,
    REACH,
    ConversationIndex,
)
from server.memory.ranking.model import Matrix
from server.memory.ranking.query import ASKED, Query

FEATURES = (
    "words_1",  # BM25 of the turn
    "words_9",  # … of the turn and four on either side
    "cover_3",  # how much of the query's weight in words occurs in the three turns
    "words_9_listing",  # words_9 where the query asks for several things
    "meaning_1",  # cosine of the turn and the query
    "meaning_3",  # cosine of the mean of three turns
    "meaning_9",
    "speaker",  # 1: said by the one asked about, -1: by the other, 0: no one in particular
    "asks",  # the turn has a question
    "answers",  # the turn before it, by someone else, has a question
    "date",  # nearness to a date the query names
    "when",  # the query asks when, and the turn speaks of time
    "counts",  # the query asks how many, and the turn has a number
    "names",  # capitals inside sentences, up to three: people, places, titles
    "self",  # said of oneself, 1 or -1 as `speaker`
)
K1, B = 1.2, 0.75
MAX_TERMS = 24  # of a query; the rarest count
FACT_WORD = 0.5  # of a word said: a window's facts are keys to all its turns alike
NEAR = 7.0  # days over which nearness to a date falls to 1/e


def feature_matrix(
    index: ConversationIndex, query: Query, vectors: Matrix, *, end: int | None = None, now: datetime | None = None
) -> tuple[NDArray[np.int64], Matrix]:
    """The candidate rows [rows] below `end` and their features [rows, FEATURES].

    `vectors` [len(query.texts), dim] belong to `query.texts`. `now` gives "yesterday" a meaning.
    """
    end = len(index) if end is None else end
    if end == 0:
        return np.empty(0, np.int64), np.empty((0, len(FEATURES)), np.float32)
    vector = _direction(vectors)
    terms, idf = _weighted_terms(index, query)
    hits = index.postings.find(terms)
    nearness = _nearness(index.day.rows[:end], query.dates, now)
    rows = candidate_rows(index, end, hits, idf, vector, nearness)
    view = _View(index, rows)

    counts = np.zeros((len(rows), len(terms)), np.float32)
    place = np.searchsorted(rows, hits.row)
    place[place == len(rows)] = 0
    found = rows[place] == hits.row
    counts[place[found], hits.term[found]] = hits.count[found]
    facts = _FactMatches(index, view, terms, vector)

    words_1 = _bm25(counts, view.length, idf)
    near = view.around(counts, 1) + facts.counts
    words_9 = _bm25(view.around(counts, REACH) + facts.counts, view.around(view.length, REACH) + facts.lengths, idf)
    meaning_1 = index.vectors.rows[rows].astype(np.float32) @ vector
    meaning_3 = np.maximum(view.around(meaning_1, 1) / view.norms(1), facts.meaning)
    meaning_9 = view.around(meaning_1, REACH) / view.norms(REACH)
    flags = index.flags.rows[rows]
    asks = (flags & QUESTION > 0).astype(np.float32)
    speaker = index.speaker.rows[rows]
    about = _speaker_match(index.speakers, speaker, query.speaker)
    previous = view.previous()
    columns = (
        _scaled(words_1),
        _scaled(words_9),
        (near > 0) @ idf / max(float(idf.sum()), 1e-6),
        _scaled(words_9) * query.listing,
        _scaled(meaning_1),
        _scaled(meaning_3),
        _scaled(meaning_9),
        about,
        asks,
        np.where(view.has_previous() & (speaker != speaker[previous]), asks[previous], 0.0),
        np.zeros(len(rows)) if nearness is None else nearness[rows],
        (flags & MENTIONS_TIME > 0) * float(query.when),
        (flags & MENTIONS_NUMBER > 0) * float(query.counting),
        flags >> NAMES_SHIFT,
        (flags & OF_SELF > 0) * about,
    )
    return rows, np.stack(columns, axis=1).astype(np.float32)


class _View:
    """Some rows of an index, with sums over each row's neighbours in its session."""

    def __init__(self, index: ConversationIndex, rows: NDArray[np.int64]) -> None:
        session = index.session.rows[rows]
        breaks = np.flatnonzero((np.diff(session) != 0) | (np.diff(rows) != 1)) + 1
        starts = np.concatenate([[0], breaks, [len(rows)]])
        self._index, self.rows = index, rows
        self._low = np.repeat(starts[:-1], np.diff(starts))
        self._high = np.repeat(starts[1:], np.diff(starts))
        self._at = np.arange(len(rows))
        self.length = index.length.rows[rows]

    def _bounds(self, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.maximum(self._at - reach, self._low), np.minimum(self._at + reach + 1, self._high)

    def around(self, values: Matrix, reach: int) -> Matrix:
        """Sum of `values` [rows, ...] over each row and `reach` on either side."""
        low, high = self._bounds(reach)
        total = np.zeros((len(values) + 1, *values.shape[1:]), np.float64)
        np.cumsum(values, axis=0, out=total[1:])
        return (total[high] - total[low]).astype(np.float32)

    def norms(self, reach: int) -> Matrix:
        """Length of the sum of the vectors `around` each row: |Σv|² = Σ (1 + 2 Σ products with those before)."""
        low, high = self._bounds(reach)
        back = self._index.back.rows[self.rows]
        upto = np.zeros((len(back), back.shape[1] + 1), np.float32)
        np.cumsum(back, axis=1, out=upto[:, 1:])
        square = np.zeros(len(back), np.float32)
        for shift in range(-reach, reach + 1):
            other = self._at + shift
            inside = (other >= low) & (other < high)
            other = np.where(inside, other, self._at)
            square += np.where(inside, 1.0 + 2.0 * upto[other, np.maximum(other - low, 0)], 0.0)
        return np.sqrt(np.maximum(square, 1e-6))

    def previous(self) -> NDArray[np.int64]:
        return np.maximum(self._at - 1, 0)

    def has_previous(self) -> NDArray[np.bool_]:
        return self._at > self._low


class _FactMatches:
    """What the facts about a row's window add to its context: counts [rows, terms], lengths [rows], meaning [rows]."""

    def __init__(self, index: ConversationIndex, view: _View, terms: Sequence[int], vector: Matrix) -> None:
        rows = view.rows
        self.counts: Matrix | float = 0.0
        self.lengths: Matrix | float = 0.0
        self.meaning: Matrix | float = -1.0
        known = index.facts
        if known is None:
            return
        window = index.window.rows[rows]
        has = window >= 0
        hits = known.postings.find(terms)
        counts = np.zeros((known.count + 1, len(terms)), np.float32)  # the last row is for turns without facts
        counts[hits.row, hits.term] = hits.count
        best = np.full(known.count + 1, -1.0, np.float32)
        np.maximum.at(best, known.window, known.vectors.astype(np.float32) @ vector)
        self.counts = FACT_WORD * counts[window]
        self.lengths = np.where(has, FACT_WORD * known.lengths[window], 0.0).astype(np.float32)
        self.meaning = best[window]


def _direction(vectors: Matrix) -> Matrix:
    """[dim] The message's vector, drawn towards its questions' where it has them apart."""
    total = vectors[0] + ASKED * vectors[1:].sum(axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-6)


def _weighted_terms(index: ConversationIndex, query: Query) -> tuple[list[int], Matrix]:
    """The query's terms and their weight [terms]: idf times occurrences in the query."""
    terms = [term for term, _ in query.terms]
    if not terms:
        return [], np.empty(0, np.float32)
    among = index.postings.frequency(terms)
    if index.facts is not None:  # a word that only facts have must count
        among = np.maximum(among, index.facts.postings.frequency(terms))
    idf = np.log1p((len(index) - among + 0.5) / (among + 0.5))
    weight = (np.maximum(idf, 0.0) * [times for _, times in query.terms]).astype(np.float32)
    known = np.flatnonzero(among)
    best = known[np.argsort(-weight[known], kind="stable")][:MAX_TERMS]
    return [terms[at] for at in best], weight[best]


def _bm25(counts: Matrix, length: Matrix, idf: Matrix) -> Matrix:
    """[rows] from the terms' `counts` [rows, terms], the texts' lengths [rows] and the terms' weights [terms]."""
    relative = K1 * (1 - B + B * length / max(float(length.mean()), 1e-6))
    return ((counts * (K1 + 1) / (counts + relative[:, None] + 1e-9)) @ idf).astype(np.float32)


def _scaled(values: Matrix) -> Matrix:
    return values / max(float(values.max()), 1e-6)


def _speaker_match(speakers: tuple[str, ...], spoken_by: NDArray[np.int16], wanted: str | None) -> Matrix:
    if wanted is None or wanted not in speakers:
        return np.zeros(len(spoken_by), np.float32)
    return np.where(spoken_by == speakers.index(wanted), 1.0, -1.0).astype(np.float32)


def _nearness(days: NDArray[np.int32], named: tuple[NamedDate, ...], now: datetime | None) -> Matrix | None:
    """[turns] 1 on the days meant, falling with the distance, twice as fast before as after; None without dates."""
    first, last = date.fromordinal(int(days.min())), date.fromordinal(int(days.max()))
    ranges = [meant for one in named for meant in one.ranges(first, last, now.date() if now else None)]
    if not ranges:
        return None
    distance = np.full(len(days), np.inf)
    for start, end in ranges:
        early, late = np.maximum(start.toordinal() - days, 0), np.maximum(days - end.toordinal(), 0)
        distance = np.minimum(distance, 2 * early + late)
    return np.exp(-distance / NEAR).astype(np.float32)
