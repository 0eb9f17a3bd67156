"""A ComfyUI host as far as LoRAs go: the pack's own routes, and a way to them that can break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.loras import find_characters
from comfy_nodes.outfit_tuner.pushed_loras import PushedLoras
from comfy_nodes.outfit_tuner.routes import guarded
from comfy_nodes.outfit_tuner.routes.lora_files import LoraFileRoutes
from comfy_nodes.outfit_tuner.routes.loras import LoraRoutes

__all__ = ["TOKEN", "Host"]

TOKEN = "correct-horse-battery-staple"
"""Set it as the pack's token in the environment of the test."""


@dataclass
class Host:
    """A ComfyUI with our pack, as far as LoRAs go, and a way to it that lets `budget` bytes through and then breaks."""

    folder: Path
    limit: int = 1 << 30
    budget: float = float("inf")
    port: int = 0
    target: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listed(self) -> dict[str, Path]:
        return {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*.safetensors")}

    def live(self, name: str) -> int:
        return find_characters(self.listed())[name].live()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Host"]:
        self.folder.mkdir()
        hashes = FileHashes(None)
        loras = PushedLoras(self.folder / "vestige", self.limit, self.listed, hashes)
        app = web.Application()
        for route in [*LoraFileRoutes(lambda: loras).routes(), *LoraRoutes(self.listed, lambda: hashes).routes()]:
            app.router.add_route(route.method, route.path, self._noted(guarded(route.handler)))
        server = TestServer(app)
        await server.start_server()
        self.target = server.port or 0
        way = await asyncio.start_server(self._through, "127.0.0.1", 0)
        self.port = way.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            way.close()
            await server.close()

    def _noted(self, handler: Callable) -> Callable:
        async def note(request: web.Request) -> web.StreamResponse:
            self.seen.append((request.method, request.path))
            return await handler(request)

        return note

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, out = await asyncio.open_connection("127.0.0.1", self.target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool) -> None:
            try:
                while data := await source.read(16_384):
                    if counted:
                        self.budget -= len(data)
                        if self.budget < 0:
                            break
                    sink.write(data)
                    await sink.drain()
            except ConnectionError:
                pass
            for each in (out, writer):
                each.close()

        await asyncio.gather(pump(reader, out, counted=True), pump(inside, writer, counted=False))
