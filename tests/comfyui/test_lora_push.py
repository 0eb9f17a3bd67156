"""LoRAs from the registry to a real ComfyUI: sent in pieces, seen at once, worn by a render."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.loras.files import LoraFiles
from server.loras.push import Pusher, open_pusher
from server.loras.records import LoraVersion
from server.loras.registry import Registry
from server.settings import Settings
from server.stores.objects_open import open_objects
from server.stores.redis import RedisPair
from tests.comfyui.client import Comfy
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph
from tests.comfyui.host import ComfyUI
from tests.loras import lora_files as made

PIECE = 4 << 20
LARGE = 64 << 20

Add = Callable[[str, bytes], object]


@pytest.fixture
async def shelf(
    comfyui: ComfyUI, redis_pair: RedisPair, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[tuple[Callable, Pusher]]:
    """`add(name, data) -> LoraVersion`, and a pusher to this ComfyUI."""
    registry = Registry(redis_pair.busy)
    async with (
        open_objects(make_settings(objects_url=str(tmp_path / "objects"))) as objects,
        open_pusher([("gpu", comfyui.url, PACK_TOKEN)], objects, registry) as pusher,
    ):
        pusher._piece_bytes = PIECE

        async def add(name: str, data: bytes) -> LoraVersion:
            async def stream() -> AsyncIterator[bytes]:
                file = io.BytesIO(data)
                while piece := file.read(1 << 20):
                    yield piece

            file, _ = await LoraFiles(objects, tmp_path / "spool").take(stream())
            record, _ = await registry.add("home", name, file, by="owner")
            return LoraVersion(name, record.version, file.sha256)

        yield add, pusher


async def test_a_version_is_sent_and_worn(comfy: Comfy, comfyui: ComfyUI, shelf: tuple[Callable, Pusher]) -> None:
    add, pusher = shelf
    loras = comfyui.base / "models" / "loras"
    version = await add("rosa", (loras / "mira_v1.safetensors").read_bytes())
    await pusher.ensure("gpu", version)

    info = await comfy.node_info("LoraLoader")
    assert "vestige/rosa_v1.safetensors" in info["input"]["required"]["lora_name"][0]
    graph = Graph()
    checkpoint = graph.checkpoint()
    worn = [
        graph.add(
            "Vestige_LoadCharacterLora",
            model=checkpoint[0], clip=checkpoint[1], character=name, version="1",
            strength_model=0.8, strength_clip=0.8, other_lineage=False,
        )
        for name in ("rosa", "mira")
    ]  # fmt: skip
    shown = [graph.picture(each[0], each[1], checkpoint[2]) for each in worn]
    run = await comfy.run(graph)
    ours, theirs = [(await comfy.pictures(run, each))[0].tobytes() for each in shown]
    assert ours == theirs
    assert await pusher.verify("home", version) == {"gpu": "sound"}


async def test_a_large_one_is_broken_off_and_resumed(comfyui: ComfyUI, shelf: tuple[Callable, Pusher]) -> None:
    add, pusher = shelf
    folder = comfyui.base / "models" / "loras" / "vestige"
    rows = LARGE // (2 * 4096 * 8)
    version = await add("nadia", made.lora({f"lora_unet_{at}.lora_down.weight": (rows, 4096) for at in range(8)}))

    def arrived() -> int:
        return sum(part.stat().st_size for part in folder.glob("nadia_v1.*.part"))

    sending = asyncio.create_task(pusher.ensure("gpu", version))
    async with asyncio.timeout(60):
        while arrived() < 3 * PIECE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    kept = arrived()
    assert 3 * PIECE <= kept < LARGE
    before = pusher._bytes.labels("gpu")._value.get()
    await pusher.ensure("gpu", version)
    assert pusher._bytes.labels("gpu")._value.get() - before <= LARGE - kept + PIECE + 4096
    assert (await pusher.verify("home", version)) == {"gpu": "sound"}
    assert not list(folder.glob("*.part"))
