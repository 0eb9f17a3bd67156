"""A ComfyUI host that renders nothing, and can be made to misbehave. What it sends has the shapes that a real one was
seen to send (v0.8.0); `tests/comfyui/test_fake_is_true.py` holds it to them."""

import asyncio
import json
import struct
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.fakes.comfyui_pack import add_pack

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@dataclass
class FakeComfy:
    """`steps` progress messages per render, `pause` seconds between them. `started` counts runs by prompt id.
    `fail_with` is what its node says after the first `fail_after` renders, as an error of type `fail_type`. `token`
    opens the routes of our pack (`comfyui_pack.py`); `pack` false is a host without it, `older` has one that cannot
    forget. `broken` answers everything with 500. `saved`: its pictures, type, subfolder and filename → the run that
    made them."""

    steps: int = 4
    pause: float = 0.0
    drop_socket_at: int | None = None
    fail_with: str | None = None
    fail_after: int = 0
    fail_type: str = "RuntimeError"
    pack: bool = True
    older: bool = False
    broken: bool = False
    version: str = "0.8.0"
    freed: list[Mapping[str, Any]] = field(default_factory=list)
    models: dict[str, Any] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    filed: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    presets: dict[str, Any] = field(default_factory=dict)
    token: str | None = None
    interrupt_itself: bool = False
    forget: bool = False
    lose_answers: int = 0
    reject: Mapping[str, Any] | None = None
    nodes: dict[str, Any] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    graphs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    interrupted: list[str] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    saved: dict[tuple[str, str, str], str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    running: str | None = None
    picture: Callable[[str], bytes] = lambda prompt_id: PNG
    url: str = ""
    _sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    _flagged: set[str] = field(default_factory=set)
    _clients: dict[str, str] = field(default_factory=dict)
    _queue: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20, middlewares=[self._noted])
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/history/{prompt_id}", self._history)
        app.router.add_post("/history", self._history_change)
        app.router.add_get("/queue", self._queue_now)
        app.router.add_post("/queue", self._queue_change)
        app.router.add_post("/interrupt", self._interrupt)
        app.router.add_post("/upload/image", self._upload)
        app.router.add_get("/view", self._view)
        app.router.add_get("/object_info", self._object_info)
        app.router.add_get("/object_info/{kind}", self._object_info)
        app.router.add_get("/system_stats", self._stats)
        app.router.add_post("/free", self._free)
        if self.pack:
            add_pack(app, self)
        app.cleanup_ctx.append(self._worker)
        return app

    async def until(self, true: Callable[[], bool]) -> None:
        """Returns as soon as `true()`."""
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110 - whatever a test waits for
                await asyncio.sleep(0.005)

    def restart(self) -> None:
        """As a process that was killed and started again: queue and history are gone, files and the pack's are not."""
        self.history.clear()
        self.waiting.clear()
        self.mark = uuid.uuid4().hex
        self.saved = {place: made for place, made in self.saved.items() if place[0] != "temp"}
        for one in self.filed.values():
            if one["state"] in ("queued", "running"):
                one |= {"state": "error", "error": {"code": "lost", "message": "ComfyUI stopped."}}

    def queued(self, prompt_id: str, graph: Mapping[str, Any], client_id: str, *, front: bool = False) -> None:
        """Takes a graph in."""
        self.graphs[prompt_id] = graph
        self._clients[prompt_id] = client_id
        self.waiting.insert(0 if front else len(self.waiting), prompt_id)
        self._queue.put_nowait("")

    def lose_answer(self, request: web.Request) -> None:
        """Hangs up without a word, `lose_answers` times."""
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.close()

    async def close_sockets(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _worker(self, app: web.Application) -> AsyncIterator[None]:
        working = asyncio.create_task(self._work())
        yield
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._queue.get()
            if not self.waiting:
                continue
            prompt_id = self.waiting.pop(0)
            self.running = prompt_id
            self.started[prompt_id] = self.started.get(prompt_id, 0) + 1
            await self._run(prompt_id)
            self.running = None

    async def _run(self, prompt_id: str) -> None:
        graph = self.graphs[prompt_id]
        sampler, *_, saver = graph
        own = {"prompt_id": prompt_id}
        messages: list[Any] = []
        await self._say(prompt_id, "execution_start", own, messages)
        await self._say(prompt_id, "execution_cached", own | {"nodes": list(graph)[1:-1]}, messages)
        await self._say(prompt_id, "executing", own | {"node": sampler, "display_node": sampler})
        ending = None
        for step in range(1, self.steps + 1):
            await asyncio.sleep(self.pause)
            if self.drop_socket_at == step:
                await self.close_sockets()
            if prompt_id in self.interrupted or self.interrupt_itself:
                ending = ("execution_interrupted", own | {"node_id": sampler, "node_type": "KSampler", "executed": []})
                break
            await self._say(prompt_id, "progress", own | {"value": step, "max": self.steps, "node": sampler})
            await self._preview(prompt_id, sampler)
        if ending is None and self.fail_with is not None and len(self.started) > self.fail_after:
            failure = {"node_id": sampler, "node_type": "KSampler", "executed": [], "exception_type": self.fail_type}
            failure |= {"exception_message": self.fail_with, "traceback": ["…"]}
            ending = ("execution_error", own | failure)
        outputs = {}
        if ending is None:
            outputs = {saver: {"images": [self._save(prompt_id, graph[saver])]}}
            await self._say(prompt_id, "executing", own | {"node": saver, "display_node": saver})
            await self._say(
                prompt_id, "executed", own | {"node": saver, "display_node": saver, "output": outputs[saver]}
            )
            ending = ("execution_success", own)
        good = ending[0] == "execution_success"
        await self._say(prompt_id, *ending, messages)
        if self.forget:
            return
        for one in self.filed.values():
            if one["prompt_id"] == prompt_id:
                failed = (
                    None if good else {"code": "execution_error", "message": self.fail_with, "node_type": "KSampler"}
                )
                one |= {"state": "done" if good else "error", "outputs": outputs, "error": failed}
        self.history[prompt_id] = {
            "prompt": [0, prompt_id, graph, {}, [saver]],
            "outputs": outputs,
            "status": {"status_str": "success" if good else "error", "completed": good, "messages": messages},
            "meta": {},
        }
        await self._say(prompt_id, "executing", own | {"node": None})

    def _save(self, prompt_id: str, saver: Mapping[str, Any]) -> dict[str, str]:
        """A picture as `SaveImage` names it, or `PreviewImage`."""
        if saver.get("class_type") == "PreviewImage":
            kind, prefix = "temp", f"ComfyUI_temp_{self.mark[:5]}"
        else:
            kind, prefix = "output", saver.get("inputs", {}).get("filename_prefix", "ComfyUI")
        subfolder, _, name = prefix.rpartition("/")
        count = 1
        while (place := (kind, subfolder, f"{name}_{count:05}_.png")) in self.saved:
            count += 1
        self.saved[place] = prompt_id
        return {"filename": place[2], "subfolder": subfolder, "type": kind}

    async def _say(self, prompt_id: str, kind: str, data: Mapping[str, Any], noted: "list[Any] | None" = None) -> None:
        if noted is not None:
            data = {**data, "timestamp": int(time.time() * 1000)}
            noted.append([kind, data])
        socket = self._sockets.get(self._clients.get(prompt_id, ""))
        if socket is not None and not socket.closed:
            with suppress(ConnectionError):  # who listened was killed, and the render goes on
                await socket.send_str(json.dumps({"type": kind, "data": data}))

    async def _preview(self, prompt_id: str, node: str) -> None:
        client = self._clients.get(prompt_id, "")
        socket = self._sockets.get(client)
        if socket is None or socket.closed:
            return
        frame = struct.pack(">II", 1, 2) + PNG
        if client in self._flagged:
            about = {"node_id": node, "prompt_id": prompt_id, "display_node_id": node, "parent_node_id": None}
            metadata = json.dumps(about | {"real_node_id": node, "image_type": "image/png"}).encode()
            frame = struct.pack(">II", 4, len(metadata)) + metadata + PNG
        with suppress(ConnectionError):
            await socket.send_bytes(frame)

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        client = request.query["clientId"]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[client] = socket
        status = {"status": {"exec_info": {"queue_remaining": len(self.waiting)}}, "sid": client}
        await socket.send_str(json.dumps({"type": "status", "data": status}))
        async for message in socket:
            if json.loads(message.data).get("type") == "feature_flags":
                self._flagged.add(client)
                flags = {"supports_preview_metadata": True, "max_upload_size": 104857600}
                await socket.send_str(json.dumps({"type": "feature_flags", "data": flags}))
        self._sockets.pop(client, None)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.reject is not None:
            return web.json_response(self.reject, status=400)
        prompt_id = body["prompt_id"]
        self.queued(prompt_id, body["prompt"], body.get("client_id", ""), front=bool(body.get("front")))
        self.lose_answer(request)
        return web.json_response({"prompt_id": prompt_id, "number": 0, "node_errors": {}})

    async def _history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        entry = self.history.get(prompt_id)
        return web.json_response({} if entry is None else {prompt_id: entry})

    async def _history_change(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json()).get("delete", ()):
            self.history.pop(prompt_id, None)
        return web.Response()

    async def _queue_now(self, request: web.Request) -> web.Response:
        running = [[0, self.running, self.graphs[self.running], {}, []]] if self.running else []
        pending = [[at, one, self.graphs[one], {}, []] for at, one in enumerate(self.waiting, 1)]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _queue_change(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json()).get("delete", ()):
            if prompt_id in self.waiting:
                self.waiting.remove(prompt_id)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        prompt_id = (await request.json())["prompt_id"]
        if prompt_id == self.running:
            self.interrupted.append(prompt_id)
        return web.Response()

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        self.uploads[f"{form['subfolder']}/{image.filename}"] = image.file.read()
        return web.json_response({"name": image.filename, "subfolder": form["subfolder"], "type": "input"})

    async def _view(self, request: web.Request) -> web.Response:
        if request.query["type"] == "input":
            if f"{request.query['subfolder']}/{request.query['filename']}" not in self.uploads:
                raise web.HTTPNotFound
            return web.Response(body=PNG, content_type="image/png")
        made = self.saved.get((request.query["type"], request.query["subfolder"], request.query["filename"]))
        if made is None:
            raise web.HTTPNotFound
        return web.Response(body=self.picture(made), content_type="image/png")

    async def _object_info(self, request: web.Request) -> web.Response:
        kind = request.match_info.get("kind")
        return web.json_response({one: self.nodes[one] for one in self.nodes if kind in (None, one)})

    async def _stats(self, request: web.Request) -> web.Response:
        system = {"os": "linux", "comfyui_version": self.version, "pytorch_version": "2.13.0", "argv": ["main.py"]}
        device = {"name": "cuda:0 NVIDIA H100", "type": "cuda", "index": 0, "vram_total": 80 << 30}
        return web.json_response({"system": system, "devices": [device | {"vram_free": 70 << 30}]})

    async def _free(self, request: web.Request) -> web.Response:
        self.freed.append(await request.json())
        return web.Response()

    @web.middleware
    async def _noted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.broken:
            raise web.HTTPInternalServerError
        return await handler(request)


@asynccontextmanager
async def fake_comfy(**how: Any) -> AsyncIterator[FakeComfy]:
    """A running fake host; `how` are fields of `FakeComfy`."""
    fake = FakeComfy(**how)
    server = TestServer(fake.app())
    await server.start_server()
    fake.url = str(server.make_url("/")).rstrip("/")
    try:
        yield fake
    finally:
        await server.close()
