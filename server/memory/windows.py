"""Closed windows: written before they live, found by id, closed by compare-and-set.

A record is first named in the garbage list, then written to Chroma, then made live by one script that also takes it
out of the garbage. Whatever dies in between leaves a conversation without loss and a record that the sweeper deletes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np
import structlog

from server.ids import Scope, new_id, parse_scope
from server.memory.codec import encode_message
from server.memory.decoded import DecodedWindows
from server.memory.embedding import Vectors
from server.memory.hot import HotBuffer
from server.memory.keys import GARBAGE, Keys
from server.memory.log import ConversationLog, Head, WindowRef, digest
from server.memory.messages import Message, Status
from server.memory.ranking import embedding_text
from server.memory.records import WindowRecord, record_to_window, window_to_record
from server.memory.shared import Shared
from server.memory.views import Speakers
from server.stores.chroma import Record
from server.stores.errors import store_errors

_log = structlog.get_logger(__name__)

ABANDONED = "abandoned"  # the error code of a reply whose server died
_RACES = 5
_SWEEP = 500


class WindowStore:
    """Reads, writes and closes windows. Safe to use from several processes on the same stores."""

    def __init__(self, shared: Shared, log: ConversationLog, hot: HotBuffer) -> None:
        self._scripts = shared.scripts
        self._chroma = shared.chroma
        self._embedder = shared.embedder
        self._options = shared.options
        self._metrics = shared.metrics
        self._shared = shared
        self._log = log
        self._hot = hot
        self._client = shared.state
        self._decoded = DecodedWindows(shared.options.index_cache_bytes // 8)
        self._reading: dict[str, asyncio.Task[list[Record]]] = {}

    async def records(self, scope: Scope, ids: Sequence[str]) -> list[Record]:
        """The records as stored now. One that is not there was rewritten or deleted since its id was read."""
        if not ids:
            return []
        reading = asyncio.create_task(self._chroma.get(str(scope), ids))
        self._reading.update(dict.fromkeys(ids, reading))

        def done(_: object) -> None:
            for id in ids:
                if self._reading.get(id) is reading:
                    del self._reading[id]
            if not reading.cancelled():
                reading.exception()  # so that it counts as seen where nobody waits any more

        reading.add_done_callback(done)
        return await asyncio.shield(reading)

    async def load(self, scope: Scope, ids: Sequence[str]) -> dict[str, WindowRecord]:
        """The windows by id, as far as they are there."""
        return {record.id: record_to_window(record) for record in await self.records(scope, ids)}

    async def texts(self, scope: Scope, ids: Sequence[str]) -> dict[str, str]:
        """The windows' encoded messages by id, as far as they are there. Shares reads that are under way: they cannot
        be out of date, since a record's messages never change.
        """
        reads = {self._reading[id] for id in ids if id in self._reading}
        found = await self.records(scope, [id for id in ids if id not in self._reading])
        for read in reads:
            found = [*found, *await asyncio.shield(read)]
        return {record.id: record.document for record in found}

    def decoded(self, id: str) -> tuple[Message, ...] | None:
        """What a window says, if this process knows."""
        return self._decoded.get(id)

    def decode(self, id: str, raw: str, epoch: int) -> tuple[Message, ...]:
        """What a window says, from its encoded messages."""
        return self._decoded.add(id, raw, epoch)

    async def embed(self, messages: Sequence[Message], speakers: Speakers | None) -> Vectors:
        """[messages, dim]: what each turn means; zero for one without text."""
        vectors = np.zeros((len(messages), self._embedder.dim), np.float32)
        rows = [row for row, message in enumerate(messages) if message.text.strip()]
        if rows:
            names = (speakers.user, speakers.assistant) if speakers else ()
            texts = [embedding_text("", messages[row].text, names) for row in rows]
            vectors[rows] = await self._embedder.embed(texts, "passage")
        return vectors

    async def embed_facts(self, facts: Sequence[str], speakers: Speakers | None) -> Vectors | None:
        """[facts, dim], or None where there are none."""
        if not facts:
            return None
        names = (speakers.user, speakers.assistant) if speakers else ()
        return await self._embedder.embed([embedding_text("", fact, names) for fact in facts], "passage")

    async def write(self, scope: Scope, record: Record) -> None:
        """Puts a record into Chroma that no conversation holds yet.

        Raises:
            StoreUnavailable: one of the stores does not answer; what was written is garbage.
        """
        await self._scripts.run("register", (GARBAGE,), f"{scope}|{record.id}", self._shared.now)
        await self._chroma.add(str(scope), [record])

    async def delete(self, scope: Scope, ids: Sequence[str]) -> None:
        """Deletes dead records; they stay on the list of garbage until Chroma has confirmed it."""
        if ids:
            self._decoded.drop(ids)
            await self._chroma.delete(str(scope), ids)
            await self._scripts.run("swept", (GARBAGE,), *(f"{scope}|{id}" for id in ids))
            self._metrics.garbage_deleted.inc(len(ids))

    async def forget_garbage(self, scope: Scope) -> None:
        """Takes a conversation that is gone off the list of garbage: what was registered and never written."""
        with store_errors("memory"):
            members = [member async for member, _ in self._client.zscan_iter(GARBAGE, match=f"{scope}|*")]
            if members:
                await self._client.zrem(GARBAGE, *members)

    async def close_due(self, scope: Scope) -> int:
        """Closes windows from the head of the tail while enough settled messages wait there; how many it closed.

        Raises:
            StoreUnavailable: nothing is lost; the window is closed another time.
        """
        closed = races = 0
        while races < _RACES:
            head = await self._log.head(scope)
            if head is None:
                break
            due = await self._due(scope, head)
            if due is None:
                break
            if due and await self._close(scope, head, due):
                closed += 1
            else:
                races += 1
        return closed

    async def prepare(self, scope: Scope) -> None:
        """Embeds what the tail holds, so that the next recall and the next window find it in the embedder's cache."""
        head = await self._log.head(scope)
        if head is not None:
            await self.embed([message for message in head.tail if message.status is not Status.PENDING], head.names)

    async def sweep(self) -> int:
        """Deletes what writers that died, or lost a race, left in Chroma; how many records."""
        total = 0
        while True:
            before = self._shared.now - self._options.garbage_seconds
            members: list[str] = await self._scripts.run("doom", (GARBAGE,), before, _SWEEP)
            by_scope: dict[str, list[str]] = {}
            for member in members:
                owner, id = member.split("|")
                by_scope.setdefault(owner, []).append(id)
            for owner, ids in by_scope.items():
                await self.delete(parse_scope(owner), ids)
            total += len(members)
            if len(members) < _SWEEP:
                return total

    async def _due(self, scope: Scope, head: Head) -> tuple[Message, ...] | None:
        """The messages of the next window; none (empty) when one was just given up and the tail is to be read again."""
        size = self._options.window_messages
        if len(head.tail) < size + self._options.keep_open:
            return None
        settled = tuple(takewhile(lambda message: message.status is not Status.PENDING, head.tail[:size]))
        if len(settled) == size:
            return settled
        waiting = head.tail[len(settled)]
        if (self._shared.clock() - waiting.said.created).total_seconds() < self._options.stale_seconds:
            return None
        given_up = replace(waiting.said, status=Status.FAILED, error=ABANDONED)
        changed = replace(waiting, alternatives=(given_up,))
        await self._log.put(scope, head.epoch, waiting.seq, head.raw[waiting.seq], encode_message(changed))
        return ()

    async def _close(self, scope: Scope, head: Head, messages: tuple[Message, ...]) -> bool:
        vectors = await self.embed(messages, head.names)
        window = WindowRecord(new_id("win"), head.epoch, messages, vectors)
        ref = WindowRef.of(window.id, messages)
        await self.write(scope, window_to_record(scope, window))
        keys = Keys.of(scope)
        seen = [part for message in messages for part in (message.seq, digest(head.raw[message.seq]))]
        done = await self._scripts.run(
            "close",
            (keys.meta, keys.tail, keys.windows, GARBAGE, keys.todo),
            str(scope),
            head.epoch,
            head.windows,
            ref.raw,
            window.id,
            self._shared.now,
            *seen,
        )
        if done != 1:
            self._metrics.windows_lost_races.inc()
            await self.delete(scope, [window.id])
            return False
        self._metrics.windows_closed.inc()
        await self._hot.append(scope, window.id, window.raw_messages)
        return True
