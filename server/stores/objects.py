"""Pictures and model files: objects by path, in a folder or in an S3 bucket, through one class.

Paths are made by this program from hashes and ids, never from what a person typed. Every write is whole or not there at
all. In a folder what was put lasts through a power cut before `put` returns; at S3 the store promises that itself.
"""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.errors import NotFound, StoreUnavailable, TooLarge

__all__ = ["CONTENT_TYPES", "Objects", "Stored"]

CONTENT_TYPES = {
    ".json": "application/json",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".webp": "image/webp",
}
IMMUTABLE = "max-age=31536000, immutable"
PIECE_BYTES = 8 * 1024 * 1024
"""What a streamed read asks for at a time."""
PART_BYTES = 8 * 1024 * 1024
"""Of a large write at S3, which takes 10,000 of them."""
LONGEST_LINK = 7 * 86_400
"""Seconds; what a signature of AWS' version 4 may last."""

_CONCURRENT = 32
_SECONDS = 60.0
_SLOWEST = 1_000_000
"""Bytes per second under which a large write is given up."""
_PART = r"[a-z0-9][a-z0-9._-]{0,127}"
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,7}}")
_LINKS = 10_000
_FULL = {"27", "28", "122"}  # EFBIG, ENOSPC, EDQUOT
_READ_ONLY = {"1", "13", "30"}  # EPERM, EACCES, EROFS
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is there. `size` in bytes; `modified` in UTC."""

    path: str
    size: int
    modified: datetime


class Objects:
    """The object store, for the server and for workers; several processes may use one at a time.

    Every method raises `StoreUnavailable` where the store does not answer, is full or refuses us, and `ValueError` for
    a path that is not one of ours, which is a bug.
    """

    def __init__(
        self,
        store: LocalStore | S3Store,
        *,
        links: bool = False,
        registry: CollectorRegistry | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        """`links`: whether it can sign addresses that last (S3 with credentials that do). `seconds`: for a request."""
        self._store = store
        self._root = store.prefix if isinstance(store, LocalStore) else None
        self._signer = store if links and isinstance(store, S3Store) else None
        self._seconds = seconds
        self._free = asyncio.Semaphore(_CONCURRENT)
        self._links: OrderedDict[tuple[str, int], tuple[str, float]] = OrderedDict()
        self._meters = _Meters(registry)

    async def put(self, path: str, data: bytes | Path) -> None:
        """Puts `data`, or the file at that path, in place of what is there: the same twice is once."""
        async with self._asking("put", path, self._seconds + _size(data) / _SLOWEST):
            await self._write(path, data, new=False)

    async def add(self, path: str, data: bytes | Path) -> bool:
        """Puts `data` where nothing is yet, and says whether that was so. For paths that name their content's hash.

        What is there but has another length is a write that a power cut broke: it is replaced.
        """
        if isinstance(data, Path):  # a store's own check would want all of it in memory
            there = await self.head(path)
            if there is not None and there.size == _size(data):
                return False
            await self.put(path, data)
            return True
        try:
            async with self._asking("put", path, self._seconds + len(data) / _SLOWEST):
                await self._write(path, data, new=True)
                return True
        except FileExistsError:
            there = await self.head(path)
        if there is not None and there.size == len(data):
            return False
        await self.put(path, data)
        return True

    async def get(self, path: str, *, most: int) -> bytes:
        """All of an object.

        Raises:
            NotFound: there is none.
            TooLarge: it has more than `most` bytes; nothing of it was read.
        """
        async with self._asking("get", path, self._seconds):
            found = await self._store.get_async(path)
            if found.meta["size"] > most:
                raise TooLarge(f"The object is larger than {most:,} bytes.", limit=most)
            return bytes(await found.bytes_async())

    async def read(self, path: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end` (not included), in pieces of at most 8 MB.

        Raises:
            NotFound: there is none.
            StoreUnavailable: also where it was replaced meanwhile, since two halves of two objects are neither.
        """
        async with self._asking("head", path, self._seconds):
            meta = await self._store.head_async(path)
        stop = meta["size"] if end is None else min(end, meta["size"])
        for at in range(start, stop, PIECE_BYTES):
            async with self._asking("get", path, self._seconds):
                piece = await self._store.get_async(
                    path, options={"range": (at, min(at + PIECE_BYTES, stop)), "if_match": meta["e_tag"]}
                )
                data = bytes(await piece.bytes_async())
            yield data

    async def head(self, path: str) -> Stored | None:
        """What is known of an object, None where there is none."""
        try:
            async with self._asking("head", path, self._seconds):
                meta = await self._store.head_async(path)
        except NotFound:
            return None
        return Stored(path, meta["size"], meta["last_modified"])

    async def delete(self, *paths: str) -> None:
        """Removes objects; those that are not there are no error."""
        if self._root is None:
            for batch in (paths[at : at + 1_000] for at in range(0, len(paths), 1_000)):
                await self._delete(batch)
        else:  # a folder gives up at the first that is missing
            for path in paths:
                await self._delete([path])

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Everything under a folder's path such as `references`, in no order."""
        stream = self._store.list(_checked(prefix))
        while True:
            async with self._asking("list", prefix, self._seconds):
                batch = await anext(stream, None)
            if batch is None:
                return
            for meta in batch:
                yield Stored(meta["path"], meta["size"], meta["last_modified"])

    async def link(self, path: str, seconds: int) -> str | None:
        """An address that gives the object to whoever has it, for at least `seconds` (at most seven days) from now.

        The same for a while, so that a browser that has the picture does not load it again. None where there are no
        such addresses (a folder, or credentials that end sooner): the server serves the object itself. Whether the
        object is there is not looked at.
        """
        if self._signer is None:
            return None
        lasts = min(2 * seconds, LONGEST_LINK)
        now, key = time.time(), (path, seconds)
        if key in self._links:
            url, made = self._links[key]
            if 0 <= now - made <= lasts - seconds:
                return url
        async with self._asking("link", path, self._seconds):
            url = await obstore.sign_async(self._signer, "GET", path, timedelta(seconds=lasts))
        self._links[key] = url, now
        self._links.move_to_end(key)
        if len(self._links) > _LINKS:
            self._links.popitem(last=False)
        return url

    async def origin(self) -> str | None:
        """Where links lead, such as `https://s3.example.org`: a page that shows pictures must allow it."""
        link = await self.link("check", 60)
        return None if link is None else "://".join(urlsplit(link)[:2])

    async def check(self) -> None:
        """Looks whether the store answers.

        Raises:
            StoreUnavailable
        """
        async with self._asking("list", "check", self._seconds):
            await anext(self._store.list("check"), None)

    async def _write(self, path: str, data: bytes | Path, *, new: bool) -> None:
        attributes = None
        if self._root is None:  # a folder has nowhere to keep them
            kind = CONTENT_TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")
            attributes = {"Content-Type": kind}
            if kind.startswith("image/"):
                attributes["Cache-Control"] = IMMUTABLE
        await self._store.put_async(
            path,
            data,
            mode="create" if new else "overwrite",
            attributes=attributes,
            chunk_size=PART_BYTES,
            max_concurrency=4,
        )
        if self._root is not None:
            await asyncio.to_thread(_sync, self._root, path)

    async def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            _checked(path)
        try:
            async with self._asking("delete", paths[0], self._seconds):
                await self._store.delete_async(list(paths))
        except NotFound:
            pass

    @asynccontextmanager
    async def _asking(self, operation: str, path: str, seconds: float) -> AsyncIterator[None]:
        """A request: bounded in number and time, counted, its failure typed."""
        _checked(path)
        async with self._free:
            with self._meters.counted(operation), _typed():
                async with asyncio.timeout(seconds):
                    yield


