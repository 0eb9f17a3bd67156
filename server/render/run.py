"""Runs one graph on one host to its end, through lost messages and restarts."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from server.errors import HostUnavailable, RenderError
from server.render.host import ComfyHost
from server.render.types import Graph, PictureRef, Progress, Rendered
from server.render.watch import Watch

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


async def run(
    host: ComfyHost,
    graph: Graph,
    *,
    prompt_id: str | None = None,
    on_progress: OnProgress = lambda _: None,
    look_seconds: float = LOOK_SECONDS,
) -> Rendered:
    """Submits `graph` under `prompt_id` unless the host has it already, and waits for its end, however long it takes.

    The socket is for progress alone: whether it ended, and how, the host's history says. Cancelling takes the render
    off the host.

    Raises:
        GraphRejected: the host cannot run it.
        HostUnavailable: the host is gone, or forgot the render because it was restarted.
        RenderError: a node failed, or it was interrupted there.
    """
    prompt_id = prompt_id or str(uuid.uuid4())
    watch = Watch(prompt_id, graph)
    async with AsyncExitStack() as stack:
        client_id = uuid.uuid4().hex
        socket = await stack.enter_async_context(host.listen(client_id))
        await _submit(host, graph, prompt_id, client_id)
        try:
            return await _end(host, watch, prompt_id, socket, on_progress, look_seconds)
        except asyncio.CancelledError:
            await asyncio.shield(_give_up(host, prompt_id))
            raise


async def _submit(host: ComfyHost, graph: Graph, prompt_id: str, client_id: str) -> None:
    """Queues it once, also where an answer got lost: the host does not recognise an id that it has."""
    for left in reversed(range(TRIES)):
        try:
            if await host.finished(prompt_id) is None and await host.place(prompt_id) is None:
                await host.submit(graph, prompt_id, client_id)
            return
        except HostUnavailable:
            if not left:
                raise
            await asyncio.sleep(0.5 * (TRIES - left))


async def _end(
    host: ComfyHost,
    watch: Watch,
    prompt_id: str,
    socket: aiohttp.ClientWebSocketResponse,
    on_progress: OnProgress,
    look_seconds: float,
) -> Rendered:
    failures, lost_since = 0, None
    while True:
        await _listen(socket, watch, on_progress, look_seconds)
        try:
            entry = await host.finished(prompt_id)
            place = None if entry is not None else await host.place(prompt_id)
        except HostUnavailable:
            failures += 1
            if failures == TRIES:
                raise
            continue
        failures = 0
        if entry is not None:
            return _outcome(host, prompt_id, entry)
        if place is not None:
            lost_since = None
            if place:
                on_progress(Progress(0.0, waiting=place))
            continue
        lost_since = lost_since or time.monotonic()
        if time.monotonic() - lost_since > LOST_LOOKS * look_seconds:
            raise HostUnavailable(f"{host} lost the render: it was restarted. Ask for it again.")


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, watch: Watch, on_progress: OnProgress, seconds: float
) -> None:
    """Takes messages until the render ended, the socket closed or nothing was heard for `seconds`."""
    while not watch.ended:
        try:
            message = await socket.receive(timeout=seconds)
        except TimeoutError:
            return
        if message.type is aiohttp.WSMsgType.TEXT:
            progress = watch.text(message.data)
            if progress is not None:
                on_progress(progress)
        elif message.type is not aiohttp.WSMsgType.BINARY:  # closed, or broken: history goes on telling
            await asyncio.sleep(min(seconds, CLOSED_SECONDS))
            return
    await asyncio.sleep(AFTER_SECONDS)


def _outcome(host: ComfyHost, prompt_id: str, entry: Mapping[str, Any]) -> Rendered:
    """Raises `RenderError` where the history says that it did not end well."""
    status = entry.get("status")
    status = status if isinstance(status, Mapping) else {}
    if status.get("status_str") != "success":
        raise _failure(host, status.get("messages"))
    outputs = entry.get("outputs")
    outputs = {node: value for node, value in (outputs or {}).items() if isinstance(value, Mapping)}
    return Rendered(prompt_id, tuple(_pictures(outputs)), outputs)


def _pictures(outputs: Mapping[str, Mapping[str, Any]]) -> list[PictureRef]:
    """What `SaveImage` nodes kept; previews that ComfyUI throws away are not among them."""
    return [
        PictureRef(node, str(one["filename"]), str(one.get("subfolder", "")), str(one["type"]))
        for node, value in outputs.items()
        for one in value.get("images") or ()
        if isinstance(one, Mapping) and one.get("type") == "output" and one.get("filename")
    ]


def _failure(host: ComfyHost, messages: object) -> RenderError:
    for message in messages if isinstance(messages, list) else ():
        match message:
            case ["execution_interrupted", *_]:
                return RenderError(f"{host} interrupted the render. Ask for it again if that was not you.")
            case ["execution_error", {"node_type": node, "exception_message": said, **more}]:
                text = " ".join(str(said).split()) or str(more.get("exception_type"))
                return RenderError(
                    f"{host} failed at {node}: {text}", node=node, exception=str(more.get("exception_type", ""))
                )
    return RenderError(f"{host} failed without saying why: look at its log.")


async def _give_up(host: ComfyHost, prompt_id: str) -> None:
    try:
        await host.cancel(prompt_id)
    except RenderError:
        return  # it is not there to be told
