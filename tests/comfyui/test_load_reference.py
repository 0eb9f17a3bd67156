"""Load Reference in a real ComfyUI: files and cached pictures, what is shown, and what is refused."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.comfyui.client import Comfy, GraphFailed, GraphRefused
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph, Node
from tests.comfyui.host import ComfyUI

AUTHORISED = {"Authorization": f"Bearer {PACK_TOKEN}"}


def picture(size: tuple[int, int] = (40, 100), mode: str = "RGB", format: str = "PNG", **options: Any) -> bytes:
    """Red above, blue below."""
    image = Image.new("RGB", size, "red")
    image.paste((0, 0, 255), (0, size[1] // 2, *size))
    out = io.BytesIO()
    image.convert(mode).save(out, format, **options)
    return out.getvalue()


@pytest.fixture
def files(comfyui: ComfyUI) -> Iterator[Path]:
    """A folder below ComfyUI's input folder."""
    folder = comfyui.base / "input" / "reference-tests"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def loading(**inputs: Any) -> tuple[Graph, Node, Node]:
    """A graph that loads a reference; with it the node, and one that tells the sha256."""
    graph = Graph()
    node = graph.add("Vestige_LoadReference", **({"picture": ""} | inputs))
    graph.add("PreviewImage", images=node[1])
    return graph, node, graph.add("Tiny_Report", value=node[3])


async def test_the_whole_picture_is_shown_in_a_square(comfy: Comfy, files: Path) -> None:
    (files / "dress.png").write_bytes(picture())
    graph, node, told = loading(picture="reference-tests/dress.png", fit="letterbox", background="#00ff00")
    run = await comfy.run(graph)
    [shown] = await comfy.pictures(run, node)
    assert shown.size == (100, 100)
    assert [shown.convert("RGB").getpixel(at) for at in ((50, 0), (50, 99), (0, 50), (99, 50))] == [
        (255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 255, 0)
    ]  # fmt: skip
    assert run.report(told) == hashlib.sha256(picture()).hexdigest()


async def test_it_is_known_by_its_content(comfy: Comfy, files: Path) -> None:
    (files / "dress.png").write_bytes(picture())
    graph, node, _ = loading(picture="reference-tests/dress.png")
    await comfy.run(graph)
    assert node.id not in (await comfy.run(graph)).executed
    (files / "dress.png").write_bytes(picture((60, 100)))
    assert node.id in (await comfy.run(graph)).executed


async def test_transparency_is_the_mask_and_is_shown(comfy: Comfy, files: Path) -> None:
    image = Image.new("RGBA", (50, 50), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (10, 10, 40, 40))
    image.save(files / "cut-out.webp", lossless=True)
    graph, node, _ = loading(picture="reference-tests/cut-out.webp")
    seen, mask = await comfy.pictures(await comfy.run(graph), node)
    assert [seen.convert("RGB").getpixel(at) for at in ((2, 2), (25, 25))] == [(255, 255, 255), (255, 0, 0)]
    assert [mask.convert("L").getpixel(at) for at in ((2, 2), (25, 25))] == [0, 255]


async def test_a_mask_from_a_link_goes_along(comfy: Comfy, files: Path) -> None:
    (files / "dress.png").write_bytes(picture((64, 64)))
    graph = Graph()
    mask = graph.add("SolidMask", value=1.0, width=64, height=64)
    node = graph.add("Vestige_LoadReference", picture="reference-tests/dress.png", mask=mask)
    shown = graph.add("PreviewImage", images=graph.add("MaskToImage", mask=node[2]))
    [picture_of_mask] = await comfy.pictures(await comfy.run(graph), shown)
    assert picture_of_mask.convert("L").getextrema() == (255, 255)
    graph.set(mask, width=65)
    with pytest.raises(GraphFailed, match="The mask is 65 × 64, the picture 64 × 64 pixels"):
        await comfy.run(graph)


