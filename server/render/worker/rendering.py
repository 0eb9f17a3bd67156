"""One render on one host: submitted or found again, watched, fetched, made clean and stored with its record."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from server.catalog.references import References
from server.errors import GraphRejected, HostUnavailable, NotFound, RenderError
from server.loras.push import Pusher
from server.loras.records import LoraVersion
from server.render.fleet.fleet import Fleet
from server.render.fleet.types import Claim
from server.render.forgetting.things import place
from server.render.graphs.localise import by_catalog
from server.render.graphs.nodes import Graph
from server.render.host import MAX_PICTURE, ComfyHost
from server.render.jobs.types import Order
from server.render.previews import places
from server.render.previews.shelf import MAX_RECORD, Shelf
from server.render.run import run
from server.render.types import Frame, PictureRef, Progress, Rendered
from server.render.types import Graph as ApiGraph
from server.render.worker.frames import Frames
from server.render.worker.held import Held
from server.render.worker.pictures import Damaged, Picture, clean, measured
from server.stores.objects import Objects

__all__ = ["STALLED_SECONDS", "Renderer", "Result"]

STALLED_SECONDS = 600.0
"""A render that does not move for so long hangs: its host is told to drop it, and it is tried again."""
FETCHES = 4
FETCH_SECONDS = 0.3
DROPS = 20
DROP_SECONDS = 0.1

Reference = Callable[[], Awaitable[bytes]]

_log = structlog.get_logger(__name__)


class Result:
    """A stored picture: the preview as JSON for Redis, and how long the host took (seconds, None where not known)."""

    def __init__(self, preview: Mapping[str, Any], seconds: float | None) -> None:
        self.preview = json.dumps(preview, ensure_ascii=False)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who made a picture, under which prompt id, where it is there, and how long it took (seconds)."""

    host: str
    prompt_id: str
    picture: PictureRef
    seconds: float | None


class Renderer:
    """Renders jobs on hosts that were chosen for them."""

    def __init__(
        self,
        fleet: Fleet,
        objects: Objects,
        references: References,
        pusher: Pusher,
        shelf: Shelf,
        *,
        stalled: float = STALLED_SECONDS,
    ) -> None:
        self._fleet = fleet
        self._pusher = pusher
        self._objects = objects
        self._references = references
        self._shelf = shelf
        self._stalled = stalled

    async def stored(self, held: Held) -> Result | None:
        """What a worker stored that died before it could say so; or a picture of the very same content that another
        tenant has, stored anew: what that was made for, by whom and when is nobody's here."""
        folder = places.folder(held.key, held.id)
        try:
            record = json.loads(await self._objects.get(places.record(folder), most=MAX_RECORD))
        except NotFound:
            return await self._taken_over(held)
        if await self._objects.head(places.picture(folder)) is None:
            return None
        return Result(record["preview"], None)

    async def _taken_over(self, held: Held) -> Result | None:
        order = held.order
        there = await self._shelf.elsewhere(order.tenant, order.key)
        if there is None:
            return None
        try:
            data = await self._objects.get(places.picture(there.folder), most=MAX_PICTURE)
            made = await asyncio.to_thread(measured, data)
        except (NotFound, Damaged):  # thrown away just now, or what the disk has of it is no picture
            return None
        return await self._store(held, made, by_catalog(order.graph))

    async def render(self, held: Held, claim: Claim, frames: Frames) -> Result:
        """The picture, stored.

        Raises:
            GraphRejected, HostUnavailable, RenderError: see `server.render.run`.
            NotFound: the item's picture is not there any more.
            StoreUnavailable: the picture cannot be stored now; the host still has it.
        """
        order, host = held.order, self._fleet.host(claim.host)
        reference = order.reference
        picture = None if reference is None else (lambda: self._references.content(reference))
        graph = await self._localised(order.graph, claim, picture)
        rendered = await self._run(held, claim, host, _sent(graph, order, claim), frames)
        ref = _saved(host, rendered, order.graph.output)
        try:
            made = await self._fetch(host, ref)
        except HostUnavailable:
            raise
        except RenderError:
            await _made_anew(host, order.key if claim.keyed else None)
            raise
        return await self._store(held, made, graph, _Origin(claim.host, rendered.prompt_id, ref, rendered.seconds))

    async def _store(self, held: Held, made: Picture, graph: ApiGraph, origin: _Origin | None = None) -> Result:
        """The picture, then its record, without which it does not count. `origin` None: no host made it for this."""
        folder = places.folder(held.key, held.id)
        record = _record(held, graph, origin, made)
        await self._objects.put(places.picture(folder), made.data)
        await self._objects.put(places.record(folder), json.dumps(record, ensure_ascii=False).encode())
        return Result(record["preview"], origin.seconds if origin else None)

    async def remove(self, held: Held) -> None:
        """Takes away what was stored for a job."""
        folder = places.folder(held.key, held.id)
        await self._objects.delete(places.record(folder), places.picture(folder))

    async def drop(self, host: str, prompt_id: str) -> None:
        """Takes a render off a host, if both are still there."""
        with suppress(RenderError, NotFound):
            await self._fleet.host(host).cancel(prompt_id)

    async def _localised(self, graph: Graph, claim: Claim, picture: Reference | None) -> ApiGraph:
        """The graph for the host. A LoRA that it lacks is brought there where its pack is open to us."""
        try:
            return await self._fleet.localise(graph, claim.host, picture)
        except GraphRejected:
            versions = [] if not claim.keyed else list(_loras(graph))
            if not versions:
                raise
        for version in versions:
            await self._pusher.ensure(claim.host, version)
        return await self._fleet.localise(graph, claim.host, picture)

    async def _run(self, held: Held, claim: Claim, host: ComfyHost, graph: ApiGraph, frames: Frames) -> Rendered:
        def on_progress(progress: Progress) -> None:
            moved.reschedule(asyncio.get_running_loop().time() + self._stalled)
            if progress.waiting is None:
                held.begun = True
                held.share = max(held.share, progress.share)

        def on_frame(frame: Frame) -> None:
            frames.take(frame.data)

        try:
            async with asyncio.timeout(self._stalled) as moved:
                return await run(
                    host,
                    graph,
                    prompt_id=held.prompt_id,
                    on_progress=on_progress,
                    on_frame=on_frame,
                    leave=True,
                    key=held.order.key if claim.keyed else None,
                    front=held.line == "user",
                )
        except TimeoutError:
            await self.drop(claim.host, held.prompt_id)
            raise RenderError(f"{host} did not get on with the render for {self._stalled:.0f} s.") from None

    async def _fetch(self, host: ComfyHost, ref: PictureRef) -> Picture:
        """The picture, asked for again where it came damaged."""
        for attempt in range(FETCHES):
            try:
                return await asyncio.to_thread(clean, await host.fetch(ref))
            except Damaged as error:
                _log.warning("picture_damaged", host=str(host), attempt=attempt + 1, reason=str(error))
                await asyncio.sleep(FETCH_SECONDS * attempt)
        raise RenderError(f"{host} sends the picture damaged: is its disk full?")


