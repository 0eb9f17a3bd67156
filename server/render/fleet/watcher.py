"""Looks at the hosts, with nobody in charge: whoever comes first looks, and all read what was seen."""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping

import structlog

from server.errors import StoreUnavailable
from server.frames import frames, kinds
from server.render.fleet.complete import contents
from server.render.fleet.look import LOOK_TIMEOUT, look_at, read_offer
from server.render.fleet.meters import FleetMeters
from server.render.fleet.presets import differing, right_ones
from server.render.fleet.state import FleetState, HostRecord, Seen, Snapshot
from server.render.fleet.types import HostState
from server.render.graphs.key import Hashes
from server.render.graphs.offer import Offer
from server.render.host import ComfyHost

__all__ = ["LOOK_SECONDS", "STALE_SECONDS", "Watcher", "usable"]

LOOK_SECONDS = 5.0
OFFER_SECONDS = 30.0
"""How often a host is asked for its files: what an operator copied there is found so soon."""
FIRST_LOOK_SECONDS = 3 * LOOK_TIMEOUT
REFRESH_SECONDS = 2.0
STALE_SECONDS = 60.0
"""A host that nobody saw for so long is not used."""

_log = structlog.get_logger("vestige.fleet")


def usable(record: HostRecord, now: int) -> bool:
    """Whether new work goes there. After a rest it has to be seen well first."""
    return _why(record, now) is None


def _why(record: HostRecord, now: int) -> str | None:
    """Why no new work goes to a host; None where it does."""
    if record.drained:
        return "It is drained: nothing new goes there until that is taken back."
    if record.seen is None:
        return "Nobody has looked at it yet."
    if record.bench_until > now:
        return (
            f"It rests for {(record.bench_until - now) / 1000:.0f} s after a failure. {record.bench_why or ''}".strip()
        )
    if not record.seen.healthy:
        return record.seen.why
    if now - record.seen_at > STALE_SECONDS * 1000:
        return "Nobody has looked at it for a while: does a worker run?"
    return "It is looked at before it is used again." if record.seen_at < record.bench_until else None


