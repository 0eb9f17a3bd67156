"""`vestige outfit`, as a person at a shell uses it, against a host that renders nothing."""

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from server.cli.commands import app
from server.errors import VestigeError
from server.render.outfit import OUTFIT, OUTFIT_IPADAPTER_PLUS
from server.render.templates import read_template
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.system.instance import vestige_run

CHOICES: Mapping[tuple[str, str], list[str]] = {
    ("CheckpointLoaderSimple", "ckpt_name"): ["realvisxl_v5.safetensors", "animagine_4.safetensors"],
    ("KSampler", "sampler_name"): ["euler", "dpmpp_2m", "dpmpp_2m_sde"],
    ("KSampler", "scheduler"): ["normal", "karras"],
    ("LoraLoader", "lora_name"): ["ada_v2.safetensors"],
    ("IPAdapterModelLoader", "ipadapter_file"): ["ip-adapter-plus_sdxl_vit-h.safetensors", "other.safetensors"],
    ("CLIPVisionLoader", "clip_name"): ["encoder.safetensors"],
    ("Vestige_OutfitChain", "character"): ["none", "ada", "halina"],
}
PLUS = {node["class_type"] for node in read_template(OUTFIT_IPADAPTER_PLUS).nodes.values()}
OURS = {node["class_type"] for node in read_template(OUTFIT).nodes.values()}


def described(classes: set[str]) -> dict[str, Any]:
    """What a host with these nodes says of them."""
    return {
        name: {
            "input": {"required": {field: [options, {}] for (node, field), options in CHOICES.items() if node == name}}
        }
        for name in classes
    }


@pytest.fixture
def dress(tmp_path: Path) -> Path:
    path = tmp_path / "dress.png"
    Image.new("RGB", (40, 60), "red").save(path)
    return path


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def vestige(fake: FakeComfy, folder: Path, *arguments: "str | Path", **env: str) -> Ran:
    """The command in this process, which spares its start; `main` turns errors into lines."""
    given = ["outfit", "--comfy", fake.url, "--out", folder / "out", *arguments]

    def invoke() -> Ran:
        result = CliRunner(env=env).invoke(app, [str(one) for one in given])
        if isinstance(result.exception, VestigeError):
            return Ran(1, result.stdout, result.exception.message)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return await asyncio.to_thread(invoke)


async def test_as_a_process_it_prints_the_picture_s_path_and_nothing_else(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(OURS)) as fake:
        asked = ("--out", str(tmp_path / "out"), "--reference", str(dress), "--checkpoint", "realvis")
        code, out, err = await vestige_run("outfit", "--comfy", fake.url, *asked)
    assert code == 0, err
    assert out.strip() in [str(path) for path in (tmp_path / "out").iterdir()]
    assert "item is not recognisable" in err


def only(fake: FakeComfy) -> Mapping[str, Any]:
    (graph,) = fake.graphs.values()
    return graph


