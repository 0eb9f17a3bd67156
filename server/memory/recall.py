"""Finding what was said: an index per conversation, held in memory as long as it fits and matches the stores."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np
import structlog

from server.ids import Scope, message_id
from server.memory.embedding import Vectors
from server.memory.log import ConversationLog, Head, WindowRef
from server.memory.messages import Message, Role, Status, undeclined
from server.memory.ranking import (
    ConversationIndex,
    IndexedTurn,
    Query,
    Span,
    WindowFacts,
    pack,
    parse_query,
    rank,
    render,
)
from server.memory.records import Matrix, WindowRecord, record_to_window
from server.memory.shared import Shared
from server.memory.tokens import estimate_tokens
from server.memory.views import MemorySpan, MemoryTurn, Recall, Speakers
from server.memory.windows import WindowStore
from server.stores.chroma import Record

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_INLINE = 32  # windows decoded and indexed on the event loop; more go to a thread
_BATCH = 256  # windows read from Chroma at once
_ATTEMPTS = 3
_IN_EVERY_PROMPT = 4  # messages


@dataclass(frozen=True, slots=True)
class _Entry:
    """An index of a conversation's first `windows` windows and of the messages in `tail` behind them.

    `tail` is what the index holds of messages that no window held when it was last looked at.
    """

    epoch: int
    rev: int
    windows: int
    derived: int
    speakers: Speakers
    index: ConversationIndex
    with_facts: frozenset[str]  # record ids
    tail: tuple[tuple[int, str], ...] = ()  # (seq, text)
    size: int = 0  # bytes


@dataclass(frozen=True, slots=True)
class Question:
    """A query that is being embedded already. For one search; `drop` it where none comes of it."""

    query: Query
    speakers: Speakers
    embedding: "asyncio.Future[Vectors]"

    def drop(self) -> None:
        self.embedding.cancel()


@dataclass(frozen=True, slots=True)
class _Hit:
    """A query and the index it is asked of. `vectors` [texts of the query, dim]."""

    epoch: int
    index: ConversationIndex
    query: Query
    vectors: Vectors
    speakers: Speakers
    now: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """A search whose reads are done. What it brings back depends on the room there is, which is known later."""

    hit: _Hit | None = None
    before_seq: int | None = None

    def meanings(self, messages: Iterable[Message]) -> dict[str, Vectors]:
        """The vectors [dim] of messages, by their text, as far as the index that was searched has them."""
        index = self.hit.index if self.hit else None
        if index is None:
            return {}
        rows = {message.text: index.row(message.seq, message.text) for message in messages}
        return {text: index.vectors.rows[row].astype(np.float32) for text, row in rows.items() if row is not None}

    def within(self, budget_tokens: int, before_seq: int | None = None) -> Recall:
        """The turns that answer best and cost at most `budget_tokens`, as dated spans; no I/O.

        Args:
            before_seq: only what was said before this place, where that is earlier than the search's own.
        """
        hit = self.hit
        if hit is None or budget_tokens <= 0:
            return Recall()
        until = min((seq for seq in (before_seq, self.before_seq) if seq is not None), default=None)
        ranking = rank(hit.index, hit.query, hit.vectors, before_seq=until, now=hit.now)
        spans = pack(hit.index, ranking, budget_tokens)
        return Recall(
            tuple(_span(span, hit.epoch, hit.speakers) for span in spans),
            estimate_tokens(render(spans)) if spans else 0,
        )


class Recaller:
    """Answers queries. Several recalls of one conversation at once share the work of loading it."""

    def __init__(self, shared: Shared, log: ConversationLog, windows: WindowStore) -> None:
        self._log = log
        self._windows = windows
        self._embedder = shared.embedder
        self._metrics = shared.metrics
        self._cache_bytes = shared.options.index_cache_bytes
        self._entries: OrderedDict[Scope, _Entry] = OrderedDict()
        self._bytes = 0
        self._locks: WeakValueDictionary[Scope, asyncio.Lock] = WeakValueDictionary()

    def ask(self, text: str, speakers: Speakers, asker: Role | None) -> Question | None:
        """Begins to embed a query; None where there is nothing to ask."""
        if not text.strip():
            return None
        speakers = _told_apart(speakers)
        query = parse_query(
            text, (speakers.user, speakers.assistant), None if asker is None else int(asker is not Role.USER)
        )
        return Question(query, speakers, asyncio.ensure_future(self._embedder.embed(query.texts, "query")))

    async def search(
        self, scope: Scope, question: Question | None, *, before_seq: int | None, now: datetime | None
    ) -> Found:
        """Everything that is read and embedded for a query; which turns come of it, and how many, is `Found.within`.

        Raises:
            StoreUnavailable: the conversation cannot be read.
        """
        if question is None:
            return Found()
        with self._metrics.recall_seconds.time():
            try:
                head, index = await self._indexed(scope, question.speakers, before_seq)
                vectors = await question.embedding
            finally:
                question.drop()
            if head is None or not len(index):
                return Found()
            return Found(_Hit(head.epoch, index, question.query, vectors, question.speakers, now), before_seq)

    def drop(self, scope: Scope) -> None:
        """Forgets the index of a conversation."""
        entry = self._entries.pop(scope, None)
        if entry is not None:
            self._count(-entry.size)

    async def _indexed(
        self, scope: Scope, speakers: Speakers, before_seq: int | None
    ) -> tuple[Head | None, ConversationIndex]:
        head = await self._log.head(scope)
        if head is None:
            return None, ConversationIndex.build(())
        lock = self._locks.get(scope)
        if lock is None:
            lock = self._locks[scope] = asyncio.Lock()
        async with lock:
            entry = self._entries.get(scope)
            how = "grown"
            grown: _Entry | None = None
            if entry is not None and (entry.epoch, entry.rev, entry.speakers) == (head.epoch, head.rev, speakers):
                grown = await self._grown(scope, entry, head, before_seq)
            if grown is None:
                how = "built"
                built = await self._built(scope, head, speakers)
                grown = await self._grown(scope, built, head, before_seq) or built
            self._metrics.index_loads.labels("held" if grown is entry else how).inc()
            return head, self._keep(scope, grown).index

    async def _grown(self, scope: Scope, entry: _Entry, head: Head, before_seq: int | None) -> _Entry | None:
        """The entry with what came since; None where what it holds has changed."""
        if entry.windows > head.windows:
            return entry  # a recall that began later was faster
        added, told = await self._news(scope, entry, head)
        if len(added) < head.windows - entry.windows:
            return None
        closed = [turn for window in added for turn in _turns(window, entry.speakers)]
        tail = _tail(head)
        held, now = len(entry.tail), [(turn.seq, turn.text) for turn in (*closed, *tail)]
        if list(entry.tail) != now[:held]:
            return None
        wanted = tail if before_seq is None else _behind(tail, before_seq)
        wanted = wanted[max(0, held - len(closed)) :]
        if not (added or told or wanted):
            return entry
        vectors = await self._windows.embed(wanted, entry.speakers)
        turns = [*closed[held:], *_indexed_turns(wanted, vectors, entry.speakers)]
        facts = [_window_facts(window) for window in told]
        if turns and len(entry.index) and turns[0].seq <= int(entry.index.seq.rows[-1]):
            return None  # what was read at two moments does not fit together
        return replace(
            entry,
            windows=head.windows,
            derived=head.derived,
            index=await _offload(len(added), lambda: entry.index.extended(turns, facts)),
            with_facts=entry.with_facts | {window.id for window in told},
            tail=tuple(now[len(closed) : max(held, len(closed)) + len(wanted)]),
        )

    async def _news(self, scope: Scope, entry: _Entry, head: Head) -> tuple[list[WindowRecord], list[WindowRecord]]:
        """The windows that were closed since, as far as they are there, and those whose facts came since."""
        if head.windows <= entry.windows and head.derived <= entry.derived:
            return [], []
        new = [ref.id for ref in await self._log.windows(scope, entry.windows, head.windows)]
        derived = await self._log.derived(scope, entry.derived, head.derived)
        records = await self._read(scope, list(dict.fromkeys((*new, *derived))))
        windows = {window.id: window for window in await _decoded(records) if window.epoch == head.epoch}
        told = [window for window in windows.values() if window.facts and window.id not in entry.with_facts]
        return [windows[id] for id in new if id in windows], told

    async def _built(self, scope: Scope, head: Head, speakers: Speakers) -> _Entry:
        """The index of the windows as `head` has them."""
        refs: list[WindowRef] = []
        records: list[Record] = []
        for attempt in range(_ATTEMPTS):
            refs = await self._log.windows(scope, 0, head.windows)
            records = await self._read(scope, [ref.id for ref in refs])
            if len(records) == len(refs):
                break
            if attempt == _ATTEMPTS - 1:  # live in Redis, missing in Chroma: say so, and answer from the rest
                _log.error("window_records_missing", missing=len(refs) - len(records), windows=len(refs))

        def build() -> tuple[ConversationIndex, frozenset[str]]:
            windows = [window for window in map(record_to_window, records) if window.epoch == head.epoch]
            facts = [window for window in windows if window.facts]
            turns = [turn for window in windows for turn in _turns(window, speakers)]
            index = ConversationIndex.build(turns, [_window_facts(window) for window in facts])
            return index, frozenset(window.id for window in facts)

        index, with_facts = await _offload(len(records), build)
        return _Entry(head.epoch, head.rev, len(refs), head.derived, speakers, index, with_facts)

    async def _read(self, scope: Scope, ids: Sequence[str]) -> list[Record]:
        records: list[Record] = []
        for at in range(0, len(ids), _BATCH):
            records += await self._windows.records(scope, ids[at : at + _BATCH])
        return records

    def _keep(self, scope: Scope, entry: _Entry) -> _Entry:
        if entry is self._entries.get(scope):
            self._entries.move_to_end(scope)
            return entry
        self.drop(scope)
        entry = replace(entry, size=entry.index.nbytes)
        self._entries[scope] = entry
        self._count(entry.size)
        while self._bytes > self._cache_bytes and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._count(-oldest.size)
        return entry

    def _count(self, change: int) -> None:
        self._bytes += change
        self._metrics.index_bytes.set(self._bytes)


async def _offload(windows: int, work: Callable[[], T]) -> T:
    return work() if windows <= _INLINE else await asyncio.to_thread(work)


async def _decoded(records: Sequence[Record]) -> list[WindowRecord]:
    return await _offload(len(records), lambda: list(map(record_to_window, records)))


def _told_apart(speakers: Speakers) -> Speakers:
    """Ranking knows speakers by name, so two of the same name need a difference."""
    if speakers.user.strip().lower() != speakers.assistant.strip().lower():
        return speakers
    return Speakers(speakers.user, f"{speakers.assistant} (character)")


def _tail(head: Head) -> list[Message]:
    """The messages of the tail that say something, up to the first that is still being written."""
    settled = takewhile(lambda message: message.status is not Status.PENDING, head.tail)
    return [message for message in settled if message.text.strip()]


def _behind(tail: list[Message], before_seq: int) -> list[Message]:
    """What of the tail a prompt that goes on at a place may lack: it has the newest messages word for word.

    So a recall need not wait until the message of a moment ago is embedded.
    """
    before = [message for message in tail if message.seq < before_seq]
    return before[: max(0, len(before) - _IN_EVERY_PROMPT)]


def _indexed_turns(messages: Iterable[Message], vectors: Matrix, speakers: Speakers) -> Iterable[IndexedTurn]:
    messages = list(messages)
    asked = {message.seq for message in undeclined(messages)}
    for message, vector in zip(messages, vectors, strict=True):
        if message.text.strip() and message.seq in asked:
            yield IndexedTurn(message.seq, speakers.name(message.role), message.text, message.created, vector)


def _turns(window: WindowRecord, speakers: Speakers) -> Iterable[IndexedTurn]:
    return _indexed_turns(window.messages, window.vectors, speakers)


def _window_facts(window: WindowRecord) -> WindowFacts:
    assert window.fact_vectors is not None  # noqa: S101 - stored together with the facts
    return WindowFacts(window.messages[0].seq, window.messages[-1].seq, window.facts, window.fact_vectors)


def _span(span: Span, epoch: int, speakers: Speakers) -> MemorySpan:
    turns = tuple(
        MemoryTurn(
            message_id(epoch, turn.seq),
            Role.USER if turn.speaker == speakers.user else Role.ASSISTANT,
            turn.speaker,
            turn.text,
            turn.created,
            turn.score,
        )
        for turn in span.turns
    )
    return MemorySpan(turns[0].message_id, turns[-1].message_id, span.start, span.end, turns)
