"""The fake ComfyUI of the other tests sends what the real one sends: the same messages with the same parts."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from yarl import URL

from server.errors import GraphRejected
from server.render.host import ComfyHost
from server.render.run import run
from server.render.types import Frame
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph
from tests.comfyui.host import ComfyUI
from tests.fakes.comfyui import PNG, fake_comfy

ID = "0f5c3a52-5a3c-4b8e-9d61-3f1f3f0c7a11"
OTHER = "0f5c3a52-5a3c-4b8e-9d61-3f1f3f0c7a12"
THIRD = "0f5c3a52-5a3c-4b8e-9d61-3f1f3f0c7a13"
CHOSEN = ("execution_start", "execution_cached", "executing", "progress", "executed", "execution_success")


def graph(seed: int = 991, prefix: str = "fake") -> Mapping[str, Any]:
    made = Graph()
    checkpoint = made.checkpoint()
    preview = made.picture(checkpoint[0], checkpoint[1], checkpoint[2], seed=seed)
    made.nodes[preview.id]["class_type"] = "SaveImage"
    made.set(preview, filename_prefix=prefix)
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
    await host.forget([prompt_id, OTHER])
    assert await host.finished(prompt_id) is None
    return found


async def test_a_render_is_told_in_the_same_words(comfyui: ComfyUI) -> None:
    async with aiohttp.ClientSession() as session, fake_comfy() as fake:
        pretended = await heard(session, fake.url, ID)
        real = await heard(session, comfyui.url, ID)
    for kind in CHOSEN:
        assert pretended[kind] == real[kind] or kind == "execution_cached", kind
    assert set(pretended) == set(real)
    assert pretended["outputs"] == real["outputs"]


async def told(session: aiohttp.ClientSession, url: str, key: str) -> dict[str, object]:
    """Everything that the fleet asks of a host, by its shape."""
    host, frames = ComfyHost(session, URL(url), token=PACK_TOKEN), list[Frame]()
    wanted = graph(4711, f"vestige/{key}")
    stats, listing, files = await host.stats(), await host.pack.listing(), await host.pack.models()
    described = await host.describe(["KSampler", "Nobody_HasThis"])
    rendered = await run(host, wanted, prompt_id=THIRD, key=key, on_frame=frames.append)
    filed = await host.pack.filed(key, wait=10)  # the pack writes it down just after the history
    assert rendered.seconds is not None
    assert await host.pack.filed("nothing-under-this-key") is None
    assert not await host.holds("vestige/nothing.png")
    upload, (picture,) = await host.upload(PNG, "png"), rendered.pictures
    assert await host.holds(upload) and await host.shows(picture)
    await host.free()
    with pytest.raises(GraphRejected, match="prompt id"):
        await run(host, wanted, prompt_id=THIRD, key=f"{key}-other")
    assert await host.pack.forget([(THIRD, key)], [upload[8:-4]], memory=True) == {}
    assert not (await host.holds(upload) or await host.shows(picture))
    assert (await host.finished(THIRD), await host.pack.filed(key)) == (None, None)
    return {
        "system": sorted({"comfyui_version", "argv", "os"} & set(stats["system"])),
        "device": sorted({"name", "vram_total", "vram_free"} & set(stats["devices"][0])),
        "pack": parts(listing),
        "files": {name: parts(value) for name, value in files.items() if name != "models"},
        "file": {name: type(value).__name__ for name, value in files["models"]["checkpoints"][0].items()},
        "described": sorted(described),
        "filed": [filed.state, len(filed.outputs), filed.error] if filed else None,
        "queue": await host.queue(),
        "frame": {type(frame.data) for frame in frames},
    }


async def test_hosts_are_asked_in_the_same_words(comfyui: ComfyUI) -> None:
    models = {"checkpoints": [{"file": "tiny.safetensors", "bytes": 7, "sha256": "a" * 64, "family": "sd15"}]}
    async with (
        aiohttp.ClientSession() as session,
        fake_comfy(token=PACK_TOKEN, nodes={"KSampler": {}, "Other": {}}, models=models) as fake,
        asyncio.timeout(60),
    ):
        while None in [one["sha256"] for one in await hashes(session, comfyui.url)]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        real = await told(session, comfyui.url, f"fake-{uuid.uuid4().hex}")
        pretended = await told(session, fake.url, "fake")
        stats = await ComfyHost(session, URL(comfyui.url)).stats()
    if stats["system"]["comfyui_version"].startswith("0.3."):  # these make live previews only as they were started
        real["frame"] = pretended["frame"]
    assert pretended == real


async def hashes(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    return (await ComfyHost(session, URL(url), token=PACK_TOKEN).pack.models())["models"]["checkpoints"]


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
