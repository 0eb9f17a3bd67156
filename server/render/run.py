"""Runs one graph on one host to its end, through lost messages and restarts."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp

from server.errors import HostUnavailable, RenderError
from server.render.failure import failure, filed_failure
from server.render.host import ComfyHost
from server.render.pack import Filed
from server.render.types import Frame, Graph, PictureRef, Progress, Rendered
from server.render.watch import Watch

__all__ = ["LOOK_SECONDS", "OnFrame", "OnProgress", "run"]

LOOK_SECONDS = 5.0
"""A host that says nothing for so long is asked: sockets fall silent without closing."""
LOST_LOOKS = 3
"""A render that is neither queued, running nor ended for so many looks' time is lost."""
CLOSED_SECONDS = 1.0
"""How often a host is asked whose socket closed."""
AFTER_SECONDS = 0.05
"""History is written just after the last message."""
TRIES = 4

OnProgress = Callable[[Progress], None]
OnFrame = Callable[[Frame], None]


async def run(
    host: ComfyHost,
    graph: Graph,
    *,
    prompt_id: str | None = None,
    key: str | None = None,
    front: bool = False,
    leave: bool = False,
    on_progress: OnProgress = lambda _: None,
    on_frame: OnFrame | None = None,
    look_seconds: float = LOOK_SECONDS,
) -> Rendered:
    """Submits `graph` under `prompt_id` unless the host has it already, and waits for its end, however long it takes.

    The socket is for progress alone: whether it ended, and how, the host's history says.

    Args:
        key: what the host's pack files the result under. It runs once for its key, also where another prompt id was
            given before, and is found after the host was restarted. Only for hosts whose pack takes our token.
        front: before everything that waits there.
        leave: cancelling this call leaves the render on the host; otherwise it is taken off.
        on_frame: told of live previews, where the host makes them.

    Raises:
        GraphRejected: the host cannot run it.
        HostUnavailable: the host is gone, or forgot the render because it was restarted.
        HostOutOfMemory: a model did not fit.
        RenderError: a node failed, or it was interrupted there.
    """
    asked = _Asked(host, graph, prompt_id or str(uuid.uuid4()), key, front, on_frame is not None)
    async with AsyncExitStack() as stack:
        client_id = uuid.uuid4().hex
        socket = await stack.enter_async_context(host.listen(client_id))
        try:
            prompt_id, ended = await asked.submit(client_id)
            if ended is not None:
                return ended
            watch = Watch(prompt_id, graph)
            return await _End(host, prompt_id, key, watch, on_progress, on_frame, look_seconds).wait(socket)
        except asyncio.CancelledError:
            if not leave:
                await asyncio.shield(_give_up(host, asked.prompt_id))
            raise


@dataclass
class _Asked:
    """A graph that is to be queued once, also where an answer gets lost: the host does not recognise an id it has."""

    host: ComfyHost
    graph: Graph
    prompt_id: str
    key: str | None
    front: bool
    previews: bool

    async def submit(self, client_id: str) -> tuple[str, Rendered | None]:
        """The id of the run that counts, and its result where it has one already."""
        for left in reversed(range(TRIES)):
            try:
                return await (self._by_key(self.key, client_id) if self.key else self._by_id(client_id))
            except HostUnavailable:
                if not left:
                    raise
                await asyncio.sleep(0.5 * (TRIES - left))
        raise AssertionError

    async def _by_id(self, client_id: str) -> tuple[str, None]:
        # first the queue, then the history: one that ends between the two would be in neither the other way round
        if await self.host.place(self.prompt_id) is None and await self.host.finished(self.prompt_id) is None:
            await self.host.submit(self.graph, self.prompt_id, client_id, front=self.front, previews=self.previews)
        return self.prompt_id, None

    async def _by_key(self, key: str, client_id: str) -> tuple[str, Rendered | None]:
        filed = await self.host.pack.filed(key)
        ours = filed is not None and filed.prompt_id == self.prompt_id
        if filed is None or filed.lost or (filed.state == "error" and not ours):
            filed = await self.host.pack.submit(
                key, self.graph, self.prompt_id, client_id, front=self.front, previews=self.previews
            )
        self.prompt_id = filed.prompt_id
        return filed.prompt_id, _filed(self.host, filed)


