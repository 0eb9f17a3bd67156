"""Fake ComfyUI hosts with a fixed render time, in a process of their own.

`python -m bench.render.hosts COUNT CHECKPOINTS` prints where it is told what to do, and then each host's address.
"""

import asyncio
import io
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from tests.fakes.comfyui import FakeComfy
from tests.render.graphs.described import described

_KEPT = 100
"""Renders that a host remembers: a real one forgets too, and the memory that is measured is not ours."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: of a render, and of another checkpoint on top."""

    render: float = 0.0
    swap: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """A render at a host, by the monotonic clock. `swapped`: it needed another checkpoint than the one before."""

    host: int
    began: float
    ended: float
    swapped: bool


@dataclass
class Board:
    """What all hosts share."""

    pace: Pace = field(default_factory=Pace)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[Run] = field(default_factory=list)
    ended: int = 0


@dataclass
class Host(FakeComfy):
    """A fake that takes its time. While the board is not open nothing begins."""

    number: int = 0
    board: Board = field(default_factory=Board)
    loaded: str = ""

    async def _run(self, prompt_id: str) -> None:
        await self.board.open.wait()
        wanted = _checkpoint(self.graphs[prompt_id])
        swapped, self.loaded = wanted != self.loaded, wanted
        pace, began = self.board.pace, time.monotonic()
        self.pause = (
            pace.render + swapped * pace.swap
        ) / self.steps  # loading counts as the host's own time, as it does
        await super()._run(prompt_id)
        self.board.runs.append(Run(self.number, began, time.monotonic(), swapped))
        self.board.ended += 1
        self._forget_old()

    def _forget_old(self) -> None:
        self.asked.clear()
        for old in list(self.graphs)[:-_KEPT]:
            self.history.pop(old, None)
            self.graphs.pop(old)
            client = self._clients.pop(old, "")
            self._flagged.discard(client)
        self.saved = dict(list(self.saved.items())[-_KEPT:])


async def main(count: int, checkpoints: int) -> None:
    board = Board()
    board.open.set()
    nodes = described(checkpoints=[f"base-{number}.safetensors" for number in range(checkpoints)])
    made = picture()
    hosts = [Host(nodes=nodes, picture=lambda _: made, number=number, board=board) for number in range(count)]
    async with AsyncExitStack() as stack:
        for app in (_desk(board), *(host.app() for host in hosts)):
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            sys.stdout.write(f"http://127.0.0.1:{server.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _desk(board: Board) -> web.Application:
    """`POST /pace {render, swap}`, `POST /hold`, `POST /open`, `GET /ended`, and `POST /told`: the runs since then."""

    async def pace(request: web.Request) -> web.Response:
        board.pace = Pace(**await request.json())
        return web.Response()

    async def hold(_: web.Request) -> web.Response:
        board.open.clear()
        return web.Response()

    async def resume(_: web.Request) -> web.Response:
        board.open.set()
        return web.Response()

    async def ended(_: web.Request) -> web.Response:
        return web.json_response(board.ended)

    async def told(_: web.Request) -> web.Response:
        runs, board.runs = board.runs, []
        return web.json_response([asdict(run) for run in runs])

    app = web.Application()
    app.router.add_get("/ended", ended)
    for path, handler in (("/pace", pace), ("/hold", hold), ("/open", resume), ("/told", told)):
        app.router.add_post(path, handler)
    return app


def _checkpoint(graph: Any) -> str:
    return next(
        node["inputs"]["ckpt_name"] for node in graph.values() if node["class_type"] == "CheckpointLoaderSimple"
    )


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 96), (200, 30, 40)).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
