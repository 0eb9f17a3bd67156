"""The rolling summary: read through the cache, rebuilt from windows, never from the summary before it."""

import asyncio
import json
from collections.abc import Sequence
from typing import TypeVar

import structlog

from server.errors import NotFound, StoreUnavailable, TooLarge
from server.ids import Scope, new_id
from server.memory.codec import compact
from server.memory.derive import SUMMARY, Deriver, payer_of
from server.memory.keys import GARBAGE, Keys
from server.memory.log import ConversationLog, Head
from server.memory.messages import Message
from server.memory.records import (
    WindowRecord,
    record_to_summary,
    summary_from_data,
    summary_to_data,
    summary_to_record,
)
from server.memory.shared import Shared
from server.memory.tokens import estimate_tokens
from server.memory.turns import said
from server.memory.views import Summary
from server.memory.windows import WindowStore
from server.memory.writer import NAMES, ROLLING_CHARACTERS, Unusable, Writer, fits, note, opaque, transcript
from server.stores.errors import store_errors

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_VERBATIM = 2  # newest windows that go in word for word
_NOTE_TOKENS = 120  # of an older window
_NOTES = 24  # on the windows before them, and as many from all over the past


class Summaries:
    """Reads, corrects and rebuilds the rolling summary of conversations."""

    def __init__(
        self, shared: Shared, log: ConversationLog, windows: WindowStore, deriver: Deriver, writer: Writer
    ) -> None:
        self._state = shared.state
        self._cache = shared.cache
        self._scripts = shared.scripts
        self._options = shared.options
        self._metrics = shared.metrics
        self._shared = shared
        self._log = log
        self._windows = windows
        self._deriver = deriver
        self._writer = writer

    async def read(self, scope: Scope) -> Summary | None:
        """The latest: from the cache, or from Chroma and written back. That there is none is never cached."""
        head, cached = await asyncio.gather(self._log.head(scope, tail=False), self._cached(scope))
        for _ in range(2):
            if head is None or head.summary is None:
                return None
            if cached is not None and cached["id"] == head.summary:
                return summary_from_data(cached)
            found = await self._stored(scope, head.summary)
            if found is not None:
                await self._write_back(scope, head.summary, found)
                return found
            head = await self._log.head(scope, tail=False)  # it was replaced in between
        return None

    async def correction(self, scope: Scope) -> Summary | None:
        """What a person wrote last, if they did."""
        head = await self._log.head(scope, tail=False)
        return await self._stored(scope, head.correction) if head and head.correction else None

    async def set(self, scope: Scope, text: str) -> Summary:
        """A person's own words take its place; later rebuilds are told them.

        Raises:
            NotFound: there is no conversation yet.
        """
        text = said(text, "text").strip()
        if len(text) > ROLLING_CHARACTERS:
            raise TooLarge(f"The summary holds at most {ROLLING_CHARACTERS} characters.", field="text")
        head = await self._log.head(scope, tail=False)
        if head is None:
            raise NotFound("There is no conversation yet.", field="character_id")
        summary = Summary(text, self._shared.clock(), head.windows, "user")
        if not await self._commit(scope, head, summary):
            raise NotFound("The conversation has begun anew.", field="character_id")
        await self.drop_cached(scope)
        return summary

    async def remove(self, scope: Scope) -> None:
        """Takes it out, what a person wrote of it included. It is written again when the next windows close."""
        await self._scripts.run("unsummary", (Keys.of(scope).meta, GARBAGE), str(scope))
        await self.drop_cached(scope)

    async def drop_cached(self, scope: Scope) -> None:
        """Raises `StoreUnavailable`: the cache may still hold the text."""
        with store_errors("cache"):
            await self._cache.delete(Keys.of(scope).summary_text)

    async def due(self, scope: Scope) -> bool:
        """Whether enough windows have closed since it was written."""
        head = await self._log.head(scope, tail=False)
        if head is None or not self._writer.enabled:
            return False
        if head.windows - (head.summary_windows if head.summary else 0) < self._options.summary_every:
            return False
        with store_errors("memory"):
            later = await self._state.zscore(Keys.of(scope).todo, SUMMARY)
        return later is None or float(later) <= self._shared.now

    async def rebuild(self, scope: Scope) -> bool:
        """Writes it anew; whether it now stands. What changed meanwhile makes the result void.

        Raises:
            StoreUnavailable: nothing is lost.
        """
        head = await self._log.head(scope, tail=False)
        if head is None or not head.windows:
            return False
        notes, latest = await self._material(scope, head)
        correction = await self._stored(scope, head.correction) if head.correction else None
        try:
            text = await self._writer.rolling(
                opaque(scope),
                payer_of(scope, head),
                notes,
                latest,
                correction.text if correction else None,
                head.names,
            )
        except Unusable as reason:
            await self._deriver.defer(scope, SUMMARY, reason.why)
            self._metrics.derivations.labels("summary", reason.why).inc()
            return False
        done = await self._commit(scope, head, Summary(text, self._shared.clock(), head.windows, "model"))
        self._metrics.derivations.labels("summary", "written" if done else "late").inc()
        if done:
            keys = Keys.of(scope)
            with store_errors("memory"):
                pipe = self._state.pipeline(transaction=False)
                pipe.zrem(keys.todo, SUMMARY)
                pipe.hdel(keys.attempts, SUMMARY)
                await pipe.execute()
        return done

    async def _material(self, scope: Scope, head: Head) -> tuple[list[str], list[Message]]:
        """Notes on older windows, oldest first, and the newest ones word for word, within the budget of tokens.

        Half of the notes are on the windows right before, half from all over the past, so that the picture does not
        shrink to last month.
        """
        refs = await self._log.windows(scope, 0, head.windows)
        newest, older = refs[-_VERBATIM:], refs[:-_VERBATIM]
        wanted = [*_evenly(older[:-_NOTES], _NOTES), *older[-_NOTES:]]
        windows = await self._windows.load(scope, [ref.id for ref in (*wanted, *newest)])
        latest = [message for ref in newest if ref.id in windows for message in windows[ref.id].messages]
        left = self._options.summary_input_tokens
        while len(latest) > 1 and estimate_tokens(transcript(latest, head.names or NAMES)) > left:
            del latest[: len(latest) // 2]
        left = max(0, left - estimate_tokens(transcript(latest, head.names or NAMES)))
        notes = [_note(windows[ref.id], head) for ref in wanted if ref.id in windows]
        costs = [estimate_tokens(text) for text in notes]
        if sum(costs) > left:
            fitting = max(0, left * len(notes) // sum(costs) - 1)
            recent = fitting - fitting // 2
            notes = [*_evenly(notes[: len(notes) - recent], fitting // 2), *notes[len(notes) - recent :]]
        return notes, latest

    async def _commit(self, scope: Scope, head: Head, summary: Summary) -> bool:
        id = new_id("sum")
        await self._windows.write(scope, summary_to_record(scope, head.epoch, id, summary, self._shared.embedder.dim))
        keys = Keys.of(scope)
        done = await self._scripts.run(
            "summary",
            (keys.meta, keys.windows, GARBAGE),
            str(scope),
            head.epoch,
            head.rev,
            summary.windows,
            head.correction or "",
            id,
            summary.by,
        )
        if done != 1:
            await self._windows.delete(scope, [id])
        return done == 1

    async def _stored(self, scope: Scope, id: str) -> Summary | None:
        records = await self._windows.records(scope, [id])
        return record_to_summary(records[0]) if records else None

    async def _cached(self, scope: Scope) -> dict[str, str | int] | None:
        try:
            with store_errors("cache"):
                raw = await self._cache.get(Keys.of(scope).summary_text)
        except StoreUnavailable as error:
            self._failed("read", error)
            return None
        return json.loads(raw) if raw else None

    async def _write_back(self, scope: Scope, id: str, summary: Summary) -> None:
        raw = compact({"id": id, **summary_to_data(summary)})
        try:
            with store_errors("cache"):
                await self._cache.set(Keys.of(scope).summary_text, raw, ex=self._options.hot_seconds)
        except StoreUnavailable as error:
            self._failed("write", error)

    def _failed(self, what: str, error: StoreUnavailable) -> None:
        self._metrics.cache_failures.inc()
        _log.warning("summary_cache_unavailable", doing=what, reason=error.message)


def _evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, from all over."""
    if count <= 0:
        return []
    return list(items[:: -(-len(items) // count)]) if items else []


def _note(window: WindowRecord, head: Head) -> str:
    text = window.summary or transcript(window.messages, head.names or NAMES)
    return note(window.messages[0].created, fits(text, _NOTE_TOKENS))
