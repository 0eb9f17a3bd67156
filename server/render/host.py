"""One ComfyUI host over HTTP: every call has a time limit, a bounded answer and a typed error."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from server.errors import GraphRejected, HostUnavailable, RenderError
from server.render.rejection import rejection
from server.render.types import Graph, PictureRef

SECONDS = 30.0
MAX_JSON = 64 << 20  # a host with many packs describes itself in tens of megabytes
MAX_PICTURE = 64 << 20
MAX_FRAME = 32 << 20


class ComfyHost:
    """A host at `url`, over a session it does not own. `token` opens the routes of our node pack there."""

    def __init__(self, session: aiohttp.ClientSession, url: URL, *, token: str | None = None) -> None:
        self._session = session
        self._url = url
        self._token = token

    def __str__(self) -> str:
        return f"The ComfyUI at {self._url.host}:{self._url.port}"

    async def nodes(self) -> Mapping[str, Any]:
        """Every node class the host has, with its inputs (`/object_info`)."""
        found = await self._json("GET", "object_info")
        if not isinstance(found, dict):
            raise self._strange()
        return found

    async def upload(self, data: bytes, suffix: str) -> str:
        """Puts a picture among the host's inputs under its hash; returns its name there. Twice is once."""
        name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type=f"image/{suffix}")
        form.add_field("subfolder", "vestige")
        found = await self._json("POST", "upload/image", data=form)
        stored = found.get("name") if isinstance(found, dict) else None
        if stored != name:  # another content under the name that is the hash of ours: it was damaged there
            raise RenderError(f"{self} has a damaged {name} among its inputs: delete it there.", name=name)
        return f"vestige/{name}"

    async def preset(self, spec: str) -> Mapping[str, Any]:
        """A tuning preset of our pack there, by `name@version`; asks for the pack's token."""
        name, _, version = spec.partition("@")
        found = await self._json("GET", f"vestige/presets/{quote(name, '')}/{quote(version or 'latest', '')}")
        if not isinstance(found, dict):
            raise self._strange()
        return found

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> None:
        """Queues a graph under an id of ours. Not idempotent: ask `known` first where it may have arrived before.

        Raises:
            GraphRejected: the host cannot run this graph; the message says which node wants what.
            HostUnavailable: no answer. It may have arrived all the same.
        """
        await self._json("POST", "prompt", json={"prompt": graph, "prompt_id": prompt_id, "client_id": client_id})

    async def finished(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The history of a render that ended; None while it waits or runs, or where the host does not know it."""
        found = await self._json("GET", f"history/{prompt_id}")
        entry = found.get(prompt_id) if isinstance(found, dict) else None
        return entry if isinstance(entry, dict) else None

    async def place(self, prompt_id: str) -> int | None:
        """How many renders stand before this one: 0 where it runs, None where it is not in the queue."""
        found = await self._json("GET", "queue")
        if not isinstance(found, dict):
            raise self._strange()
        running = [_prompt_id(item) for item in found.get("queue_running") or ()]
        if prompt_id in running:
            return 0
        waiting = sorted(item for item in found.get("queue_pending") or () if isinstance(item, list) and len(item) > 1)
        ids = [_prompt_id(item) for item in waiting]
        return len(running) + ids.index(prompt_id) if prompt_id in ids else None

    async def cancel(self, prompt_id: str) -> None:
        """Takes a render out of the queue, or interrupts it where it runs; others are left alone."""
        await self._call("POST", "queue", json={"delete": [prompt_id]})
        await self._call("POST", "interrupt", json={"prompt_id": prompt_id})

    async def fetch(self, picture: PictureRef) -> bytes:
        """The bytes of a picture the host made."""
        query = {"filename": picture.filename, "subfolder": picture.subfolder, "type": picture.type}
        return await self._call("GET", "view", params=query, limit=MAX_PICTURE)

    @asynccontextmanager
    async def listen(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """What the host says to `client_id`. A new connection needs a new id: an old one closing later would take
        the new one's place.

        Raises:
            HostUnavailable: no connection.
        """
        try:
            async with asyncio.timeout(SECONDS):
                socket = await self._session.ws_connect(
                    self._url / "ws", params={"clientId": client_id}, max_msg_size=MAX_FRAME, heartbeat=SECONDS
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from None
        try:
            yield socket
        finally:
            await socket.close()

    async def _json(self, method: str, path: str, **arguments: Any) -> Any:
        body = await self._call(method, path, limit=MAX_JSON, **arguments)
        try:
            return json.loads(body)
        except ValueError:
            raise self._strange() from None

    async def _call(self, method: str, path: str, *, limit: int = MAX_JSON, **arguments: Any) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._session.request(
                    method, self._url / path, allow_redirects=False, headers=headers, **arguments
                ) as response,
            ):
                body = await self._read(response, limit)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from None
        if response.status == 400 and path == "prompt":
            raise rejection(str(self), body)
        if response.status >= 500:
            raise HostUnavailable(f"{self} answers with status {response.status}: look at its log.")
        if path.startswith("vestige/") and response.status != 200:
            raise RenderError(_sentence(body) or f"{self} refuses /{path} with status {response.status}.", path=path)
        if response.status != 200:
            raise RenderError(f"{self} refuses {method} /{path} with status {response.status}.", path=path)
        return body

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise RenderError(f"{self} sends more than {limit >> 20} MB for one answer: it was not taken.")
        return b"".join(parts)

    def _unavailable(self, error: BaseException) -> HostUnavailable:
        late = isinstance(error, TimeoutError)
        what = f"did not answer within {SECONDS:.0f} s" if late else "cannot be reached"
        return HostUnavailable(f"{self} {what}. Is it running, and is the address right?")

    def _strange(self) -> GraphRejected:
        return GraphRejected(f"{self} does not answer as a ComfyUI does: is the address right?")


def _sentence(body: bytes) -> str | None:
    """What our pack says of a refusal."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _prompt_id(item: object) -> object:
    return item[1] if isinstance(item, list) and len(item) > 1 else None