class Watcher:
    """`look` now and then; the rest reads what was seen."""

    def __init__(self, state: FleetState, hosts: Mapping[str, ComfyHost], meters: FleetMeters) -> None:
        self._state = state
        self._hosts = hosts
        self._meters = meters
        self._names = tuple(hosts)
        self._offers: dict[str, tuple[str, Offer]] = {}
        self._contents: tuple[str, dict[tuple[str, str], str | None]] | None = None
        self._compared = ""
        self._differing: set[tuple[str, str]] = set()
        self.generation = ""
        """Changes whenever what hosts have to offer does, their packs included."""

    async def snapshot(self) -> Snapshot:
        """How everything stands; hosts that nobody ever looked at are looked at first."""
        snapshot = await self._state.snapshot(self._names)
        if not _unseen(snapshot):
            return snapshot
        await self.look()
        waits = time.monotonic() + FIRST_LOOK_SECONDS  # another may be looking just now
        while _unseen(snapshot := await self._state.snapshot(self._names)) and time.monotonic() < waits:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # whoever looks may be another process
        return snapshot

    async def look(self, names: Iterable[str] | None = None, *, force: bool = False) -> None:
        """Looks at those hosts that nobody looked at lately; with `force` at all of `names`, at those that rest too,
        and at what they have to offer."""
        snapshot = await self._state.snapshot(self._names)
        await asyncio.gather(*(self._look(name, snapshot, force) for name in names or self._names))
        after = await self._state.snapshot(self._names)
        for name, record in after.hosts.items():
            self._meters.state(name, usable=usable(record, after.now), claims=after.claims(name))
        await self._compare(await self.offers(after))

    async def refresh(self) -> None:
        """Looks at what every host has to offer, now rather than in half a minute; at most every few seconds."""
        if await self._state.may_look("all:refresh", REFRESH_SECONDS):
            await self.look(force=True)

    async def watch(self) -> None:
        """Looks for ever. A store that is gone is waited for."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("hosts cannot be watched", reason=error.message)
            except Exception as error:  # whatever it is, the hosts must be watched on
                _log.error("hosts cannot be watched", error=kinds(error), frames=frames(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def offers(self, snapshot: Snapshot) -> dict[str, Offer]:
        """What every host has to offer that was ever seen well, whether it is up or not."""
        found: dict[str, Offer] = {}
        for name, record in snapshot.hosts.items():
            digest = record.seen.offer if record.seen else None
            if digest is None:
                continue
            held = self._offers.get(name)
            if held is None or held[0] != digest:
                told = await self._state.offer(name, digest)
                if told is not None:
                    held = self._offers[name] = (digest, read_offer(name, told))
            if held is None:
                continue
            found[name] = held[1]
        known = sorted((name, self._offers[name][0]) for name in found)
        self.generation = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
        return found

    async def files(self, offers: Mapping[str, Offer]) -> Hashes:
        """`(folder, name)` → sha256 over all hosts; remembered until a host's offer changes."""
        if self._contents is None or self._contents[0] != self.generation:
            told, settled = [offer.hashes for offer in offers.values()], await self._state.contents()
            found, new = contents(told, settled)
            if new:
                found, _ = contents(told, await self._state.settle_contents(new, settled))
            self._contents = (self.generation, found)
        return self._contents[1]

    async def states(self, files: Hashes) -> list[HostState]:
        """How every host does, for people."""
        snapshot = await self._state.snapshot(self._names)
        offers = await self.offers(snapshot)
        presets = right_ones(await self._state.presets(), offers.values())
        return [self._shown(name, snapshot, offers.get(name), files, presets) for name in self._names]

    async def _look(self, name: str, snapshot: Snapshot, force: bool) -> None:
        record = snapshot.hosts[name]
        resting = record.bench_until > snapshot.now
        if not force and (resting or not await self._state.may_look(name, LOOK_SECONDS * 0.9)):
            return
        offer = force or await self._state.may_look(f"{name}:offer", OFFER_SECONDS)
        found = await look_at(self._hosts[name], record, snapshot.claims(name), offer=offer)
        if found.offer is not None and found.seen.offer is not None:
            before = record.seen.offer if record.seen else None
            await self._state.put_offer(name, found.seen.offer, found.offer, before)
        if found.restarted:
            await self._state.forget_uploads(name)
        swapped = found.seen.strangers > 0 and not snapshot.claims(name)  # theirs may have loaded anything
        await self._state.seen(name, found.seen, snapshot.now, forget=found.restarted or swapped)
        if found.seen.healthy and resting:
            await self._state.note(name, {"bench_until": ""})
        _tell(name, record.seen, found.seen)

    async def _compare(self, offers: Mapping[str, Offer]) -> None:
        """Says once of each preset that differs from host to host."""
        if self._compared == self.generation:
            return
        right, self._compared = right_ones(await self._state.presets(), offers.values()), self.generation
        found = {(name, spec) for name, offer in offers.items() for spec in differing(offer, right)}
        for name, spec in sorted(found - self._differing):
            _log.warning("preset differs from the other hosts'", host=name, preset=spec)
        self._differing = found

    def _shown(
        self, name: str, snapshot: Snapshot, offer: Offer | None, files: Hashes, presets: Mapping[str, str]
    ) -> HostState:
        record = snapshot.hosts[name]
        seen = record.seen or Seen(False)
        why = _why(record, snapshot.now)
        others = (*_other_contents(offer, files), *_other_presets(offer, presets)) if offer else ()
        return HostState(
            name=name,
            healthy=seen.healthy,
            usable=why is None,
            why=why,
            version=seen.version,
            pack=seen.pack,
            opened=seen.opened,
            devices=seen.devices,
            warm=tuple(sorted(record.tail)),
            queue=seen.queue,
            strangers=seen.strangers,
            claims=snapshot.claims(name),
            drained=record.drained,
            benched_until=record.bench_until / 1000 if record.bench_until > snapshot.now else None,
            failures=record.failures,
            seconds=None if record.warm_ms is None else record.warm_ms / 1000,
            swap_seconds=None if record.swap_ms is None else record.swap_ms / 1000,
            problems=(*seen.problems, *others),
            seen=record.seen_at / 1000 if record.seen_at else None,
        )


def _unseen(snapshot: Snapshot) -> bool:
    return any(record.seen is None for record in snapshot.hosts.values())


def _other_contents(offer: Offer, files: Hashes) -> tuple[str, ...]:
    """Files that are others under the same name than on the other hosts."""
    return tuple(
        f"Its {folder}/{name} is another file than the other hosts': copy theirs here."
        for (folder, name), sha256 in offer.hashes.items()
        if sha256 is not None and files.get((folder, name.replace("\\", "/"))) not in (None, sha256)
    )


def _other_presets(offer: Offer, presets: Mapping[str, str]) -> tuple[str, ...]:
    """Presets that are others under the same name and version than pictures are made with."""
    return tuple(
        f"Its preset {spec} is another than the other hosts' under that name, and pictures are made with theirs: save "
        "it there as a new version."
        for spec in differing(offer, presets)
    )


def _tell(name: str, before: Seen | None, now: Seen) -> None:
    if before is None or before.healthy is not now.healthy:
        tell = _log.info if now.healthy else _log.warning
        tell("host seen", host=name, healthy=now.healthy, version=now.version, pack=now.pack, why=now.why)
