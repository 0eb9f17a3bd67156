"""The fleet on a real ComfyUI: from a request in the catalog's words to the picture, by the host's own names."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry
from yarl import URL

from server.errors import GraphRejected
from server.render.fleet.fleet import Fleet
from server.render.fleet.meters import FleetMeters
from server.render.fleet.state import FleetState
from server.render.graphs.build import build
from server.render.graphs.key import preview_key, unverified
from server.render.graphs.request import LoraVersion, PictureRequest
from server.render.host import ComfyHost
from server.render.outfit import Outfit, fill, template_for
from server.render.run import run
from server.render.types import Frame, Graph
from server.stores.redis import RedisPair
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.host import IPADAPTER_PLUS, ComfyUI
from tests.comfyui.model_folders import soft_picture

SMALL = {"width": 64, "height": 64, "steps": 2, "sampler": "euler", "seed": 3}


def png(seed: int = 0) -> bytes:
    kept = BytesIO()
    soft_picture((96, 160), seed).save(kept, "PNG")
    return kept.getvalue()


DRESS = png()


def asked(**changed: object) -> PictureRequest:
    fields = {
        "checkpoint": "tiny-sdxl.safetensors",
        "lora": LoraVersion("mira", 1),
        "adapter": "coat.safetensors",
        "encoder": "lens-a.safetensors",
        "reference": hashlib.sha256(DRESS).hexdigest(),
        "prompt": "standing in a garden",
    }
    return PictureRequest(**fields | SMALL | changed)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def fleet(comfyui: ComfyUI, redis_pair: RedisPair) -> AsyncIterator[Fleet]:
    async with aiohttp.ClientSession() as session:
        host = ComfyHost(session, URL(comfyui.url), token=PACK_TOKEN, name="gpu1")
        fleet = Fleet(FleetState(redis_pair.busy), {"gpu1": host}, FleetMeters(CollectorRegistry()))
        async with asyncio.timeout(60):
            while None in (await fleet.files()).values():
                await asyncio.sleep(0.1)
                await fleet.probe("gpu1")
        yield fleet


async def given() -> bytes:
    return DRESS


async def picture(host: ComfyHost, graph: Graph) -> bytes:
    rendered = await run(host, graph)
    with Image.open(BytesIO(await host.fetch(rendered.pictures[0]))) as image:
        return image.convert("RGB").tobytes()


async def test_from_a_request_to_the_picture(fleet: Fleet) -> None:
    [state] = await fleet.look()
    assert (state.usable, state.pack, state.opened, state.problems) == (True, "vestige", True, ())
    request = await fleet.complete(asked(preset="starter-sdxl-realistic@1"))
    graph, files = build(request), await fleet.files()
    assert unverified(graph, files) == ()
    key = preview_key(graph, files)
    chosen = await fleet.choose([await fleet.needs(graph)])
    assert chosen is not None
    claim, frames = chosen[1], list[Frame]()
    assert claim.keyed
    local = await fleet.localise(graph, claim.host, given)
    filed = f"{key}-{uuid.uuid4().hex}"
    rendered = await run(fleet.host("gpu1"), local, key=filed, on_frame=frames.append)
    await fleet.release(claim, prompt_id=rendered.prompt_id, seconds=rendered.seconds)
    again = await run(fleet.host("gpu1"), local, key=filed)
    assert (again.prompt_id, again.pictures) == (rendered.prompt_id, rendered.pictures)
    assert (await fleet.look())[0].warm == (await fleet.needs(graph)).models
    assert (await fleet.host("gpu1").fetch(rendered.pictures[0])).startswith(b"\x89PNG")


async def test_a_presets_values_make_the_picture_that_its_node_makes(fleet: Fleet) -> None:
    host = fleet.host("gpu1")
    resolved = build(await fleet.complete(asked(preset="starter-sdxl-realistic@1")))
    ours = await picture(host, await fleet.localise(resolved, "gpu1", given))
    nodes = await host.nodes()
    asked_there = Outfit(
        reference=f"vestige/{hashlib.sha256(DRESS).hexdigest()}.png",
        checkpoint="tiny-sdxl",
        lora="mira@1",
        preset="starter-sdxl-realistic@1",
        adapter="coat.safetensors",
        encoder="lens-a.safetensors",
        prompt="standing in a garden",
        negative="",
        **SMALL,
    )
    assert ours == await picture(host, fill(template_for(nodes, "gpu1"), asked_there, nodes))


async def test_every_template_is_one_it_takes(fleet: Fleet) -> None:
    made: set[bytes] = set()
    templates = ["outfit_preview", "character_portrait", "character_portrait_core"]
    if IPADAPTER_PLUS.is_dir():
        templates.append("outfit_preview_ipadapter_plus")
    for template in templates:
        graph = build(await fleet.complete(asked(template=template, tuning={"freeu": True})))
        made.add(await picture(fleet.host("gpu1"), await fleet.localise(graph, "gpu1", given)))
    assert len(made) >= len(templates) - 1  # both portraits are one picture


async def test_what_it_lacks_is_said_before_anything_is_sent(fleet: Fleet) -> None:
    for changed, message in (
        ({"checkpoint": "x.safetensors"}, "gpu1 has no checkpoint 'x.safetensors': put it into its models/checkpoints"),
        ({"lora": LoraVersion("mira", 99)}, "gpu1 has no character 'mira@99'"),
        ({"scheduler": "warp"}, "scheduler is 'warp': it must be one of"),
        ({"tuning": {"weight": 30.0}}, "weight is 30.0: it must be at most"),
    ):
        with pytest.raises(GraphRejected) as caught:
            await fleet.needs(build(await fleet.complete(asked(**changed))))
        assert message in caught.value.message