@dataclass
class _End:
    """Waits for the end of a render that was submitted."""

    host: ComfyHost
    prompt_id: str
    key: str | None
    watch: Watch
    on_progress: OnProgress
    on_frame: OnFrame | None
    look_seconds: float

    async def wait(self, socket: aiohttp.ClientWebSocketResponse) -> Rendered:
        failures, lost_since = 0, None
        while True:
            await self._listen(socket)
            try:
                ended, place = await self._look()
            except HostUnavailable:
                failures += 1
                if failures == TRIES:
                    raise
                continue
            failures = 0
            if ended is not None:
                return ended
            if place is not None:
                lost_since = None
                if place:
                    self.on_progress(Progress(0.0, waiting=place))
                continue
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > LOST_LOOKS * self.look_seconds:
                raise _lost(self.host)

    async def _look(self) -> tuple[Rendered | None, int | None]:
        """Its result, else its place in the queue; neither where the host does not know it."""
        place = await self.host.place(self.prompt_id)
        if place is not None:
            return None, place
        entry = await self.host.finished(self.prompt_id)
        if entry is not None:
            return _outcome(self.host, self.prompt_id, entry), None
        if self.key is None:
            return None, None
        filed = await self.host.pack.filed(self.key)
        if filed is None:
            return None, None
        if filed.lost:
            raise _lost(self.host)
        return _filed(self.host, filed), None

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Takes messages until the render ended, the socket closed or nothing was heard for a while."""
        while not self.watch.ended:
            try:
                message = await socket.receive(timeout=self.look_seconds)
            except TimeoutError:
                return
            if message.type is aiohttp.WSMsgType.TEXT:
                progress = self.watch.text(message.data)
                if progress is not None:
                    self.on_progress(progress)
            elif message.type is aiohttp.WSMsgType.BINARY:
                frame = self.watch.binary(message.data)
                if frame is not None and self.on_frame is not None:
                    self.on_frame(frame)
            else:  # closed, or broken: history goes on telling
                await asyncio.sleep(min(self.look_seconds, CLOSED_SECONDS))
                return
        await asyncio.sleep(AFTER_SECONDS)


def _outcome(host: ComfyHost, prompt_id: str, entry: Mapping[str, Any]) -> Rendered:
    """Raises `RenderError` where the history says that it did not end well."""
    status = entry.get("status")
    status = status if isinstance(status, Mapping) else {}
    if status.get("status_str") != "success":
        raise failure(host, status.get("messages"))
    return _rendered(prompt_id, entry.get("outputs"), _seconds(status.get("messages")))


def _filed(host: ComfyHost, filed: Filed) -> Rendered | None:
    """Raises `RenderError` where it did not end well; None where it has not ended."""
    if filed.state == "error":
        raise filed_failure(host, filed.error)
    return _rendered(filed.prompt_id, filed.outputs) if filed.state == "done" else None


def _rendered(prompt_id: str, outputs: object, seconds: float | None = None) -> Rendered:
    said = outputs if isinstance(outputs, Mapping) else {}
    kept = {str(node): value for node, value in said.items() if isinstance(value, Mapping)}
    return Rendered(prompt_id, tuple(_pictures(kept)), kept, seconds)


def _seconds(messages: object) -> float | None:
    """From the start to the end by the host's own clock."""
    moments: dict[str, float] = {}
    for message in messages if isinstance(messages, list) else ():
        match message:
            case [str(kind), {"timestamp": int() | float() as moment}]:
                moments[kind] = moment / 1000
    start, success = moments.get("execution_start"), moments.get("execution_success")
    return None if start is None or success is None else max(0.0, success - start)


def _pictures(outputs: Mapping[str, Mapping[str, Any]]) -> list[PictureRef]:
    """What `SaveImage` nodes kept; previews that ComfyUI throws away are not among them."""
    return [
        PictureRef(node, str(one["filename"]), str(one.get("subfolder", "")), str(one["type"]))
        for node, value in outputs.items()
        for one in value.get("images") or ()
        if isinstance(one, Mapping) and one.get("type") == "output" and one.get("filename")
    ]


def _lost(host: ComfyHost) -> HostUnavailable:
    return HostUnavailable(f"{host} lost the render: it was restarted. Ask for it again.", lost=True)


async def _give_up(host: ComfyHost, prompt_id: str) -> None:
    try:
        await host.cancel(prompt_id)
    except RenderError:
        return  # it is not there to be told
