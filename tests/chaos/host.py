"""A fake ComfyUI that can die, drip, cut and lose, and that counts. Its pictures say what they are of."""

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from PIL import Image

from tests.fakes.comfyui import FakeComfy

SIZE = (64, 96)
BLOCK = 8
BITS = SIZE[0] * SIZE[1] // BLOCK**2
DRIP_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture is of: what of its graph differs between any two that are asked for here."""

    seed: int
    prompt: str
    reference: str

    @classmethod
    def of(cls, graph: Mapping[str, Any]) -> "Shown":
        nodes = {node["class_type"]: node["inputs"] for node in graph.values()}
        words = next(node["inputs"]["text"] for node in graph.values() if node["class_type"] == "CLIPTextEncode")
        reference = nodes.get("Vestige_LoadReference", {}).get("picture") or nodes["LoadImage"]["image"]
        return cls(int(nodes["KSampler"]["seed"]), str(words), str(reference))

    def bits(self) -> list[bool]:
        digest = hashlib.sha256(repr(self).encode()).digest()
        return [bool(digest[at // 8] >> at % 8 & 1) for at in range(BITS)]

    def drawn(self) -> bytes:
        """A PNG of black and white blocks, which a WebP keeps apart."""
        small = Image.new("L", (SIZE[0] // BLOCK, SIZE[1] // BLOCK))
        small.putdata([255 * bit for bit in self.bits()])
        out = io.BytesIO()
        small.resize(SIZE, Image.Resampling.NEAREST).convert("RGB").save(out, "PNG")
        return out.getvalue()

    def is_in(self, picture: bytes) -> bool:
        """Whether that is what was drawn, whole."""
        with Image.open(io.BytesIO(picture)) as image:
            small = image.convert("L").resize((SIZE[0] // BLOCK, SIZE[1] // BLOCK), Image.Resampling.BOX)
            return image.size == SIZE and [value > 127 for value in small.tobytes()] == self.bits()


@dataclass
class MortalHost(FakeComfy):
    """`began`, `completed`: renders of each picture. `excused`: those of each that it had begun and that nobody had
    fetched when it died, for which another render is right. `cuts`: how often a picture is sent cut off, `breaks`: or
    the connection ends inside it. `dripping`: every answer comes a byte at a time."""

    began: Counter[Shown] = field(default_factory=Counter)
    completed: Counter[Shown] = field(default_factory=Counter)
    excused: Counter[Shown] = field(default_factory=Counter)
    cuts: int = 0
    breaks: int = 0
    dripping: bool = False
    _sent: Counter[str] = field(default_factory=Counter)
    _runner: web.AppRunner | None = None
    _port: int = 0

    def app(self) -> web.Application:
        app = super().app()
        app.middlewares.append(self._hostile)
        return app

    async def rise(self) -> None:
        """Starts it, at the same address as before."""
        self._runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def die(self) -> None:
        """As kill -9: connections break, and all that was in its memory is gone. What its pack has filed is not."""
        assert self._runner is not None
        kept = {one["prompt_id"] for one in self.filed.values() if one["state"] == "done"}
        for prompt_id, graph in self.graphs.items():
            if prompt_id in self.started and prompt_id not in kept and not self._sent[prompt_id]:
                self.excused[Shown.of(graph)] += 1
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self.running = None
        self._sockets.clear()
        self._clients.clear()
        self._flagged.clear()
        self._queue = asyncio.Queue()
        self.restart()
        self.graphs = {prompt_id: self.graphs[prompt_id] for prompt_id in kept if prompt_id in self.graphs}

    async def _run(self, prompt_id: str) -> None:
        shown = Shown.of(self.graphs[prompt_id])
        self.began[shown] += 1
        await super()._run(prompt_id)
        if prompt_id not in self.interrupted:
            self.completed[shown] += 1

    @web.middleware
    async def _hostile(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or request.method == "HEAD":
            return response
        if request.path == "/view" and request.query.get("type") in ("output", "temp"):
            prompt_id = self.saved[request.query["type"], request.query["subfolder"], request.query["filename"]]
            self._sent[prompt_id] += 1
            if self._sent[prompt_id] <= self.cuts:
                return web.Response(body=response.body[: len(response.body) // 2], content_type="image/png")
            if self._sent[prompt_id] <= self.breaks:
                return await self._piecemeal(request, response, breaks=True)
        return await self._piecemeal(request, response) if self.dripping else response

    async def _piecemeal(
        self, request: web.Request, response: web.Response, *, breaks: bool = False
    ) -> web.StreamResponse:
        body = response.body
        assert isinstance(body, bytes)
        slow = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
        slow.content_length = len(body)
        with suppress(ConnectionError):
            await slow.prepare(request)
            at = 0
            while self.dripping and at < len(body):
                await slow.write(body[at : at + 1])
                at += 1
                await asyncio.sleep(DRIP_SECONDS)
            await slow.write(body[at : len(body) // 2 if breaks else None])
            if breaks and request.transport is not None:
                request.transport.close()
        return slow


def picture_of(host: MortalHost) -> None:
    """Has the host draw what its graphs are of, and remember that as long as its disk would."""
    drawn: dict[str, bytes] = {}

    def picture(prompt_id: str) -> bytes:
        if prompt_id in host.graphs:
            drawn[prompt_id] = Shown.of(host.graphs[prompt_id]).drawn()
        return drawn[prompt_id]

    host.picture = picture


@asynccontextmanager
async def mortal_host(**how: Any) -> AsyncIterator[MortalHost]:
    host = MortalHost(**how)
    picture_of(host)
    await host.rise()
    try:
        yield host
    finally:
        if host._runner is not None:
            await host._runner.cleanup()
