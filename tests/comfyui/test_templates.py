"""Every graph of `workflows/api/` runs on the real thing, with all of its nodes and without the optional ones."""

from collections.abc import Collection, Mapping

import pytest

from server.render.templates import FOLDER, Value, read_template
from tests.comfyui.client import Comfy
from tests.comfyui.graphs import Node
from tests.comfyui.host import IPADAPTER_PLUS

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.json"))
VALUES: dict[str, Value] = {
    "adapter": "coat.safetensors",
    "behaviour": "ipadapter_plus",
    "cfg": 5.0,
    "character": "mira",
    "checkpoint": "tiny-sdxl.safetensors",
    "embeds_scaling": "K+V",
    "encoder": "lens-a.safetensors",
    "end_at": 0.8,
    "filename_prefix": "templates/picture",
    "freeu": True,
    "freeu_b1": 1.3,
    "freeu_b2": 1.4,
    "freeu_s1": 0.9,
    "freeu_s2": 0.2,
    "height": 64,
    "layer_weights": "",
    "lora": "mira_v1.safetensors",
    "lora_clip": 0.8,
    "lora_model": 0.8,
    "negative": "blurred",
    "prompt": 'standing in a garden, "quoted", <tune:seed>',
    "reference": "dress.png",
    "sampler": "euler",
    "scheduler": "karras",
    "seed": 7,
    "start_at": 0.0,
    "steps": 4,
    "version": "live",
    "weight": 0.9,
    "weight_type": "linear",
    "width": 64,
}
CHANGES_THE_PICTURE: dict[str, dict[str, Value]] = {
    "character_portrait": {"version": "1", "lora_model": 0.1, "prompt": "at sea"},
    "character_portrait_core": {"lora_model": 0.1, "prompt": "at sea"},
    "outfit_preview": {
        "adapter": "hat.safetensors",
        "end_at": 0.3,
        "freeu": False,
        "lora_clip": 0.1,
        "reference": "shoe.jpg",
        "version": "1",
    },
    "outfit_preview_ipadapter_plus": {"reference": "shoe.jpg", "weight": 0.2, "lora_model": 0.1, "seed": 8},
}


def test_all_of_them_are_tried() -> None:
    assert sorted(CHANGES_THE_PICTURE) == SHIPPED


async def shades(
    comfy: Comfy, name: str, without: Collection[str] = (), changed: Mapping[str, Value] | None = None
) -> bytes:
    """The pixels it makes of `VALUES`."""
    if "ipadapter_plus" in name and not IPADAPTER_PLUS.is_dir():
        pytest.skip(f"NO IPADAPTER_PLUS at {IPADAPTER_PLUS}: set IPADAPTER_PLUS_DIR to run its template for real")
    template = read_template(name)
    values = {slot: value for slot, value in (VALUES | dict(changed or {})).items() if slot in template.slots}
    run = await comfy.run(template.fill(values, without))
    [picture] = await comfy.pictures(run, Node("picture"))
    assert picture.size == (64, 64)
    return picture.convert("RGB").tobytes()


@pytest.mark.parametrize("name", SHIPPED)
async def test_it_runs_and_each_value_that_matters_reaches_the_picture(comfy: Comfy, name: str) -> None:
    usual = await shades(comfy, name)
    assert len(set(usual)) > 30
    for slot, value in CHANGES_THE_PICTURE[name].items():
        assert await shades(comfy, name, changed={slot: value}) != usual, f"{slot} changes nothing"
    assert await shades(comfy, name) == usual


@pytest.mark.parametrize(
    ("name", "without"), [(name, node) for name in SHIPPED for node in sorted(read_template(name).optional)]
)
async def test_it_runs_without_an_optional_node(comfy: Comfy, name: str, without: str) -> None:
    assert await shades(comfy, name, [without]) != await shades(comfy, name)
