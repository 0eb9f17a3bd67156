"""The fake ComfyUI of the other tests sends what the real one sends: the same messages with the same parts."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from yarl import URL

from server.errors import GraphRejected
from server.render.host import ComfyHost
from server.render.run import run
from tests.comfyui.graphs import Graph
from tests.comfyui.host import ComfyUI
from tests.fakes.comfyui import fake_comfy

ID = "0f5c3a52-5a3c-4b8e-9d61-3f1f3f0c7a11"
OTHER = "0f5c3a52-5a3c-4b8e-9d61-3f1f3f0c7a12"
CHOSEN = ("execution_start", "execution_cached", "executing", "progress", "executed", "execution_success")


def graph() -> Mapping[str, Any]:
    made = Graph()
    checkpoint = made.checkpoint()
    preview = made.picture(checkpoint[0], checkpoint[1], checkpoint[2], seed=991)
    made.nodes[preview.id]["class_type"] = "SaveImage"
    made.set(preview, filename_prefix="fake")
    return made.nodes


def parts(value: object) -> object:
    """The shape of a message: keys all the way down, and no values."""
    if isinstance(value, Mapping):
        return {key: parts(one) for key, one in value.items() if key not in ("timestamp", "display_node")}
    return [parts(value[0])] if isinstance(value, list) and value else type(value).__name__


async def heard(session: aiohttp.ClientSession, url: str, prompt_id: str) -> dict[str, object]:
    """Each kind of message of one render, and the history, by their shapes."""
    host, found = ComfyHost(session, URL(url)), {}
    async with host.listen("listener") as socket:
        await host.submit(graph(), prompt_id, "listener")
        while True:
            message = await socket.receive(timeout=60)
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            if event["type"] in CHOSEN:
                found.setdefault(event["type"], parts(event["data"]))
            if event["type"] == "executing" and event["data"]["node"] is None:
                break
    entry = await host.finished(prompt_id)
    assert entry is not None
    found["history"] = parts({key: entry[key] for key in ("status",)})
    found["outputs"] = [parts(value) for value in entry["outputs"].values()]
    return found


async def test_a_render_is_told_in_the_same_words(comfyui: ComfyUI) -> None:
    async with aiohttp.ClientSession() as session, fake_comfy() as fake:
        pretended = await heard(session, fake.url, ID)
        real = await heard(session, comfyui.url, ID)
    for kind in CHOSEN:
        assert pretended[kind] == real[kind] or kind == "execution_cached", kind
    assert set(pretended) == set(real)
    assert pretended["outputs"] == real["outputs"]


async def test_the_real_one_is_run_fetched_and_cancelled_as_the_fake_is(comfyui: ComfyUI) -> None:
    async with aiohttp.ClientSession() as session:
        host = ComfyHost(session, URL(comfyui.url))
        shares: list[float] = []
        rendered = await run(host, graph(), on_progress=lambda progress: shares.append(progress.share))
        [picture] = rendered.pictures
        assert (await host.fetch(picture)).startswith(b"\x89PNG")
        assert shares == sorted(shares)
        assert await host.place(OTHER) is None
        assert await host.finished(OTHER) is None
        await host.cancel(OTHER)  # what the host does not know is no error


async def test_a_graph_it_refuses_is_said_in_sentences(comfyui: ComfyUI) -> None:
    made = Graph()
    loaded = made.add("LoadImage", image="dress.png")
    made.add("PreviewImage", images=made.add("ImageCrop", image=loaded, width=8, x=0, y=0))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(GraphRejected, match=r"Node 2 \(ImageCrop\): height is missing\."):
            await run(ComfyHost(session, URL(comfyui.url)), made.nodes)


async def test_a_node_it_does_not_have_is_named(comfyui: ComfyUI) -> None:
    made = Graph()
    made.add("PreviewImage", images=made.add("Nobody_HasThis"))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(GraphRejected, match="no node Nobody_HasThis: install the pack"):
            await run(ComfyHost(session, URL(comfyui.url)), made.nodes)
