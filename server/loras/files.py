"""LoRA files in the object store: taken in as a stream, checked, kept by the sha256 of their bytes.

    loras/{sha256}.safetensors   the file
    loras/{sha256}.json          what was found in it; written last, so that it stands for a file that is whole

A file comes in over a spool on the server's own disk: what breaks off, is no LoRA or does not fit leaves nothing.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from server.errors import InvalidLora, NotFound, StoreUnavailable, TooLarge
from server.loras.facts import embedded_hash, read_facts
from server.loras.header import START_BYTES, check_start, read_header
from server.loras.records import LoraFile
from server.stores.errors import store_errors
from server.stores.objects import Objects

__all__ = ["MOST_BYTES", "LoraFiles", "Verdict", "examine", "path_of"]

MOST_BYTES = 4 << 30
Verdict = Literal["sound", "missing", "damaged"]

_BATCH_BYTES = 1 << 20
_FACTS_BYTES = 256 << 10
_AT_ONCE = 2
"""Files that come in at a time: each may take 4 GB of the spool's disk."""


class LoraFiles:
    """Every tenant's files: the same bytes are kept once."""

    def __init__(self, objects: Objects, spool: Path, registry: CollectorRegistry | None = None) -> None:
        """`spool`: a folder of this process alone."""
        self._objects = objects
        self._spool = spool
        self._coming = asyncio.Semaphore(_AT_ONCE)
        self._taken = Counter(
            "vestige_lora_files",
            "LoRA files that came in, by what became of them.",
            ("outcome",),
            registry=registry if registry is not None else CollectorRegistry(),
        )

    def clear(self) -> None:
        """Removes what an earlier process left on the spool."""
        shutil.rmtree(self._spool, ignore_errors=True)

    async def take(self, pieces: AsyncIterator[bytes], *, length: int | None = None) -> tuple[LoraFile, bool]:
        """Keeps the file that `pieces` make up; also tells whether it is new. `length` in bytes, where it is known.

        Raises:
            InvalidLora: no safetensors file, no LoRA, or its header lies; its first bytes are looked at first.
            TooLarge: more than 4 GB.
            StoreUnavailable: the disk or the object store does not take it.
        """
        if length is not None and length > MOST_BYTES:
            raise _too_large()
        outcome = "failed"
        try:
            async with self._coming:
                with self._spool_file() as (file, path):
                    found = await self._spooled(file, pieces, length)
                    new = await self._objects.head(_facts_path(found.sha256)) is None
                    if new:
                        await self._objects.put(path_of(found.sha256), path)
                if new:
                    await self._objects.put(_facts_path(found.sha256), found.model_dump_json().encode())
            outcome = "new" if new else "known"
        except (InvalidLora, TooLarge):
            outcome = "refused"
            raise
        finally:
            self._taken.labels(outcome).inc()
        return found, new

    async def get(self, sha256: str) -> LoraFile:
        """What was found in a file when it came in.

        Raises:
            NotFound: there is no such file, or it never came in whole.
        """
        try:
            return LoraFile.model_validate_json(await self._objects.get(_facts_path(sha256), most=_FACTS_BYTES))
        except NotFound:
            raise NotFound("There is no LoRA file of this sha256: upload it first.") from None
        except ValidationError as error:
            raise StoreUnavailable(
                f"The object store's loras/{sha256}.json is damaged: upload the file again.", store="objects"
            ) from error

    def read(self, sha256: str, start: int = 0) -> AsyncIterator[bytes]:
        """The bytes of a file from `start` on, in pieces of at most 8 MB.

        Raises:
            NotFound: there is none.
        """
        return self._objects.read(path_of(sha256), start)

    async def verify(self, sha256: str) -> Verdict:
        """Reads a file from the store and hashes it anew. One that is not sound is replaced by the next upload."""
        digest = hashlib.sha256()
        verdict: Verdict = "damaged"
        try:
            async for piece in self._objects.read(path_of(sha256)):
                await asyncio.to_thread(digest.update, piece)
        except NotFound:
            verdict = "missing"
        if digest.hexdigest() == sha256:
            return "sound"
        await self._objects.delete(_facts_path(sha256))
        return verdict

    @contextmanager
    def _spool_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        with store_errors("objects"):
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(suffix=".part", dir=self._spool)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    async def _spooled(self, file: BinaryIO, pieces: AsyncIterator[bytes], length: int | None) -> LoraFile:
        """Writes and hashes in another thread, a megabyte at a time."""
        sink, batch = _Sink(file, length), bytearray()
        async for piece in pieces:
            batch += piece
            if len(batch) >= _BATCH_BYTES:
                with store_errors("objects"):
                    await asyncio.to_thread(sink.write, bytes(batch))
                batch.clear()
        with store_errors("objects"):
            await asyncio.to_thread(sink.write, bytes(batch))
            return await asyncio.to_thread(sink.examined)


class _Sink:
    """Where a file that comes in is written and hashed: all of it, and what follows its header."""

    def __init__(self, file: BinaryIO, length: int | None) -> None:
        self._file = file
        self._length = length
        self._size = 0
        self._weights_at = 0
        self._all = hashlib.sha256()
        self._weights = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """The next piece; the first holds `START_BYTES` or all there is."""
        if self._size == 0:
            self._weights_at = check_start(data[:START_BYTES], self._length)
        if self._size + len(data) > MOST_BYTES:
            raise _too_large()
        self._all.update(data)
        self._weights.update(memoryview(data)[max(0, self._weights_at - self._size) :])
        self._file.write(data)
        self._size += len(data)

    def examined(self) -> LoraFile:
        self._file.flush()
        return _described(self._file, self._size, self._all.hexdigest(), self._weights.hexdigest())


def examine(file: BinaryIO) -> LoraFile:
    """A file on this machine, read and hashed in one go.

    Raises:
        InvalidLora: as `LoraFiles.take`.
    """
    size = file.seek(0, os.SEEK_END)
    header = read_header(file, size)
    file.seek(0)
    every, weights, at = hashlib.sha256(), hashlib.sha256(), 0
    while data := file.read(8 * _BATCH_BYTES):
        every.update(data)
        weights.update(memoryview(data)[max(0, header.weights_at - at) :])
        at += len(data)
    return _described(file, size, every.hexdigest(), weights.hexdigest())


def _described(file: BinaryIO, size: int, sha256: str, weights_sha256: str) -> LoraFile:
    header = read_header(file, size)

    def read_at(place: int, length: int) -> bytes:
        file.seek(place)
        return file.read(length)

    embedded = embedded_hash(header.metadata)
    notices: tuple[str, ...] = ()
    if embedded is not None and embedded != weights_sha256:
        notices = ("Its weights are not those that its trainer hashed: it was changed, merged or resized afterwards.",)
    return LoraFile(
        sha256=sha256,
        weights_sha256=weights_sha256,
        auto_v2=sha256[:10],
        auto_v3=(embedded or weights_sha256)[:12],
        bytes=size,
        facts=read_facts(header, read_at),
        notices=notices,
    )


def path_of(sha256: str) -> str:
    """Where a file lies in the object store."""
    return f"loras/{sha256}.safetensors"


def _facts_path(sha256: str) -> str:
    return f"loras/{sha256}.json"


def _too_large() -> TooLarge:
    return TooLarge(f"The file is too large: at most {MOST_BYTES >> 30} GB are taken.", limit=MOST_BYTES)