async def test_one_picture_with_our_pack(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(OURS | PLUS)) as fake:
        ran = await vestige(
            fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--lora", "ada@3", "--weight", "0.45",
            "--seed", "7", "--size", "512x768",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    saved = Path(ran.out.strip())
    assert saved.parent == tmp_path / "out"
    with Image.open(saved) as image:
        assert image.size == (1, 1)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    text = json.dumps(only(fake))
    assert "<tune:" not in text
    assert only(fake)["outfit"]["inputs"]["character"] == "ada"
    assert only(fake)["outfit"]["inputs"]["version"] == "3"
    assert only(fake)["tuning"]["inputs"]["weight"] == 0.45
    assert only(fake)["sampler"]["inputs"]["seed"] == 7
    assert only(fake)["reference"]["inputs"]["picture"] in fake.uploads
    assert "seed 7" in ran.err
    assert "--weight 0.40 or --end-at 0.75" in ran.err
    assert "--weight 0.50" in ran.err


async def test_one_picture_where_only_the_well_known_pack_is(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(PLUS)) as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--lora", "ada")
    assert ran.code == 0, ran.err
    graph = only(fake)
    assert graph["lora"]["inputs"]["lora_name"] == "ada_v2.safetensors"
    assert graph["adapter"]["inputs"]["ipadapter_file"] == "ip-adapter-plus_sdxl_vit-h.safetensors"
    assert graph["encoder"]["inputs"]["clip_name"] == "encoder.safetensors"
    assert "freeu" not in graph


async def test_without_a_character_the_lora_is_left_out(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(PLUS)) as fake:
        await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis")
    assert "lora" not in only(fake)
    async with fake_comfy(nodes=described(OURS)) as fake:
        await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis")
    assert only(fake)["outfit"]["inputs"]["character"] == "none"


async def test_a_preset_takes_the_place_of_the_numbers(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(OURS)) as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--preset", "silk@3")
    assert ran.code == 0, ran.err
    tuning = only(fake)["tuning"]
    assert (tuning["class_type"], tuning["inputs"]["preset"]) == ("Vestige_TuningPreset", "silk@3")


async def test_a_sweep_renders_each_cell_once_and_writes_a_sheet(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(OURS)) as fake:
        ran = await vestige(
            fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--sweep", "--seed", "1",
            "--axis", "weight=0.3:0.4", "--axis", "end_at=0.7,0.8",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    tunings = [graph["tuning"]["inputs"] for graph in fake.graphs.values()]
    assert [(one["weight"], one["end_at"]) for one in tunings] == [
        (0.3, 0.7), (0.3, 0.8), (0.35, 0.7), (0.35, 0.8), (0.4, 0.7), (0.4, 0.8)
    ]  # fmt: skip
    assert {graph["sampler"]["inputs"]["seed"] for graph in fake.graphs.values()} == {1}
    sheet = Path(ran.out.strip())
    assert sheet.name.endswith("-sheet.png")
    assert len(list(sheet.parent.iterdir())) == 7
    assert len(fake.uploads) == 1


async def test_a_sweep_of_a_preset_begins_with_its_values(tmp_path: Path, dress: Path) -> None:
    values = {"weight": 0.6, "end_at": 0.5, "start_at": 0.1, "weight_type": "ease in", "freeu": None}
    async with fake_comfy(nodes=described(OURS), presets={"silk/3": {"values": values}}, token="t") as fake:
        ran = await vestige(
            fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--sweep", "--preset", "silk@3",
            "--axis", "weight=0.6", VESTIGE_PACK_TOKEN="t",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    tunings = [graph["tuning"]["inputs"] for graph in fake.graphs.values()]
    assert [one["end_at"] for one in tunings] == [0.4, 0.45, 0.5, 0.55, 0.6]
    assert {(one["weight_type"], one["start_at"]) for one in tunings} == {("ease in", 0.1)}


async def test_what_was_rendered_before_a_failure_is_on_the_sheet(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described(OURS), fail_after=2, fail_with="out of memory") as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--sweep")
    assert ran.code == 1
    assert "out of memory" in ran.err
    assert sorted(path.name.endswith("-sheet.png") for path in (tmp_path / "out").iterdir()) == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--checkpoint", "flux"), "The host has no checkpoint 'flux'. There is: "),
        (("--checkpoint", "realvis", "--lora", "bob"), "no character 'bob'"),
        (("--checkpoint", "realvis", "--sampler", "dpmpp"), "Several files"),
        (("--checkpoint", "realvis", "--preset", "a@1", "--weight", "0.4"), "A preset has its own numbers"),
        (("--checkpoint", "realvis", "--axis", "weight=0.4"), "add --sweep"),
        (("--checkpoint", "realvis", "--size", "500x500"), "is no size"),
        (("--checkpoint", "realvis", "--comfy", "ftp://x"), "no address of a ComfyUI"),
        (("--checkpoint", "realvis", "--sweep", "--preset", "a@1"), "token"),
        (("--checkpoint", "realvis", "--reference", "{missing}"), "cannot be read: No such file"),
        (("--checkpoint", "realvis", "--reference", "{text}"), "not a picture"),
        (("--checkpoint", "realvis", "--out", "{text}"), "cannot be made"),
        (("--checkpoint", "realvis", "--sweep", "--axis", "weight=0:1:0.01", "--axis", "end_at=0:1"), "most"),
    ],
)
async def test_what_is_wrong_is_one_line_and_nothing_is_queued(
    tmp_path: Path, dress: Path, arguments: tuple[str, ...], said: str
) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    given = [argument.format(missing=tmp_path / "missing.png", text=text) for argument in arguments]
    async with fake_comfy(nodes=described(OURS), token="t") as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, *given)
    assert ran.code != 0
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert fake.graphs == {}


async def test_a_host_without_either_pack_is_told_of(tmp_path: Path, dress: Path) -> None:
    async with fake_comfy(nodes=described({"KSampler"})) as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis")
    assert ran.code == 1
    assert "neither Vestige's nodes nor IPAdapter_plus" in ran.err


async def test_the_sheet_is_one_a_person_can_read(tmp_path: Path, dress: Path) -> None:
    def coloured(prompt_id: str) -> bytes:
        made = io.BytesIO()
        Image.new("RGB", (200, 300), f"hsl({int(prompt_id[:4], 16) % 360}, 60%, 60%)").save(made, "PNG")
        return made.getvalue()

    async with fake_comfy(nodes=described(OURS), picture=coloured) as fake:
        ran = await vestige(fake, tmp_path, "--reference", dress, "--checkpoint", "realvis", "--sweep")
    assert len(fake.graphs) == 25
    with Image.open(ran.out.strip()) as sheet:
        assert sheet.width > 1_000
