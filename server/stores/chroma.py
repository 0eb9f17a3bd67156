"""Cold storage: records in a fixed number of Chroma collections, the shards; a key's hash says which.

A collection per conversation would break (Chroma's index cache holds about `RLIMIT_NOFILE / 5` collections), one for
all would be slow. Embedded and over HTTP the same code runs; only `purge` differs.

Measured with chromadb 1.5.9 on 2 shared cores, 100,000 records of 2 KB in 16 shards: `get` of 10 ids 0.7 ms (p95 1.0),
of 5,000 ids 130 ms, `find` by one selective field 1.2 ms, by two joined 24 ms, `add` 4 to 7 ms single, 0.5 ms in bulk.
A payload costs 0.46 ms and 11 KB on disk as a metadata string, 1.62 ms and 21 KB as a document, which Chroma cuts into
trigrams: so `document` is kept as metadata. Chroma's own vector index is not read (it more than doubles the time of a
`get`, and is the only part that a crash can damage).

Chroma holds Python's global lock for as long as a *write* takes, so the event loop stands still meanwhile: writes go in
batches of `_WRITE_BATCH`, one at a time.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.datafolder import DataFolder
from server.errors import StartupError, StoreUnavailable
from server.settings import Settings
from server.stores import chroma_open, chroma_tools
from server.stores.chroma_open import Generation, Opened
from server.stores.chroma_thread import ChromaThreads

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

__all__ = ["ChromaShards", "Record", "open_chroma"]

Value = str | int | float | bool
T = TypeVar("T")

_DOCUMENT = "_document"
"""The metadata field that holds `Record.document`; no caller's field may have this name."""
_READ_BATCH = 1_000
_WRITE_BATCH = 16
_READ_SECONDS = 10.0
_WRITE_SECONDS = 30.0


@dataclass(frozen=True)
class Record:
    """One record. `embedding` [dim] is written but not read: None on records that come from the store."""

    id: str
    embedding: NDArray[np.float32] | None = None
    document: str = ""
    metadata: Mapping[str, Value] = field(default_factory=dict)


