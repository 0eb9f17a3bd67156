"""`vestige outfit` on a real ComfyUI with the pack installed: a picture, a sheet, a preset, and a refusal."""

from pathlib import Path

import pytest
from PIL import Image

from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.host import ComfyUI
from tests.system.instance import vestige_run

SMALL = ("--size", "64x64", "--steps", "2", "--sampler", "euler", "--seed", "3", "--checkpoint", "tiny-sdxl")


@pytest.fixture
def dress(tmp_path: Path) -> Path:
    path = tmp_path / "dress.webp"
    Image.radial_gradient("L").resize((96, 160)).convert("RGB").save(path)
    return path


async def outfit(comfyui: ComfyUI, dress: Path, *arguments: str) -> tuple[int, str, str]:
    where = ("--comfy", comfyui.url, "--out", str(dress.parent / "out"), "--reference", str(dress))
    return await vestige_run("outfit", *where, *SMALL, *arguments, pack_token=PACK_TOKEN)


def pixels(path: str) -> bytes:
    with Image.open(path.strip()) as image:
        return image.convert("RGB").tobytes()


async def test_the_item_and_the_character_reach_the_picture(comfyui: ComfyUI, dress: Path) -> None:
    made = []
    for arguments in (("--lora", "mira"), ("--lora", "mira", "--weight", "0.9"), ("--weight", "0"), ("--lora", "mira")):
        code, out, err = await outfit(comfyui, dress, *arguments)
        assert code == 0, err
        made.append(pixels(out))
    assert len(set(made)) == 3
    assert made[0] == made[3]
    assert "item is not recognisable" in err


async def test_a_preset_and_a_sheet_around_it(comfyui: ComfyUI, dress: Path) -> None:
    preset = ("--preset", "starter-sdxl-realistic@1")
    code, out, err = await outfit(comfyui, dress, "--lora", "mira", *preset)
    assert code == 0, err
    alone = pixels(out)
    code, out, err = await outfit(
        comfyui, dress, "--lora", "mira", *preset, "--sweep", "--axis", "weight=0.35,0.4", "--axis", "end_at=0.8"
    )
    assert code == 0, err
    cells = [path for path in Path(out.strip()).parent.iterdir() if "weight" in path.name]
    assert len(cells) == 2
    assert alone in [pixels(str(path)) for path in cells]


async def test_what_a_node_refuses_is_one_line(comfyui: ComfyUI, dress: Path) -> None:
    code, out, err = await outfit(comfyui, dress, "--lora", "mira@99")
    assert (code, out) == (1, "")
    assert "99" in err
    assert "Traceback" not in err
