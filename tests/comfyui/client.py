"""What a test says to ComfyUI: a graph in, what happened out."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
from PIL import Image

from tests.comfyui.graphs import Graph, Node

Json = dict[str, Any]
RUN_SECONDS = 90.0
CLOSING = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)  # pyright: ignore[reportCallIssue] # an attrs class


class GraphRefused(Exception):
    """ComfyUI would not queue it. `errors` are sentences by node id; the empty id is for the graph as a whole."""

    def __init__(self, body: Json) -> None:
        self.errors = {
            node: [f"{error['message']}: {error['details']}" for error in found["errors"]]
            for node, found in (body.get("node_errors") or {}).items()
        }
        if not self.errors:
            self.errors = {"": [body["error"]["message"]]}
        super().__init__("; ".join(f"{node}: {text}" for node, texts in self.errors.items() for text in texts))


class GraphFailed(Exception):
    """A node raised. `message` is what the person sees in the editor."""

    def __init__(self, run: Run, data: Json) -> None:
        self.run = run
        self.node = str(data["node_id"])
        self.class_type: str = data["node_type"]
        self.exception_type: str = data["exception_type"]
        self.message: str = data["exception_message"].strip()
        self.traceback = "".join(data["traceback"])
        super().__init__(f"{self.class_type} ({self.node}): {self.message}\n{self.traceback}")


class GraphInterrupted(Exception):
    """Somebody stopped it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(run.prompt_id)


@dataclass
class Run:
    """What one queued graph did.

    `executed`: ids of the nodes that ran, in order; a node that another expanded into has that one's id before its
    own, as in `7.0.0.lora`. `cached`: ids of those that did not need to. `ui`: what each node showed, by id.
    """

    prompt_id: str
    executed: list[str] = field(default_factory=list)
    cached: set[str] = field(default_factory=set)
    ui: dict[str, Json] = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)

    def report(self, node: Node) -> Any:
        """What a `Tiny_Report` node said."""
        return json.loads(self.ui[node.id]["text"][0])


class Comfy:
    """A client with a websocket of its own."""

    def __init__(self, http: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse, client_id: str) -> None:
        self.http = http
        self.client_id = client_id
        self._ws = ws
        self._others: dict[str, list[Json]] = {}

    async def run(self, graph: Graph | Mapping[str, Any], seconds: float = RUN_SECONDS) -> Run:
        """Queues a graph and waits for its end.

        Raises:
            GraphRefused, GraphFailed, GraphInterrupted: as they say.
        """
        return await self.wait(await self.submit(graph), seconds)

    async def submit(self, graph: Graph | Mapping[str, Any]) -> str:
        """Queues a graph; its prompt id. Raises `GraphRefused`."""
        nodes = graph.nodes if isinstance(graph, Graph) else dict(graph)
        async with self.http.post("/prompt", json={"prompt": nodes, "client_id": self.client_id}) as response:
            body = await response.json()
            if response.status != 200:
                raise GraphRefused(body)
            return body["prompt_id"]

    async def wait(self, prompt_id: str, seconds: float = RUN_SECONDS) -> Run:
        """What a queued graph does until it ends, then its history. Raises `GraphFailed`, `GraphInterrupted`."""
        run = Run(prompt_id)
        failure: GraphFailed | GraphInterrupted | None = None
        async for message in self._messages(prompt_id, seconds):
            run.messages.append(message)
            data = message["data"]
            match message["type"]:
                case "executing":
                    run.executed.append(data["node"])
                case "execution_cached":
                    run.cached |= set(data["nodes"])
                case "execution_error":
                    failure = GraphFailed(run, data)
                case "execution_interrupted":
                    failure = GraphInterrupted(run)
        run.ui = (await self.get(f"/history/{prompt_id}"))[prompt_id]["outputs"]
        if failure is not None:
            raise failure
        return run

    async def _messages(self, prompt_id: str, seconds: float) -> AsyncIterator[Json]:
        """A graph's messages up to the one that says nothing runs any more: only then its history is written."""
        queued = self._others.pop(prompt_id, [])
        while True:
            message = queued.pop(0) if queued else await self._message(seconds)
            of = message["data"].get("prompt_id") if isinstance(message.get("data"), dict) else None
            if of != prompt_id:
                if of is not None:
                    self._others.setdefault(of, []).append(message)
                continue
            if message["type"] == "executing" and message["data"]["node"] is None:
                return
            yield message

    async def until_running(self, prompt_id: str, node: Node, seconds: float = RUN_SECONDS, count: int = 1) -> None:
        """Returns when this node of a queued graph has begun, or `count` of the nodes `<its id>-…` that another one
        expanded into; `wait` gets all messages all the same.
        """
        seen: list[Json] = []
        async for message in self._messages(prompt_id, seconds):
            seen.append(message)
            begun = str(message["data"]["node"]) if message["type"] == "executing" else ""
            if begun == node.id or begun.startswith(f"{node.id}-"):
                count -= 1
                if count == 0:
                    break
        self._others[prompt_id] = seen + self._others.get(prompt_id, [])

    async def _message(self, seconds: float) -> Json:
        """The next message that is text; previews are binary."""
        while True:
            frame = await self._ws.receive(timeout=seconds)
            if frame.type is aiohttp.WSMsgType.TEXT:
                return json.loads(frame.data)
            assert frame.type is aiohttp.WSMsgType.BINARY, f"ComfyUI's socket closed: {frame}"

    async def pictures(self, run: Run, node: Node | None = None) -> list[Image.Image]:
        """The pictures that a node showed, or all nodes together."""
        shown = [run.ui.get(node.id, {})] if node else run.ui.values()
        files = [file for output in shown for file in output.get("images", [])]
        return [await self.view(file) for file in files]

    async def view(self, file: Mapping[str, str]) -> Image.Image:
        """A picture by `{filename, subfolder, type}`."""
        async with self.http.get("/view", params=dict(file)) as response:
            response.raise_for_status()
            picture = Image.open(BytesIO(await response.read()))
            picture.load()
            return picture

    async def upload(self, name: str, data: bytes) -> str:
        """Puts a picture into the input folder; the name it got."""
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name)
        async with self.http.post("/upload/image", data=form) as response:
            response.raise_for_status()
            return (await response.json())["name"]

    async def node_info(self, node_id: str) -> Json:
        """What the editor knows of a node."""
        return (await self.get(f"/object_info/{node_id}"))[node_id]

    async def get(self, path: str) -> Any:
        """JSON from a route; raises `aiohttp.ClientResponseError`."""
        async with self.http.get(path) as response:
            response.raise_for_status()
            return await response.json()

    async def interrupt(self, prompt_id: str | None = None) -> None:
        async with self.http.post("/interrupt", json={"prompt_id": prompt_id} if prompt_id else {}) as response:
            response.raise_for_status()

    async def clear(self) -> None:
        """Nothing waits, and what runs is told to stop."""
        async with self.http.post("/queue", json={"clear": True}) as response:
            response.raise_for_status()
        if (await self.get("/queue"))["queue_running"]:
            await self.interrupt()


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Comfy]:
    """A client of the ComfyUI at `url`."""
    client_id = uuid.uuid4().hex
    timeout = aiohttp.ClientTimeout(total=RUN_SECONDS)
    async with (
        aiohttp.ClientSession(url, timeout=timeout) as http,
        http.ws_connect(f"/ws?clientId={client_id}", max_msg_size=0, timeout=CLOSING) as ws,
    ):
        yield Comfy(http, ws, client_id)