class ChromaShards:
    """The shards of one generation, that is of one embedder. Made by `open_chroma`.

    Every method raises `StoreUnavailable` when Chroma does not answer in time or fails; a write may then have happened,
    and repeating it is safe.
    """

    def __init__(
        self,
        threads: ChromaThreads,
        collections: "Sequence[Collection]",
        purge: Callable[[], Awaitable[None]],
        check_room: Callable[[], None],
        previous: "ChromaShards | None" = None,
        forget: Callable[[], None] | None = None,
    ) -> None:
        self._threads = threads
        self._collections = collections
        self._purge = purge
        self._check_room = check_room
        self._forget = forget
        self._writing = asyncio.Lock()
        self.previous = previous
        """While re-indexing: the shards of the embedder before this one, to read from."""

    async def add(self, key: str, records: Sequence[Record]) -> None:
        """Writes records, over those with the same ids. Each needs its embedding and at least one metadata field."""
        shard = self._shard(key)
        for batch in _batches(records, _WRITE_BATCH):
            ids = [record.id for record in batch]
            embeddings = np.stack([_embedding(record) for record in batch])
            metadatas: list[Any] = [_stored(record) for record in batch]
            await self._write(lambda i=ids, e=embeddings, m=metadatas: shard.upsert(ids=i, embeddings=e, metadatas=m))

    async def get(self, key: str, ids: Sequence[str]) -> list[Record]:
        """The records with these ids, in this order; ids without a record are left out."""
        shard = self._shard(key)
        found: dict[str, Record] = {}
        for batch in _batches(list(dict.fromkeys(ids)), _READ_BATCH):
            answer = await self._read(lambda b=batch: shard.get(ids=b, include=["metadatas"]))
            found.update((record.id, record) for record in _records(answer))
        return [found[id] for id in ids if id in found]

    async def find(self, key: str, where: Mapping[str, str | int]) -> list[Record]:
        """The records whose metadata has all these values, in no order.

        One field that few records share is fast; joining it with one that many share is twenty times slower.
        """
        shard = self._shard(key)
        return _records(await self._read(lambda: shard.get(where=_condition(where), include=["metadatas"])))

    async def update_metadata(self, key: str, id: str, metadata: Mapping[str, Value]) -> None:
        """Sets these fields and keeps the others; nothing happens where there is no such record."""
        shard = self._shard(key)
        await self._write(lambda: shard.update(ids=[id], metadatas=[dict(metadata)]))

    async def delete(self, key: str, ids: Sequence[str]) -> None:
        """Deletes records; ids without one are no error. The text leaves the disk with the next `purge`."""
        shard = self._shard(key)
        for batch in _batches(list(dict.fromkeys(ids)), _WRITE_BATCH):
            await self._write(lambda b=batch: shard.delete(ids=b))

    async def delete_where(self, key: str, where: Mapping[str, str | int]) -> None:
        """Deletes what `find` finds."""
        shard = self._shard(key)
        ids = (await self._read(lambda: shard.get(where=_condition(where), include=[])))["ids"]
        await self.delete(key, ids)

    async def purge(self) -> None:
        """Takes the text of deleted records off the disk: out of Chroma's queue, free pages and write-ahead log.

        Writes wait meanwhile (about 1 s per 100 MB), reads go on. What stays is a deleted record's id, and its one
        vector in Chroma's index file. Over HTTP nothing can be done from here: the queue and the free pages are on the
        other server, where its operator can run `chroma vacuum`.
        """
        async with self._writing:
            await self._purge()

    async def forget_previous(self) -> None:
        """Ends a re-index: deletes the shards of the embedder before."""
        forget = self._forget
        if forget is not None:
            await self._write(forget)
            self.previous = self._forget = None

    async def check(self) -> None:
        """Returns when Chroma answers a read."""
        shard = self._collections[0]
        await self._read(lambda: shard.get(ids=["-"], include=[]))

    def _shard(self, key: str) -> "Collection":
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
        return self._collections[number % len(self._collections)]

    async def _read(self, work: Callable[[], T]) -> T:
        return await self._threads.run(work, _READ_SECONDS)

    async def _write(self, work: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._writing.acquire()
        except TimeoutError:
            raise StoreUnavailable("The index has much to write: try again in a moment.", store="index") from None
        try:
            self._check_room()
        except BaseException:
            self._writing.release()
            raise
        # a write that was given up is still under way: the next one, which may delete what it writes, waits for it
        await self._threads.run(work, _WRITE_SECONDS, ended=self._writing.release)


@asynccontextmanager
async def open_chroma(
    settings: Settings, folder: DataFolder, *, dim: int, embedder_id: str, reindexing: bool = False
) -> AsyncIterator[ChromaShards]:
    """The shards for this embedder: embedded in `folder.chroma`, or those of the server at `chroma_url`.

    Args:
        dim: length of the embeddings.
        embedder_id: what made them; records of another embedder are another generation.
        reindexing: another generation is no error but becomes `previous`.

    Raises:
        StartupError: not reachable, a public address, damaged, or made for another embedder or number of shards.
    """
    wanted = Generation(settings.shards, embedder_id, dim)
    threads = ChromaThreads()
    try:
        opened = await _open(settings, folder, threads, wanted)
        try:
            # the fullest first: the rest are re-indexings that were given up on the way
            others = sorted((each for each in opened.others if each.count), key=lambda each: each.count, reverse=True)
            if others and not reindexing:
                raise StartupError(_mismatch(others[0].generation, wanted))
            previous = None
            if others:
                previous = ChromaShards(threads, others[0].collections, opened.purge, opened.check_room)
            yield ChromaShards(
                threads, opened.collections, opened.purge, opened.check_room, previous, opened.forget_others
            )
        finally:
            await threads.run(opened.close, _WRITE_SECONDS)
    finally:
        threads.close()


async def _open(settings: Settings, folder: DataFolder, threads: ChromaThreads, wanted: Generation) -> Opened:
    if settings.chroma_url is not None:
        url = settings.chroma_url.get_secret_value()
        try:
            return await threads.run(lambda: chroma_open.over_http(url, wanted), _WRITE_SECONDS)
        except StoreUnavailable as error:
            raise StartupError(f"The Chroma server at chroma_url does not work: {error.message}") from error
    try:
        await chroma_tools.repair(folder.chroma)
        return await threads.run(lambda: chroma_open.embedded(folder.chroma, wanted), _WRITE_SECONDS)
    except StoreUnavailable as error:
        raise StartupError(
            f"The stored memories in {folder.chroma} cannot be opened ({error.message}): "
            "free some space if the disk is full, or else restore that folder from a backup."
        ) from error


def _mismatch(found: Generation, wanted: Generation) -> str:
    if found.embedder == wanted.embedder and found.dim == wanted.dim:
        change = f"{found.shards} shards, but the settings say {wanted.shards}"
    else:
        change = f"the embedder {found.embedder!r}, but the settings say {wanted.embedder!r}"
    return f"The stored memories were indexed with {change}: run `vestige reindex`, or set it back."


def _batches(items: Sequence[T], size: int) -> Iterable[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _embedding(record: Record) -> NDArray[np.float32]:
    if record.embedding is None:
        raise ValueError(f"record {record.id} has no embedding")
    return record.embedding


def _stored(record: Record) -> dict[str, Value]:
    return {**record.metadata, _DOCUMENT: record.document} if record.document else dict(record.metadata)


def _records(answer: Any) -> list[Record]:
    records: list[Record] = []
    for id, metadata in zip(answer["ids"], answer["metadatas"], strict=True):
        fields: dict[str, Value] = dict(metadata or {})
        document = str(fields.pop(_DOCUMENT, ""))
        records.append(Record(id=id, document=document, metadata=fields))
    return records


def _condition(where: Mapping[str, str | int]) -> Any:
    if not where:
        raise ValueError("a condition is needed: without one it would be the whole shard")
    terms = [{name: value} for name, value in where.items()]
    return terms[0] if len(terms) == 1 else {"$and": terms}
