"""After a change of the embedder: every record into the new shards, with new vectors and the same ids."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from server.ids import Scope
from server.memory.erase import Eraser
from server.memory.keys import Keys
from server.memory.log import ConversationLog
from server.memory.records import (
    record_to_summary,
    record_to_window,
    summary_to_record,
    window_to_record,
)
from server.memory.shared import Shared
from server.memory.views import Speakers
from server.memory.windows import WindowStore
from server.stores.chroma import ChromaShards, Record
from server.stores.errors import store_errors

_log = structlog.get_logger(__name__)

_BATCH = 16  # records; so much is done again at most
_PAGE = 500

Progress = Callable[[int, int], None]


class Reindexer:
    """Copies from `chroma.previous` what is not there yet, so it may be stopped at any moment; no server may write."""

    def __init__(self, shared: Shared, log: ConversationLog, windows: WindowStore, eraser: Eraser) -> None:
        self._client = shared.state
        self._chroma = shared.chroma
        self._embedder = shared.embedder
        self._log = log
        self._windows = windows
        self._eraser = eraser

    async def run(self, progress: Progress) -> int:
        """Tells `progress` how many windows of how many are done; returns how many there are.

        Raises:
            StoreUnavailable: run it again; what is done stays done.
        """
        total = await self._count()
        previous = self._chroma.previous
        if previous is None:
            return total
        done = 0
        progress(done, total)
        async for scope in self._eraser.all_scopes():
            head = await self._log.head(scope, tail=False)
            if head is None:
                continue
            refs = await self._log.windows(scope, 0, head.windows)
            others = [id for id in dict.fromkeys((head.summary, head.correction)) if id is not None]
            ids = [*others, *(ref.id for ref in refs)]
            for at in range(0, len(ids), _BATCH):
                batch = ids[at : at + _BATCH]
                await self._copy(scope, previous, batch, head.names)
                done += len([id for id in batch if id not in others])
                progress(done, total)
        await self._chroma.forget_previous()
        return total

    async def _copy(self, scope: Scope, previous: ChromaShards, ids: list[str], names: Speakers | None) -> None:
        key = str(scope)
        there = {record.id for record in await self._chroma.get(key, ids)}
        missing = [id for id in ids if id not in there]
        records = await previous.get(key, missing)
        if len(records) < len(missing):
            _log.error("window_records_missing", missing=len(missing) - len(records))
        await self._chroma.add(key, [await self._again(scope, record, names) for record in records])

    async def _again(self, scope: Scope, record: Record, names: Speakers | None) -> Record:
        if record.metadata["kind"] == "summary":
            epoch = int(record.metadata["epoch"])
            return summary_to_record(scope, epoch, record.id, record_to_summary(record), self._embedder.dim)
        window = record_to_window(record)
        return window_to_record(
            scope,
            replace(
                window,
                vectors=await self._windows.embed(window.messages, names),
                fact_vectors=await self._windows.embed_facts(window.facts, names),
            ),
        )

    async def _count(self) -> int:
        total, page = 0, list[Scope]()
        async for scope in self._eraser.all_scopes():
            page.append(scope)
            if len(page) == _PAGE:
                total += await self._lengths(page)
                page = []
        return total + await self._lengths(page)

    async def _lengths(self, scopes: list[Scope]) -> int:
        pipe = self._client.pipeline(transaction=False)
        for scope in scopes:
            pipe.llen(Keys.of(scope).windows)
        with store_errors("memory"):
            return sum(await pipe.execute())