async def test_a_cached_reference_by_its_sha256(comfy: Comfy) -> None:
    data = picture((30, 90), "CMYK", "JPEG", quality=95)
    headers = AUTHORISED | {"Content-Type": "image/jpeg"}
    async with comfy.http.post("/vestige/references", data=data, headers=headers) as added:
        sha256 = (await added.json())["sha256"]
    graph, node, told = loading(picture="no-such-file.png", sha256=f" {sha256.upper()} ")
    run = await comfy.run(graph)
    [shown] = await comfy.pictures(run, node)
    assert (shown.size, run.report(told)) == ((90, 90), sha256)

    async with comfy.http.delete(f"/vestige/references/{sha256}", headers=AUTHORISED) as gone:
        assert gone.status == 204
    with pytest.raises(GraphRefused, match="add the picture again"):
        await comfy.run(loading(sha256=sha256, fit="crop")[0])


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"picture": "no-such-file.png"}, "There is no picture 'no-such-file.png'"),
        ({"picture": "../models/checkpoints/tiny-sdxl.safetensors"}, "There is no picture"),
        ({"picture": "/etc/passwd"}, "There is no picture"),
        ({"picture": "../user/__vestige/references/lock [input]"}, "There is no picture"),
        ({"sha256": "../../etc/passwd"}, "named by its sha256"),
        ({"sha256": "0" * 64}, "No reference 000000000000… is in the cache"),
        ({"picture": "dress.png", "background": "tomato"}, "write it as #rrggbb"),
        ({"picture": "dress.png", "fit": "stretch"}, "must be one of pad, letterbox, crop"),
        ({"picture": "dress.png", "crop_x": 2}, "bigger than max"),
    ],
)
async def test_refused_before_it_is_queued(comfy: Comfy, inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphRefused, match=sentence):
        await comfy.run(loading(**inputs)[0])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "0 bytes"),
        (picture((1, 10_000)), "1 × 10000 pixels: an item cannot be seen in it"),
        (picture(save_all=True, append_images=[Image.new("RGB", (40, 100))]), "an animation of 2 frames"),
        (picture()[:-20], "damaged or cut off"),
        (picture(format="GIF"), "not a PNG, JPEG or WebP"),
    ],
    ids=["empty", "sliver", "animated", "truncated", "gif"],
)
async def test_bad_pictures_say_what_is_wrong(comfy: Comfy, files: Path, data: bytes, sentence: str) -> None:
    (files / "bad.png").write_bytes(data)
    with pytest.raises(GraphFailed, match=sentence):
        await comfy.run(loading(picture="reference-tests/bad.png")[0])
    with pytest.raises(GraphFailed, match="No reference is chosen"):
        await comfy.run(loading()[0])


async def test_every_input_and_output_explains_itself_and_new_files_are_listed(comfy: Comfy, comfyui: ComfyUI) -> None:
    new = comfyui.base / "input" / "new-dress.png"
    new.write_bytes(picture())
    try:
        info = (await comfy.get("/object_info/Vestige_LoadReference"))["Vestige_LoadReference"]
    finally:
        new.unlink()
    listed = info["input"]["required"]["picture"]
    assert "new-dress.png" in json.dumps(listed)
    assert listed[1]["image_upload"] is True  # and required: to no other input the editor gives a button
    assert all(spec[1]["tooltip"] for kind in info["input"].values() for spec in kind.values())
    assert all(info["output_tooltips"])


async def test_the_cache_is_not_among_what_comfyui_serves(comfyui: ComfyUI) -> None:
    async with aiohttp.ClientSession(comfyui.url) as http:
        headers = AUTHORISED | {"Content-Type": "image/png"}
        async with http.post("/vestige/references", data=picture(), headers=headers) as added:
            sha256 = (await added.json())["sha256"]
        path = f"references/{sha256[:2]}/{sha256}"
        for address in (
            f"/userdata/..%2F__vestige%2F{path.replace('/', '%2F')}",
            f"/userdata/{path.replace('/', '%2F')}",
            f"/view?filename={sha256}&subfolder=../user/__vestige/references/{sha256[:2]}&type=input",
        ):
            async with http.get(address, headers={"comfy-user": "__vestige"}) as response:
                assert response.status in (400, 403, 404)
            async with http.get(address) as response:
                assert response.status in (400, 403, 404)


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (AUTHORISED, 200),
        (AUTHORISED | {"Origin": "https://elsewhere.example"}, 403),
    ],
)
async def test_the_routes_need_the_token(comfyui: ComfyUI, prefix: str, headers: dict[str, str], status: int) -> None:
    async with aiohttp.ClientSession(comfyui.url) as http:
        for path in ("/vestige", "/vestige/references", "/vestige/presets"):
            async with http.get(prefix + path, headers=headers) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("https://127.0.0.1/dress.png", 422, "host_not_allowed"),
        ("http://pictures.example/dress.png", 422, "not_https"),
        ("https://pictures.example/dress.png?signature=topsecret", 502, "unreachable"),
    ],
)
async def test_fetching_by_the_button(comfy: Comfy, comfyui: ComfyUI, url: str, status: int, code: str) -> None:
    async with comfy.http.post("/vestige/references", json={"url": url}, headers=AUTHORISED) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)
    assert "topsecret" not in comfyui.log
