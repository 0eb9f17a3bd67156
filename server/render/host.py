"""One ComfyUI host: its own routes, and through `pack` those of our node pack."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from server.errors import RenderError
from server.render.pack import PREVIEWS, PackRoutes
from server.render.transport import MAX_PICTURE, SECONDS, Meter, Transport
from server.render.types import Graph, PictureRef

__all__ = ["MAX_PICTURE", "ComfyHost", "Queue"]

MAX_FRAME = 32 << 20
_HELLO = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
_UPLOADS = "vestige"


@dataclass(frozen=True, slots=True)
class Queue:
    """Prompt ids in a host's queue, in the order in which they will run; everybody's."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]

    def place(self, prompt_id: str) -> int | None:
        """How many renders stand before this one: 0 where it runs, None where it is not in the queue."""
        if prompt_id in self.running:
            return 0
        return len(self.running) + self.waiting.index(prompt_id) if prompt_id in self.waiting else None


class ComfyHost:
    """A host at `url`, over a session it does not own. `token` opens the routes of our node pack there.

    `name` is what messages call it: the name from the settings, where it has one. `meter` is told of every call.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        *,
        token: str | None = None,
        name: str | None = None,
        meter: Meter = lambda _what, _ending, _seconds: None,
    ) -> None:
        self._to = Transport(session, url, token=token, name=name, meter=meter)
        self.pack = PackRoutes(self._to)

    def __str__(self) -> str:
        return str(self._to)

    async def nodes(self) -> Mapping[str, Any]:
        """Every node class the host has, with its inputs (`/object_info`)."""
        return await self._mapping("object_info")

    async def describe(self, classes: Collection[str]) -> Mapping[str, Any]:
        """The same for a few classes; those that the host does not have, or cannot describe, are missing. A host with
        many packs has tens of megabytes to say of them all."""
        paths = [f"object_info/{quote(kind, '')}" for kind in sorted(classes)]
        answers = await asyncio.gather(*(self._to.call("GET", path, good=(200, 404, 500)) for path in paths))
        found = [self._to.decoded(answer.body) for answer in answers if answer.status == 200]
        return {kind: told for one in found if isinstance(one, dict) for kind, told in one.items()}

    async def stats(self, *, seconds: float = SECONDS) -> Mapping[str, Any]:
        """Versions, start-up arguments and devices (`/system_stats`)."""
        return await self._mapping("system_stats", seconds=seconds)

    async def upload(self, data: bytes, suffix: str) -> str:
        """Puts a picture among the host's inputs under its hash; returns its name there. Twice is once."""
        name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type=f"image/{suffix}")
        form.add_field("subfolder", _UPLOADS)
        found = await self._to.json("POST", "upload/image", data=form)
        stored = found.get("name") if isinstance(found, dict) else None
        if stored != name:  # another content under the name that is the hash of ours: it was damaged there
            raise RenderError(f"{self} has a damaged {name} among its inputs: delete it there.", name=name)
        return f"{_UPLOADS}/{name}"

    async def holds(self, name: str) -> bool:
        """Whether a picture that `upload` named is still among its inputs."""
        subfolder, _, filename = name.rpartition("/")
        return await self.shows(PictureRef("", filename, subfolder, "input"))

    async def shows(self, picture: PictureRef) -> bool:
        """Whether a picture that it made is still there."""
        query = {"filename": picture.filename, "subfolder": picture.subfolder, "type": picture.type}
        return (await self._to.call("HEAD", "view", params=query, good=(200, 404))).status == 200

    async def preset(self, spec: str) -> Mapping[str, Any]:
        """A tuning preset of our pack there, by `name@version`; asks for the pack's token."""
        return await self.pack.preset(spec)

    async def submit(
        self, graph: Graph, prompt_id: str, client_id: str, *, front: bool = False, previews: bool = False
    ) -> None:
        """Queues a graph under an id of ours. Not idempotent: ask `place` and `finished` first where it may have
        arrived before.

        Args:
            front: before everything that waits.
            previews: make live previews, whatever the host was started with; older ones ignore it.

        Raises:
            GraphRejected: the host cannot run this graph; the message says which node wants what.
            HostUnavailable: no answer. It may have arrived all the same.
        """
        body: dict[str, Any] = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        body |= {"front": True} if front else {}
        body |= {"extra_data": PREVIEWS} if previews else {}
        await self._to.json("POST", "prompt", json=body)

    async def finished(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The history of a render that ended; None while it waits or runs, or where the host does not know it."""
        entry = (await self._mapping(f"history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def queue(self, *, seconds: float = SECONDS) -> Queue:
        """What runs there and what waits."""
        found = await self._mapping("queue", seconds=seconds)
        waiting = sorted(
            (item for item in found.get("queue_pending") or () if isinstance(item, list) and len(item) > 1),
            key=lambda item: item[0],
        )
        return Queue(
            tuple(
                str(item[1]) for item in found.get("queue_running") or () if isinstance(item, list) and len(item) > 1
            ),
            tuple(str(item[1]) for item in waiting),
        )

    async def place(self, prompt_id: str) -> int | None:
        """How many renders stand before this one: 0 where it runs, None where it is not in the queue."""
        return (await self.queue()).place(prompt_id)

    async def cancel(self, prompt_id: str) -> None:
        """Takes a render out of the queue, or interrupts it where it runs; others are left alone."""
        await self._to.call("POST", "queue", json={"delete": [prompt_id]})
        await self._to.call("POST", "interrupt", json={"prompt_id": prompt_id})

    async def forget(self, prompt_ids: Collection[str]) -> None:
        """Takes renders that ended out of its history. The pictures that they made stay."""
        if prompt_ids:
            await self._to.call("POST", "history", json={"delete": list(prompt_ids)})

    async def free(self) -> None:
        """Unloads every model and gives its memory back, once what runs there has ended."""
        await self._to.call("POST", "free", json={"unload_models": True, "free_memory": True})

    async def fetch(self, picture: PictureRef) -> bytes:
        """The bytes of a picture the host made."""
        query = {"filename": picture.filename, "subfolder": picture.subfolder, "type": picture.type}
        return (await self._to.call("GET", "view", params=query, limit=MAX_PICTURE)).body

    @asynccontextmanager
    async def listen(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """What the host says to `client_id`, live previews with their prompt's id among it. A new connection needs a
        new id: an old one closing later would take the new one's place.

        Raises:
            HostUnavailable: no connection.
        """
        try:
            async with asyncio.timeout(SECONDS):
                socket = await self._to.session.ws_connect(
                    self._to.url / "ws", params={"clientId": client_id}, max_msg_size=MAX_FRAME, heartbeat=SECONDS
                )
                await socket.send_str(_HELLO)  # it counts as the first message alone
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._to.unavailable(error) from None
        try:
            yield socket
        finally:
            await socket.close()

    async def _mapping(self, path: str, **arguments: Any) -> dict[str, Any]:
        found = await self._to.json("GET", path, **arguments)
        if not isinstance(found, dict):
            raise self._to.strange()
        return found
