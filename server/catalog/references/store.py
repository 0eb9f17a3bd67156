"""Adding, reading and letting go of references.

    objects    references/<sha256>.png     the picture
               references/<sha256>.json    its size and findings; written last, so what has it is whole
    state      vestige:references:of:<sha256>           who brought it: `tenant/user`, `tenant/-` for the shop
               vestige:references:by:<tenant>:<user>    what they brought

A picture may be known to several people, who each brought it: knowing its hash alone is no right to it.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import redis.asyncio
import structlog
from prometheus_client import CollectorRegistry

from server.catalog.references.clean import Clean, clean
from server.catalog.references.fetch import Fetcher
from server.catalog.references.models import Finding, Reference, check_sha256
from server.catalog.references.quality import findings_of
from server.ending import end
from server.errors import NotFound, RateLimited, StoreUnavailable
from server.ids import check_slug
from server.stores.errors import store_errors
from server.stores.objects import Objects, Stored

__all__ = ["GRACE", "InUse", "References"]

GRACE = timedelta(days=1)
"""How long a picture that no item points to is kept: its item may be about to be made."""
SETTLE_SECONDS = 5.0
COLLECT_SECONDS = 3_600.0
MOST_BYTES = 32 * 1024 * 1024
"""Of a stored picture; noise of the largest size as PNG has less."""

_log = structlog.get_logger(__name__)

InUse = Callable[[Collection[str]], Awaitable[set[str]]]
"""Which of these references an item points to."""

OnGone = Callable[[Collection[str]], Awaitable[None]]
"""Told of pictures that nobody has any more, before they are deleted: whoever else has a copy deletes it too."""

_FOLDER = "references"
_DECODING = 2
_FETCHING = 3  # at once for one person
_SHOP = "-"


class References:
    """The references of all tenants. Every method raises `StoreUnavailable` where a store does not answer."""

    def __init__(
        self,
        objects: Objects,
        state: redis.asyncio.Redis,
        *,
        fetcher: Fetcher | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self._state = state
        self._fetcher = fetcher or Fetcher(registry=registry)
        self._clock = clock
        self._fetching: Counter[str] = Counter()
        self._decoding = asyncio.Semaphore(_DECODING)
        self._listeners: list[OnGone] = []

    def on_gone(self, listener: OnGone) -> None:
        """Has `listener` told of pictures that this process is about to delete; where it fails they are not."""
        self._listeners.append(listener)

    async def add(self, data: bytes, tenant: str, user: str | None) -> Reference:
        """Stores the picture in `data`, re-encoded; the same twice is once. `user` None: it is the shop's.

        Raises:
            TooLarge, InvalidRequest: see `clean`.
        """
        async with self._decoding:
            picture, findings = await asyncio.to_thread(_looked_at, data)
        reference = Reference(picture.sha256, *picture.image.size, len(picture.data), findings)
        await self._note(picture.sha256, tenant, user)  # first: what is stored has somebody who can have it erased
        # put, not add: it is as new as its last upload, and one that was damaged is whole again
        await self._objects.put(path_of(picture.sha256), picture.data)
        await self._objects.put(_sidecar(picture.sha256), _dumped(reference))
        return reference

    async def fetch(self, url: str, tenant: str, user: str | None) -> Reference:
        """Fetches the picture at `url` now and stores it; the address is kept nowhere.

        Raises:
            InvalidReference: see `Fetcher.fetch`.
            TooLarge, InvalidRequest: see `clean`.
            RateLimited: others are being fetched for the same person; slow hosts must not keep everybody waiting.
        """
        owner = _owner(tenant, user)
        if self._fetching[owner] >= _FETCHING:
            raise RateLimited("Pictures are being fetched for you already: wait for them.", retry_after=5)
        self._fetching[owner] += 1
        try:
            data = await self._fetcher.fetch(url)
        finally:
            self._fetching[owner] -= 1
            if not self._fetching[owner]:
                del self._fetching[owner]
        return await self.add(data, tenant, user)

    async def get(self, sha256: str) -> Reference:
        """What is known of a reference.

        Raises:
            NotFound: there is none.
        """
        return _loaded(await self._read(_sidecar(check_sha256(sha256)), 64 * 1024))

    async def content(self, sha256: str) -> bytes:
        """The picture, as PNG.

        Raises:
            NotFound: there is none, or what is there is not what its name says.
        """
        data = await self._read(path_of(sha256), MOST_BYTES)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise NotFound("This reference was damaged in the store: add the picture again.", sha256=sha256)
        return data

    async def may_use(self, sha256: str, tenant: str, user: str | None) -> bool:
        """Whether this person (None: the shop) brought the picture, and so may make items of it and look at it."""
        with store_errors("memory"):
            found: Any = await self._state.sismember(_owners_key(check_sha256(sha256)), _owner(tenant, user))
        return bool(found)

    async def known_in(self, sha256: str, tenant: str) -> bool:
        """Whether anybody of the tenant brought the picture, for those who look after its shop."""
        owners = await self._owners(check_sha256(sha256))
        return any(owner.startswith(f"{tenant}/") for owner in owners)

    async def count(self, tenant: str, user: str | None) -> int:
        """How many pictures a person brought that are still kept."""
        with store_errors("memory"):
            return int(await self._state.scard(_brought_key(tenant, user)))

    async def collect(self, in_use: InUse, *, grace: timedelta = GRACE, settle: float = SETTLE_SECONDS) -> int:
        """Deletes the pictures that no item points to and that were brought longer than `grace` ago; says how many.

        They are taken from those who brought them first: from then on no item can be made of one. Whoever was making
        one in that moment is done `settle` seconds later, and the picture stays.
        """
        before = self._clock() - grace
        stored: dict[str, list[Stored]] = {}
        async for each in self._objects.list(_FOLDER):
            stored.setdefault(_sha256_of(each), []).append(each)
        old = {sha256 for sha256, files in stored.items() if max(file.modified for file in files) < before}
        unused = sorted(old - await in_use(old))
        if not unused:
            return 0
        owners = {sha256: await self._forget_owners(sha256) for sha256 in unused}
        await asyncio.sleep(settle)
        kept = await in_use(unused)
        for sha256 in kept:
            for owner in owners[sha256]:
                await self._note(sha256, *_parsed(owner))
        unwanted = [sha256 for sha256 in unused if sha256 not in kept]
        await self._tell_gone(unwanted)
        gone = 0
        for sha256 in unwanted:
            if not await self._owners(sha256):  # else it was brought again meanwhile
                await self._objects.delete(*(file.path for file in stored[sha256]))
                gone += 1
        return gone

    @asynccontextmanager
    async def collecting(self, in_use: InUse) -> AsyncIterator[None]:
        """Meanwhile, what nobody uses is collected every hour."""
        task = asyncio.create_task(self._collect_often(in_use), name="references-collector")
        try:
            yield
        finally:
            await end([task])

    async def erase(self, tenant: str, user: str, in_use: InUse) -> frozenset[str]:
        """Deletes the pictures a person brought, where nobody else did and no item that is left points to them.

        Returns which were deleted. Their own items must be gone already.
        """
        mine = _brought_key(tenant, user)
        with store_errors("memory"):
            brought: set[str] = await self._state.smembers(mine)  # type: ignore[misc]
        kept = await in_use(brought) if brought else set()
        gone: set[str] = set()
        for sha256 in sorted(brought):
            key = _owners_key(sha256)
            with store_errors("memory"):
                async with self._state.pipeline(transaction=True) as pipe:
                    pipe.srem(key, _owner(tenant, user))
                    pipe.scard(key)
                    others = (await pipe.execute())[1]
            if not others and sha256 not in kept:
                await self._tell_gone([sha256])
                await self._objects.delete(_sidecar(sha256), path_of(sha256))
                gone.add(sha256)
            with store_errors("memory"):
                await self._state.srem(mine, sha256)  # last: an erasure that breaks off goes on
        return frozenset(gone)

    async def brought(self, references: Collection[str]) -> set[str]:
        """Those that somebody brought, of whatever tenant."""
        names = list(references)
        with store_errors("memory"):
            async with self._state.pipeline(transaction=False) as pipe:
                for sha256 in names:
                    pipe.exists(_owners_key(sha256))
                found = await pipe.execute() if names else []
        return {sha256 for sha256, there in zip(names, found, strict=True) if there}

    async def _tell_gone(self, references: Collection[str]) -> None:
        for listener in self._listeners:
            if references:
                await listener(references)

    async def _note(self, sha256: str, tenant: str, user: str | None) -> None:
        with store_errors("memory"):
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.sadd(_owners_key(sha256), _owner(tenant, user))
                pipe.sadd(_brought_key(tenant, user), sha256)
                await pipe.execute()

    async def _owners(self, sha256: str) -> set[str]:
        with store_errors("memory"):
            return await self._state.smembers(_owners_key(sha256))  # type: ignore[misc]

    async def _forget_owners(self, sha256: str) -> set[str]:
        owners = await self._owners(sha256)
        with store_errors("memory"):
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.delete(_owners_key(sha256))
                for owner in owners:
                    pipe.srem(_brought_key(*_parsed(owner)), sha256)
                await pipe.execute()
        return owners

    async def _collect_often(self, in_use: InUse) -> None:
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            try:
                gone = await self.collect(in_use)
            except StoreUnavailable as error:
                _log.warning("references_not_collected", error=error.message)
            else:
                if gone:
                    _log.info("references_collected", pictures=gone)

    async def _read(self, path: str, most: int) -> bytes:
        try:
            return await self._objects.get(path, most=most)
        except NotFound:
            raise NotFound("There is no such reference: add the picture first.") from None


def _looked_at(data: bytes) -> tuple[Clean, tuple[Finding, ...]]:
    picture = clean(data)
    return picture, findings_of(picture.image)


def path_of(sha256: str) -> str:
    """Where the picture is in the object store.

    Raises:
        NotFound: this cannot be the name of one.
    """
    return f"{_FOLDER}/{check_sha256(sha256)}.png"


def _sidecar(sha256: str) -> str:
    return f"{_FOLDER}/{sha256}.json"


def _sha256_of(stored: Stored) -> str:
    return stored.path.rpartition("/")[2].partition(".")[0]


def _owner(tenant: str, user: str | None) -> str:
    return f"{check_slug(tenant, 'tenant')}/{_SHOP if user is None else check_slug(user, 'user_id')}"


def _parsed(owner: str) -> tuple[str, str | None]:
    tenant, user = owner.split("/")
    return tenant, None if user == _SHOP else user


def _owners_key(sha256: str) -> str:
    return f"vestige:references:of:{sha256}"


def _brought_key(tenant: str, user: str | None) -> str:
    return "vestige:references:by:" + _owner(tenant, user).replace("/", ":")


def _dumped(reference: Reference) -> bytes:
    return json.dumps(asdict(reference)).encode()


def _loaded(data: bytes) -> Reference:
    document = json.loads(data)
    findings = tuple(Finding(**finding) for finding in document.pop("findings"))
    return Reference(**document, findings=findings)
