"""Everything the ranking reads about one conversation, kept in memory and grown turn by turn."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.memory.ranking.growing import Column
from server.memory.ranking.model import IndexedTurn, Matrix, WindowFacts
from server.memory.ranking.postings import Postings
from server.memory.ranking.words import NUMBERS, SELF, WHEN_WORDS, hashed, term_ids, words
from server.memory.tokens import weigh

SESSION_GAP = timedelta(hours=4)  # a longer silence ends a session; context does not reach across it
REACH = 4  # turns of context on either side, at most
BLOCK = 8  # turns summed into one vector for the coarse stage
QUESTION, MENTIONS_TIME, MENTIONS_NUMBER, OF_SELF = 1, 2, 4, 8  # bits of `flags`
NAMES_SHIFT, MOST_NAMES = 4, 3  # the two bits above them count names
_NAME = re.compile(r"(?<=[^\W\d_] )[A-ZÀ-ÖØ-ÞА-ЯЁ]\w+|(?<=, )[A-ZÀ-ÖØ-ÞА-ЯЁ]\w+")  # a capital inside a sentence
_OVERHEAD = 160  # bytes of Python objects per turn besides its text


class Said(NamedTuple):
    """What is shown of a turn."""

    speaker: str
    text: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts by window: fact j of `vectors` [facts, dim] is of window `window[j]`; `count` windows have any."""

    count: int
    window: NDArray[np.int32]
    vectors: NDArray[np.float16]
    lengths: Matrix  # [count] terms of each window's facts
    postings: Postings  # rows are windows


@dataclass(frozen=True, slots=True)
class ConversationIndex:
    """One conversation's turns, ready to be ranked. Immutable; `extended` shares what it can.

    All columns are [turns] in the order of `seq`, except `vectors` [turns, dim], `back` [turns, 2 * REACH] (dot product
    with the turn k + 1 before it, 0 across sessions) and `blocks` [turns // BLOCK, dim].
    """

    said: list[Said]  # shared between versions: only the first `len(self)` are this one's
    seq: Column[np.int64]
    session: Column[np.int32]
    day: Column[np.int32]  # ordinal of the date where it was said
    speaker: Column[np.int16]
    cost: Column[np.float32]  # tokens of "speaker: text"
    flags: Column[np.uint8]
    length: Column[np.float32]  # terms
    vectors: Column[np.float16]
    back: Column[np.float32]
    blocks: Column[np.float32]
    window: Column[np.int32]  # whose facts belong to the turn; -1 for none
    speakers: tuple[str, ...]
    postings: Postings
    facts: Facts | None

    @classmethod
    def build(cls, turns: Sequence[IndexedTurn], facts: Sequence[WindowFacts] = ()) -> "ConversationIndex":
        """Of all turns at once, in the order of `seq`."""
        dim = len(turns[0].vector) if turns else 0
        empty = cls(
            said=[],
            seq=Column(np.empty(0, np.int64)),
            session=Column(np.empty(0, np.int32)),
            day=Column(np.empty(0, np.int32)),
            speaker=Column(np.empty(0, np.int16)),
            cost=Column(np.empty(0, np.float32)),
            flags=Column(np.empty(0, np.uint8)),
            length=Column(np.empty(0, np.float32)),
            vectors=Column(np.empty((0, dim), np.float16)),
            back=Column(np.empty((0, 2 * REACH), np.float32)),
            blocks=Column(np.empty((0, dim), np.float32)),
            window=Column(np.empty(0, np.int32)),
            speakers=(),
            postings=Postings(),
            facts=None,
        )
        return empty.extended(turns, facts)

    def extended(self, turns: Sequence[IndexedTurn], facts: Sequence[WindowFacts] = ()) -> "ConversationIndex":
        """With more turns behind the last one, and facts about any turns. Raises `ValueError` on turns out of order.

        Facts for a window that has some already replace them.
        """
        grown = self._with_turns(turns) if turns else self
        return grown._with_facts(facts) if facts else grown

    def __len__(self) -> int:
        return len(self.seq)

    def row(self, seq: int, text: str) -> int | None:
        """Which row holds the turn of this place, if it is there and says this."""
        row = int(np.searchsorted(self.seq.rows, seq))
        return row if row < len(self) and self.seq.rows[row] == seq and self.said[row].text == text else None

    @property
    def nbytes(self) -> int:
        """Resident size, nearly: arrays, text and the objects around it."""
        columns = (self.seq, self.session, self.day, self.speaker, self.cost, self.flags, self.length)
        arrays = sum(column.nbytes for column in (*columns, self.vectors, self.back, self.blocks, self.window))
        text = int(self.cost.rows.sum() / 1.33 * 6)
        facts = 0 if self.facts is None else self.facts.vectors.nbytes + self.facts.postings.nbytes
        return arrays + text + _OVERHEAD * len(self) + self.postings.nbytes + facts

    def _with_turns(self, turns: Sequence[IndexedTurn]) -> "ConversationIndex":
        old = len(self)
        seqs = np.array([turn.seq for turn in turns], np.int64)
        if (np.diff(seqs) <= 0).any() or (old and seqs[0] <= self.seq.rows[-1]):
            raise ValueError("turns must come in the order of their sequence numbers")
        said = self.said if len(self.said) == old else self.said[:old]
        previous = said[-1].created if said else turns[0].created
        session = int(self.session.rows[-1]) if old else 0
        sessions = np.empty(len(turns), np.int32)
        for at, turn in enumerate(turns):
            session += abs(turn.created - previous) > SESSION_GAP
            sessions[at], previous = session, turn.created
        said.extend(Said(turn.speaker, turn.text, turn.created) for turn in turns)
        speakers = tuple(dict.fromkeys((*self.speakers, *(turn.speaker for turn in turns))))
        number = {name: at for at, name in enumerate(speakers)}
        tokens = [words(turn.text) for turn in turns]
        terms = [hashed(row) for row in tokens]
        vectors = np.stack([turn.vector for turn in turns]).astype(np.float16, copy=False)
        base = self if self.vectors.rows.shape[1] == vectors.shape[1] else _shaped(self, vectors.shape[1])
        all_sessions, all_vectors = self.session.extended(sessions), base.vectors.extended(vectors)
        return replace(
            self,
            said=said,
            seq=self.seq.extended(seqs),
            session=all_sessions,
            day=self.day.extended(np.array([turn.created.toordinal() for turn in turns], np.int32)),
            speaker=self.speaker.extended(np.array([number[turn.speaker] for turn in turns], np.int16)),
            cost=self.cost.extended(np.array([weigh(f"{t.speaker}: {t.text}") for t in turns], np.float32)),
            flags=self.flags.extended(
                np.array([_flags(turn.text, row) for turn, row in zip(turns, tokens, strict=True)], np.uint8)
            ),
            length=self.length.extended(np.array([len(row) for row in terms], np.float32)),
            vectors=all_vectors,
            back=self.back.extended(_back_products(all_vectors.rows, all_sessions.rows, old)),
            blocks=base.blocks.extended(_block_sums(all_vectors.rows, len(base.blocks))),
            window=self.window.extended(np.full(len(turns), -1, np.int32)),
            speakers=speakers,
            postings=self.postings.extended(terms, old),
        )

    def _with_facts(self, facts: Sequence[WindowFacts]) -> "ConversationIndex":
        given = [window for window in facts if window.facts]
        if not given:
            return self
        known = self.facts
        count = known.count if known else 0
        of_turn = self.window.rows.copy()
        for number, window in enumerate(given, count):
            rows = slice(*np.searchsorted(self.seq.rows, [window.first_seq, window.last_seq + 1]))
            of_turn[rows] = number
        terms = [[term for fact in window.facts for term in term_ids(fact)] for window in given]
        of_fact = np.repeat(np.arange(count, count + len(given)), [len(w.facts) for w in given]).astype(np.int32)
        vectors = np.concatenate([np.asarray(window.vectors, np.float16) for window in given])
        lengths = np.array([len(row) for row in terms], np.float32)
        grown = Facts(
            count=count + len(given),
            window=np.concatenate([known.window, of_fact]) if known else of_fact,
            vectors=np.concatenate([known.vectors, vectors]) if known else vectors,
            lengths=np.concatenate([known.lengths, lengths]) if known else lengths,
            postings=(known.postings if known else Postings()).extended(terms, count),
        )
        return replace(self, window=Column(of_turn), facts=grown)


