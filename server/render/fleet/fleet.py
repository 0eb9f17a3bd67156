"""The door to the hosts: what they can run, which of them renders next, and what became of it."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import median
from weakref import WeakValueDictionary

import structlog

from server.ending import end
from server.errors import GraphRejected, HostUnavailable, NotFound, RenderError, StoreUnavailable, VestigeError
from server.render.fleet.complete import checked_pins, named_files, template_for_fleet, with_preset
from server.render.fleet.fitting import fits, needs_of, refusal
from server.render.fleet.meters import FleetMeters
from server.render.fleet.outcome import Outcomes
from server.render.fleet.schedule import Place, Rules, Wanted, choose, swap_share
from server.render.fleet.state import LEASE_SECONDS, FleetState, Lease, Snapshot
from server.render.fleet.types import Claim, HostState, Needs, Pack, Verdict
from server.render.fleet.watcher import Watcher, usable
from server.render.graphs.key import Hashes
from server.render.graphs.localise import localise
from server.render.graphs.nodes import Folder, Graph
from server.render.graphs.offer import Offer
from server.render.graphs.request import LoraVersion, PictureRequest
from server.render.host import ComfyHost
from server.render.types import Graph as ApiGraph

__all__ = ["Fleet", "FleetOptions"]

DEPTH = 2
"""Renders of ours at one host: the next one is there when the last one ends, so that it never stands idle."""
LEAST_SWAP = 0.25
"""Of a render: so much a swap counts at least, so that what is warm goes first where swaps were measured to be free."""
TRIES = 8
KNOWN_SECONDS = 1.0
"""How long what is known of the hosts is taken from memory, where it need not be of this moment."""
MAX_FITS = 20_000

_log = structlog.get_logger("vestige.fleet")

Picture = Callable[[], Awaitable[bytes]]


class FleetOptions:
    """`render_seconds` and `swap_seconds`: what a render and another checkpoint take until that was measured."""

    def __init__(self, render_seconds: float = 8.0, swap_seconds: float = 20.0, rules: Rules | None = None) -> None:
        self.render_seconds = render_seconds
        self.swap_seconds = swap_seconds
        self.rules = rules or Rules()


class Fleet:
    """All hosts of the settings, by name. What is known of them is in Redis, so that any number of servers and workers
    choose as one. Every method but `host` raises `StoreUnavailable` where Redis does not answer."""

    def __init__(
        self,
        state: FleetState,
        hosts: Mapping[str, ComfyHost],
        meters: FleetMeters,
        options: FleetOptions | None = None,
    ) -> None:
        self._state = state
        self._hosts = hosts
        self._options = options or FleetOptions()
        self._watcher = Watcher(state, hosts, meters)
        self._outcomes = Outcomes(state, hosts, meters)
        self._known: tuple[float, dict[str, Offer], Snapshot | None] = (0.0, {}, None)
        self._fit: tuple[str, dict[object, bool]] = ("", {})
        self._uploading: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._hosts)

    def host(self, name: str) -> ComfyHost:
        """Raises `NotFound` where the settings have no such host (any more)."""
        found = self._hosts.get(name)
        if found is None:
            raise NotFound(f"The settings have no ComfyUI host {name!r}.", field="name")
        return found

    # what hosts have

    async def complete(self, request: PictureRequest) -> PictureRequest:
        """The request with everything decided that a host would decide for itself: the template, the preset's values,
        the IP-Adapter and encoder, the LoRA's hash. A complete request stays as it is.

        Raises:
            InvalidRequest: the preset was tuned on other files, or several files could be meant.
            RenderError: no host can wear an item, or none has the preset.
            HostUnavailable: no host was ever seen, or the preset is not known yet and no host answers.
        """
        if request.template is not None:
            return request
        if not self._hosts:
            raise HostUnavailable("There is no ComfyUI host in the settings: add one under comfy_hosts.")
        offers, snapshot = await self._offers()
        if not offers:
            raise HostUnavailable("None of the ComfyUI hosts was ever reached: are they running?")
        files = await self._watcher.files(offers)
        packs: list[Pack] = [record.seen.pack for record in snapshot.hosts.values() if record.seen]
        listed = {"ipadapter": _all(offers, "ipadapter"), "clip_vision": _all(offers, "clip_vision")}
        request = named_files(request, listed)
        if request.preset is not None:
            preset = await self._preset(request.preset)
            families = {name: family for offer in offers.values() for name, family in offer.families.items()}
            checked_pins(request, preset, files, families)
            request = with_preset(request, preset)
        if request.lora is not None and request.lora.sha256 is None:
            known = files.get(("characters", str(request.lora)))
            request = replace(request, lora=LoraVersion(request.lora.name, request.lora.version, known))
        return replace(request, template=template_for_fleet(request, packs))

    async def files(self) -> Hashes:
        """`(folder, name)` → sha256 over all hosts, None where it is not computed yet."""
        offers, _ = await self._offers()
        return await self._watcher.files(offers)

    async def generation(self) -> str:
        """Changes whenever `complete` or `files` could answer otherwise; at most a second old."""
        await self._offers()
        return self._watcher.generation

    async def needs(self, graph: Graph, *, urgent: bool = True, since: float | None = None) -> Needs:
        """What a graph needs of a host. `since`: when it began to wait, now where None.

        Raises:
            GraphRejected: hosts are known, and none of them could run it; the message names host and model.
        """
        since = time.time() if since is None else since
        offers, snapshot = await self._offers()
        files = await self._watcher.files(offers)
        needs = needs_of(graph, files, urgent=urgent, since=since)
        if offers and not self._able(graph, needs, offers, snapshot):
            await self._watcher.refresh()  # somebody may have copied the file a moment ago
            offers, snapshot = await self._offers(0)
            files = await self._watcher.files(offers)
            needs = needs_of(graph, files, urgent=urgent, since=since)
            if not self._able(graph, needs, offers, snapshot):
                raise refusal(graph, list(offers.values()), files)
        return needs

    async def localise(self, graph: Graph, name: str, picture: Picture | None = None) -> ApiGraph:
        """The graph as that host is sent it, its reference uploaded there: once, however many renders show it.

        Args:
            picture: gives the reference's bytes, a PNG with the sha256 of the graph; called where the host lacks it.

        Raises:
            GraphRejected: the host lacks a file or a node.
            HostUnavailable, RenderError: the upload failed.
        """
        host = self.host(name)
        try:
            local = await self._localised(graph, name)
        except GraphRejected:
            await self._watcher.look([name], force=True)
            await self._offers(0)
            local = await self._localised(graph, name)
        for file in graph.files():
            if file.folder == "references":
                await self._upload(host, name, file.name, picture)
        return local

    # who renders what

    async def choose(self, line: Sequence[Needs]) -> tuple[int, Claim] | None:
        """Which of the line goes to which host now, in one step over all workers; None where all do better to wait.

        The place is ours for ten seconds: `renew` it, or stay in `holding`.
        """
        for attempt in range(TRIES):
            offers, snapshot = await self._offers(0)
            places = self._places(snapshot)
            wanted = self._wanted(line, offers, snapshot, places)
            pick = choose(list(places.values()), wanted, snapshot.passed, self._options.rules)
            if pick is None:
                return None
            chosen, swap = line[pick.at], swap_share(places[pick.place].tail, wanted[pick.at].models)
            passed = snapshot.passed + 1 if chosen.urgent and not all(needs.urgent for needs in line) else 0
            slot, lease = _slot(), Lease(pick.place, frozenset(chosen.models))
            if await self._state.claim(slot, lease, version=snapshot.version, passed=passed):
                return pick.at, self._claim(slot, pick.place, snapshot, swap)
            await asyncio.sleep(random.random() * 0.01 * (attempt + 1))  # noqa: S311 - not a secret
        return None

    async def stuck(self, line: Sequence[Needs]) -> list[bool]:
        """Which of these no host that takes work has all for. Where none has room, they merely wait."""
        offers, snapshot = await self._offers()
        places = self._places(snapshot)
        if all(place.free <= 0 for place in places.values()):
            return [False] * len(line)
        return [not wanted.fit for wanted in self._wanted(line, offers, snapshot, places)]

    async def rejoin(self, name: str, needs: Needs) -> Claim | None:
        """A place on the host where the render is already, busy or benched as it may be; None where the settings do not
        have it any more."""
        if name not in self._hosts:
            return None
        snapshot = await self._watcher.snapshot()
        slot, lease = _slot(), Lease(name, frozenset(needs.models))
        await self._state.claim(slot, lease, version=None, passed=snapshot.passed)
        return self._claim(slot, name, snapshot, swap_share(snapshot.hosts[name].tail, lease.models))

    async def renew(self, claim: Claim) -> bool:
        """Another ten seconds; False where the place was given away."""
        return await self._state.renew(claim.slot)

    @asynccontextmanager
    async def holding(self, claim: Claim) -> AsyncIterator[Claim]:
        """Renews the claim until left. It is not given back: `release` says how it went."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                try:
                    await self.renew(claim)
                except StoreUnavailable as error:
                    _log.warning("a lease was not renewed", host=claim.host, reason=error.message)

        renewing = asyncio.create_task(renew(), name=f"lease-{claim.host}")
        try:
            yield claim
        finally:
            await end([renewing])

    async def release(
        self,
        claim: Claim,
        *,
        seconds: float | None = None,
        prompt_id: str | None = None,
        error: VestigeError | None = None,
    ) -> Verdict:
        """Gives the place back and learns from how it went.

        Args:
            prompt_id: under which it went well; `seconds`: what it took there, from its start (`Rendered.seconds`).
            error: why it did not. With neither it was never sent, or cancelled.
        """
        return await self._outcomes.released(claim, seconds, prompt_id, error)

    async def available(self) -> bool:
        """Whether any host takes new work; at most a second old."""
        _, snapshot = await self._offers()
        return any(usable(record, snapshot.now) for record in snapshot.hosts.values())

    # people

    async def look(self) -> list[HostState]:
        """How every host does."""
        offers, _ = await self._offers(0)
        return await self._watcher.states(await self._watcher.files(offers))

    async def checkpoints(self) -> list[str]:
        """What the hosts list as checkpoints, all of them together."""
        offers, _ = await self._offers()
        return _all(offers, "checkpoints")

    async def drain(self, name: str, on: bool) -> HostState:
        """With `on` the host finishes what it has and gets nothing new; without, it is used again."""
        self.host(name)
        await self._state.note(name, {"drained": "1" if on else ""})
        _log.info("host drained" if on else "host used again", host=name)
        return await self._one(name)

    async def probe(self, name: str) -> HostState:
        """Looks at a host now, at its files too; where it is well its rest is over."""
        self.host(name)
        await self._watcher.look([name], force=True)
        return await self._one(name)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at the hosts until left. Any number of processes may; each host is looked at once in five seconds."""
        if not self._hosts:
            yield
            return
        watching = asyncio.create_task(self._watcher.watch(), name="fleet-watch")
        try:
            yield
        finally:
            await end([watching])

    async def _one(self, name: str) -> HostState:
        return next(state for state in await self.look() if state.name == name)

    async def _offers(self, age: float = KNOWN_SECONDS) -> tuple[dict[str, Offer], Snapshot]:
        """What hosts have and how they do, as it was at most `age` seconds ago."""
        at, offers, snapshot = self._known
        if snapshot is None or time.monotonic() - at > age:
            at, snapshot = time.monotonic(), await self._watcher.snapshot()
            offers = await self._watcher.offers(snapshot)
            self._known = (at, offers, snapshot)
        return offers, snapshot

    async def _localised(self, graph: Graph, name: str) -> ApiGraph:
        offers, _ = await self._offers()
        if name not in offers:
            raise RenderError(f"Nobody has seen {name} yet: is it running?")
        return localise(graph, offers[name], await self._watcher.files(offers))

    async def _upload(self, host: ComfyHost, name: str, sha256: str, picture: Picture | None) -> None:
        known = f"vestige/{sha256}.png"
        async with self._uploading.setdefault((name, sha256), asyncio.Lock()):
            if not await self._state.uploaded(name, known):
                if not await host.holds(known):
                    if picture is None:
                        raise RenderError(f"{name} lacks the reference {sha256[:12]}, and nobody gave it.")
                    if await host.upload(await picture(), "png") != known:
                        raise RenderError(f"The reference {sha256[:12]} is not what its hash says: it is damaged.")
                await self._state.note_upload(name, known)

    async def _preset(self, spec: str) -> Mapping[str, object]:
        known = await self._state.preset(spec)
        if known is not None:
            return known
        snapshot = await self._watcher.snapshot()
        opened = [name for name, record in snapshot.hosts.items() if record.seen and record.seen.opened]
        last: RenderError = RenderError(
            f"The preset {spec} is known to no host: presets live in Vestige's node pack, whose token has to be set."
        )
        for name in opened:
            try:
                return await self._state.keep_preset(spec, await self._hosts[name].pack.preset(spec))
            except RenderError as error:
                last = error
        raise last

    def _able(self, graph: Graph, needs: Needs, offers: Mapping[str, Offer], snapshot: Snapshot) -> bool:
        return any(fits(needs, offer, pushes=_opened(snapshot, name), graph=graph) for name, offer in offers.items())

    def _places(self, snapshot: Snapshot) -> dict[str, Place]:
        """The hosts that may be given work. One that was not measured yet is taken to be as the others are."""
        records = snapshot.hosts.values()
        render = _usual([record.warm_ms for record in records], self._options.render_seconds)
        swap = _usual([record.swap_ms for record in records], self._options.swap_seconds)
        places: dict[str, Place] = {}
        for name, record in snapshot.hosts.items():
            if not usable(record, snapshot.now):
                continue
            claims, strangers = snapshot.claims(name), record.seen.strangers if record.seen else 0
            takes = render if record.warm_ms is None else record.warm_ms / 1000
            longer = swap if record.swap_ms is None else record.swap_ms / 1000
            places[name] = Place(
                name, DEPTH - claims, claims + strangers, record.tail, takes, max(longer, LEAST_SWAP * takes)
            )
        return places

    def _wanted(
        self, line: Sequence[Needs], offers: Mapping[str, Offer], snapshot: Snapshot, places: Mapping[str, Place]
    ) -> list[Wanted]:
        """The line as the choice sees it. Most of it is alike: what it needs is held against the hosts once."""
        known: dict[object, frozenset[str]] = {}
        wanted: list[Wanted] = []
        for needs in line:
            alike = (needs.classes, needs.files)
            fit = known.get(alike)
            if fit is None:
                opened = {name: _opened(snapshot, name) for name in places if name in offers}
                fit = frozenset(name for name in opened if self._fits(needs, offers[name], opened[name]))
                known[alike] = fit
            usual, waited = fit.difference(needs.avoid) or fit, max(0.0, snapshot.now / 1000 - needs.since)
            wanted.append(Wanted(frozenset(needs.models), usual, needs.urgent, waited))
        return wanted

    def _fits(self, needs: Needs, offer: Offer, pushes: bool) -> bool:
        """Remembered until a host's offer changes: a long line is looked at again and again."""
        if self._fit[0] != self._watcher.generation or len(self._fit[1]) > MAX_FITS:
            self._fit = (self._watcher.generation, {})
        alike = (needs.classes, needs.files, offer.host, pushes)
        known = self._fit[1].get(alike)
        if known is None:
            known = self._fit[1][alike] = fits(needs, offer, pushes=pushes)
        return known

    def _claim(self, slot: str, name: str, snapshot: Snapshot, swap: float) -> Claim:
        return Claim(name, slot, keyed=_opened(snapshot, name), swap=swap)


def _opened(snapshot: Snapshot, name: str) -> bool:
    seen = snapshot.hosts[name].seen
    return seen is not None and seen.opened


def _usual(measured: Sequence[float | None], otherwise: float) -> float:
    """The middle of what was measured in milliseconds, in seconds."""
    known = [value for value in measured if value is not None]
    return median(known) / 1000 if known else otherwise


def _slot() -> str:
    return secrets.token_hex(8)


def _all(offers: Mapping[str, Offer], folder: Folder) -> list[str]:
    return sorted({name for offer in offers.values() for name in offer.listed(folder)})