async def _made_anew(host: ComfyHost, key: str | None) -> None:
    """Has the next render of this graph make its picture: the pack still says under its key that it is there, from a
    moment after the history does, and ComfyUI would name the file that it made before."""
    if key is not None:
        for _ in range(DROPS):
            if await host.pack.drop(key):
                break
            await asyncio.sleep(DROP_SECONDS)
    await host.free()


def _loras(graph: Graph) -> Iterator[LoraVersion]:
    """The characters' LoRAs of a graph whose content is known."""
    for file in graph.files():
        if file.folder == "characters" and file.sha256 is not None:
            name, _, version = file.name.rpartition("@")
            yield LoraVersion(name, int(version), file.sha256)


def _sent(graph: ApiGraph, order: Order, claim: Claim) -> ApiGraph:
    """The graph as it is submitted: the host's pack finds the picture by its key when it is to forget it. Without the
    pack nobody could delete it there, so it is temporary, and goes at the latest when ComfyUI is started again.

    The name is never another picture's: ComfyUI gives out what it made before under the name that it had.
    """
    node = graph[order.graph.output]
    if claim.keyed:
        saving = {**node, "inputs": {**node["inputs"], "filename_prefix": f"vestige/{order.key}"}}
    else:
        saving = {**node, "class_type": "PreviewImage", "inputs": {"images": node["inputs"]["images"]}}
    return {**graph, order.graph.output: saving}


def _saved(host: ComfyHost, rendered: Rendered, node: str) -> PictureRef:
    for one in rendered.outputs.get(node, {}).get("images") or ():
        if isinstance(one, Mapping) and one.get("filename"):
            return PictureRef(node, str(one["filename"]), str(one.get("subfolder", "")), str(one.get("type")))
    raise RenderError(f"{host} ended the render without a picture: look at its log.")


def _record(held: Held, graph: ApiGraph, origin: _Origin | None, made: Picture) -> dict[str, Any]:
    """Everything about a picture; what end users may see of it is under `preview`."""
    order, now = held.order, datetime.now(UTC).isoformat()
    preview = {
        "key": order.key,
        "job": held.id,
        "owner": order.owner,
        "character": order.character,
        "item": order.item,
        "made_with": order.made_with,
        "width": made.width,
        "height": made.height,
        "bytes": len(made.data),
        "created": now,
    }
    return {
        "version": 1,
        "preview": preview,
        "provenance": dict(order.facts),
        "host": origin and origin.host,
        "prompt_id": origin and origin.prompt_id,
        "file": origin and place(origin.picture),
        "rendered": now,
        "workflow": graph,
    }