def _shaped(index: ConversationIndex, dim: int) -> ConversationIndex:
    """An empty index does not know the vectors' length yet."""
    if len(index):
        raise ValueError(f"vectors of {dim} dimensions in an index of {index.vectors.rows.shape[1]}")
    return replace(
        index,
        vectors=Column(np.empty((0, dim), np.float16)),
        blocks=Column(np.empty((0, dim), np.float32)),
    )


def _flags(text: str, tokens: list[str]) -> int:
    flags = QUESTION if "?" in text or "？" in text else 0
    if not WHEN_WORDS.isdisjoint(tokens):
        flags |= MENTIONS_TIME
    if not NUMBERS.isdisjoint(tokens) or any(token.isdigit() for token in tokens):
        flags |= MENTIONS_NUMBER
    if not SELF.isdisjoint(tokens):
        flags |= OF_SELF
    return flags | min(len(_NAME.findall(text)), MOST_NAMES) << NAMES_SHIFT


def _back_products(vectors: NDArray[np.float16], sessions: NDArray[np.int32], start: int) -> Matrix:
    """Rows from `start` on of `ConversationIndex.back`."""
    reach = 2 * REACH
    first = max(0, start - reach)
    near, own = vectors[first:].astype(np.float32), sessions[first:]
    out = np.zeros((len(near), reach), np.float32)
    for back in range(1, min(reach, len(near) - 1) + 1):
        same = own[back:] == own[:-back]
        out[back:, back - 1] = np.einsum("ij,ij->i", near[back:], near[:-back]) * same
    return out[start - first :]


def _block_sums(vectors: NDArray[np.float16], known: int) -> Matrix:
    """Sums of the complete blocks after the `known` ones [blocks, dim]."""
    complete = len(vectors) // BLOCK
    rows = vectors[known * BLOCK : complete * BLOCK].astype(np.float32)
    return rows.reshape(complete - known, BLOCK, vectors.shape[1]).sum(axis=1)
