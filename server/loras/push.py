"""LoRAs on their way to the hosts that need them: by content, in pieces, resumed wherever they stopped."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal
from weakref import WeakValueDictionary

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.ending import end
from server.errors import HostUnavailable, NotFound, RenderError, StoreUnavailable, VestigeError
from server.loras.door import Door, Refused, State
from server.loras.files import path_of
from server.loras.names import at_hosts, registered
from server.loras.records import LoraVersion
from server.loras.registry import Registry
from server.stores.objects import Objects

__all__ = ["HostVerdict", "Pusher", "open_pusher"]

HostVerdict = Literal["sound", "absent", "damaged", "unreachable"]

PIECE_BYTES = 32 << 20
_AT_ONCE = 4
"""Files on their way from this process: more would only share its network."""
_TRIES = 6
_SPOILT = 2
"""So often a file may come whole and not be what was announced: then it is not the way that spoils it."""
_WAIT_SECONDS = 0.5
_LONGEST_WAIT = 8.0
_OTHERS_SECONDS = 1_800.0
"""How long to wait for somebody else who sends the same file to the same host."""
_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)

_log = structlog.get_logger("vestige.loras")


class Pusher:
    """Brings versions to hosts. Hosts and workers may ask for the same at once: it goes out once."""

    def __init__(
        self,
        doors: Mapping[str, Door],
        objects: Objects,
        registry: Registry,
        meters: CollectorRegistry | None = None,
        *,
        piece_bytes: int = PIECE_BYTES,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._doors = doors
        self._objects = objects
        self._registry = registry
        self._piece_bytes = piece_bytes
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._busy: WeakValueDictionary[tuple[str, LoraVersion], asyncio.Lock] = WeakValueDictionary()
        self._following: set[asyncio.Task[None]] = set()
        meters = meters if meters is not None else CollectorRegistry()
        self._pushes = Counter(
            "vestige_lora_pushes", "LoRAs sent to hosts, by how that ended.", ("host", "outcome"), registry=meters
        )
        self._bytes = Counter("vestige_lora_push_bytes", "Bytes of LoRAs sent to hosts.", ("host",), registry=meters)
        self._seconds = Histogram(
            "vestige_lora_push_seconds", "Time until a LoRA was whole on a host.", registry=meters, buckets=_BUCKETS
        )

    async def ensure(self, host: str, version: LoraVersion) -> None:
        """Returns once the version, named as hosts name it, is on that host; sends it where it is not.

        Raises:
            NotFound: the settings have no such host.
            HostUnavailable: it cannot be reached, or broke off too often; what came there is kept.
            RenderError: its pack refuses the file, such as for want of room or because another file has its name.
            StoreUnavailable: the object store does not give the file.
        """
        door, key = self._door(host), (host, version)
        async with self._busy.setdefault(key, asyncio.Lock()):  # it is there as long as anybody has it or waits for it
            state = await door.look(version)
            if not state.whole:
                async with self._free:
                    await self._push(door, version, state)

    async def follow(self, tenant: str, version: LoraVersion) -> None:
        """Tells hosts that have it which version is live now, and whether it is pinned; in the background."""
        task = asyncio.create_task(self._follow(at_hosts(tenant, version)), name=f"lora-live-{version.name}")
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def verify(self, tenant: str, version: LoraVersion) -> Mapping[str, HostVerdict]:
        """What the version's file hashes to on each host now, by the host's name."""
        named = at_hosts(tenant, version)
        found = await asyncio.gather(*(self._verified(door, named) for door in self._doors.values()))
        return dict(zip(self._doors, found, strict=True))

    async def aclose(self) -> None:
        await end(list(self._following))

    def _door(self, host: str) -> Door:
        door = self._doors.get(host)
        if door is None:
            raise NotFound(f"The settings have no ComfyUI host {host!r}.", field="host")
        return door

    async def _push(self, door: Door, version: LoraVersion, state: State) -> None:
        began, outcome = time.monotonic(), "failed"
        try:
            await self._sent(door, version, state)
            outcome = "sent"
        finally:
            self._pushes.labels(str(door), outcome).inc()
        seconds = time.monotonic() - began
        self._seconds.observe(seconds)
        _log.info("lora_sent", host=str(door), name=version.name, version=version.version, seconds=round(seconds, 1))
        await self._settled(door, version)

    async def _sent(self, door: Door, version: LoraVersion, state: State) -> None:
        """Goes on where the host says, however often the way there breaks, until it says that the file is whole."""
        total, failures, spoilt, until = await self._size(version), 0, 0, time.monotonic() + _OTHERS_SECONDS
        while not state.whole:
            before, wait = state.received, 0.0
            try:
                state = await self._step(door, version, state, total)
            except HostUnavailable as error:
                if failures + 1 == _TRIES:
                    raise
                _log.info("lora_broke_off", host=str(door), name=version.name, received=before, why=error.message)
                wait = min(_LONGEST_WAIT, self._wait_seconds * 2**failures)
                state = await self._looked(door, version, state)
            except Refused as error:
                code = error.details.get("host_code")
                spoilt += code == "wrong_content"
                if code == "being_received" and time.monotonic() < until:
                    wait, failures = self._wait_seconds, -1  # somebody else's progress is as good as ours
                elif code not in ("wrong_start", "wrong_content") or spoilt == _SPOILT or failures + 1 == _TRIES:
                    raise
                state = await self._looked(door, version, state)
            failures = 0 if state.received > before else failures + 1
            if failures == _TRIES:
                raise RenderError(f"{door} takes no more of {version.name} v{version.version}: look at its log.")
            await asyncio.sleep(wait)

    async def _step(self, door: Door, version: LoraVersion, state: State, total: int) -> State:
        start = state.received
        if start > total:
            return await door.drop(version)
        if start == total:
            return await door.finish(version, total)
        stop = min(start + self._piece_bytes, total)
        pieces = _Pieces(self._objects.read(path_of(version.sha256), start, stop), self._bytes.labels(str(door)))
        try:
            return await door.send(version, pieces, start, stop, total)
        except HostUnavailable:
            if pieces.error is not None:  # the way broke at our end of it
                raise pieces.error from None
            raise

    async def _looked(self, door: Door, version: LoraVersion, known: State) -> State:
        try:
            return await door.look(version)
        except HostUnavailable:
            return known  # the next step says so again, and counts

    async def _size(self, version: LoraVersion) -> int:
        stored = await self._objects.head(path_of(version.sha256))
        if stored is None:
            raise StoreUnavailable(
                f"The object store lacks the file of {version.name} v{version.version}: add it again.", store="objects"
            )
        return stored.size

    async def _settled(self, door: Door, version: LoraVersion) -> None:
        """Has the editor there wear the live version; where its character is hot, pins it in place of the one before.

        None of it is worth failing a render.
        """
        tenant, name = registered(version.name)
        try:
            live = await self._registry.live(tenant, name)
            if live is None or live.version != version.version:
                return
            await door.make_live(version)
            keep = {version.version} if name in await self._registry.hot(tenant) else set()
            pinned = await door.pinned(version.name)
            for number in pinned ^ keep:
                await door.pin(replace(version, version=number), number in keep)
        except (RenderError, StoreUnavailable) as error:
            _log.warning("lora_not_settled", host=str(door), name=version.name, why=error.message)

    async def _follow(self, version: LoraVersion) -> None:
        for door in self._doors.values():
            try:
                if (await door.look(version)).whole:
                    await self._settled(door, version)
            except RenderError as error:
                _log.info("lora_not_followed", host=str(door), name=version.name, why=error.message)

    async def _verified(self, door: Door, version: LoraVersion) -> HostVerdict:
        try:
            found = await door.hashed_again(version)
        except RenderError:
            return "unreachable"
        if found is None:
            return "absent"
        return "sound" if found == version.sha256 else "damaged"


class _Pieces:
    """Bytes on their way out, counted; `error` is what the store said where they ended too soon."""

    def __init__(self, pieces: AsyncIterator[bytes], counter: Counter) -> None:
        self.error: VestigeError | None = None
        self._pieces = pieces
        self._counter = counter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
                self._counter.inc(len(piece))
        except VestigeError as error:
            self.error = error
            raise


@asynccontextmanager
async def open_pusher(
    hosts: Iterable[tuple[str, str, str | None]],
    objects: Objects,
    registry: Registry,
    meters: CollectorRegistry | None = None,
) -> AsyncIterator[Pusher]:
    """A pusher over an HTTP session of its own, which follows the moves of `registry`.

    `hosts`: name, address, and the token of the pack there.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        doors = {name: Door(session, name, url, token) for name, url, token in hosts}
        pusher = Pusher(doors, objects, registry, meters)
        registry.on_move(pusher.follow)
        try:
            yield pusher
        finally:
            await pusher.aclose()