class _Meters:
    """What the store counts. Outcomes: `ok`, `missing`, `there` (already), `failed`."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        registry = registry if registry is not None else CollectorRegistry()
        self._requests = Counter(
            "vestige_object_requests",
            "Requests to the object store by what came of them",
            ["operation", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "vestige_object_seconds", "Requests to the object store", ["operation"], registry=registry
        )

    @contextmanager
    def counted(self, operation: str) -> Iterator[None]:
        outcome, began = "failed", time.perf_counter()
        try:
            yield
            outcome = "ok"
        except NotFound:
            outcome = "missing"
            raise
        except FileExistsError:
            outcome = "there"
            raise
        finally:
            self._requests.labels(operation, outcome).inc()
            self._seconds.labels(operation).observe(time.perf_counter() - began)


@contextmanager
def _typed() -> Iterator[None]:
    """Turns what obstore raises into our errors; none of them repeats a path, an address or a key."""
    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError("there is an object already") from error
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _unavailable("has no such bucket: look at objects_url") from error
        raise NotFound("There is no such object.") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _unavailable("refuses the server's credentials") from error
    except TimeoutError as error:
        raise _unavailable("did not answer in time: try again") from error
    except (BaseError, OSError) as error:
        raise _unavailable(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """What is wrong, by what obstore says: it has one class for nearly everything."""
    text = str(error)
    found = _OS_ERROR.search(text)
    number = found[1] if found else str(getattr(error, "errno", None))
    if number in _FULL:
        return "has no disk space left: nothing was saved"
    if number in _READ_ONLY:
        return "takes nothing new: its folder cannot be written to"
    if "NoSuchBucket" in text:
        return "has no such bucket: look at objects_url"
    if "timed out" in text or "TimedOut" in text:
        return "did not answer in time: try again"
    return "cannot be reached: try again in a moment"


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _unavailable(what: str) -> StoreUnavailable:
    return StoreUnavailable(f"The object store {what}.", store="objects")


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError("not a path that this program makes")
    return path


def _sync(root: Path, path: str) -> None:
    """Makes a file that was just put, and the folders on its way, last through a power cut."""
    for place in (root / path, *(root / path).parents):
        try:
            fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # deleted meanwhile
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        if place == root:
            return
