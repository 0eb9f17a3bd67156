"""QA grids, from an ask to the sheet: a server, a worker and a ComfyUI that paints what it is told."""

import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from server.api.services import LORAS, OBJECTS
from server.app import FOLDER
from server.cli.running import Running, announced
from server.render.grids.model import SEEDS, STANDARD
from server.render.sheet import GAP, MARGIN
from tests.harness import Json, until
from tests.loras import lora_files as made
from tests.render.graphs.described import described
from tests.render.previews.studio import Studio, photo, studio_in
from tests.system.instance import vestige_run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

COLOURS = {1: (200, 30, 40), 2: (30, 200, 40)}
PLACE = "/v1/admin/loras/otis/versions/2/grids"
PROMPTS = ["in a garden", "at night, under lanterns"]
FILES = ("vestige/otis_v1.safetensors", "vestige/otis_v2.safetensors")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """The character wears the LoRA of otis, which has two versions; each is painted in its own colour."""
    comfy = {"nodes": described(loras=FILES)}
    async with studio_in(tmp_path_factory.mktemp("grids") / "data", comfy=comfy) as opened:
        (host,) = opened.hosts
        host.picture = lambda prompt_id: photo(COLOURS[_version(host.graphs[prompt_id])])
        for seed in (1, 2):
            await _add(opened, seed)
        await opened.look(opened.character, lora="otis")
        yield opened


async def _add(studio: Studio, seed: int) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield made.lora(fill=seed.to_bytes(2, "little"))

    loras = studio.server.app[LORAS]
    file, _ = await loras.take("home", stream())
    await loras.add("home", "otis", file.sha256, by="owner")


def _version(graph: object) -> int:
    text = json.dumps(graph)
    return 2 if "otis_v2" in text or '"version": "2"' in text else 1


def photo_size() -> tuple[int, int]:
    return Image.open(io.BytesIO(photo())).size


def _nearest(colour: object) -> int:
    """The version that is painted in this colour."""
    assert isinstance(colour, tuple)
    return min(COLOURS, key=lambda number: sum(abs(a - b) for a, b in zip(COLOURS[number], colour, strict=True)))


async def finished(studio: Studio, grid: Json) -> Json:
    found = grid

    async def so() -> bool:
        nonlocal found
        _, found = await studio.server.ask("GET", f"{PLACE}/{grid['id']}")
        return found["finished"]

    await until(so, 60)
    return found


async def test_two_versions_side_by_side(studio: Studio) -> None:
    before = studio.renders
    draft = {"against": 1, "prompts": PROMPTS, "seeds": [7, 11]}
    status, grid = await studio.server.ask("POST", PLACE, json=draft)
    assert (status, grid["total"], grid["character_id"]) == (202, 8, studio.character)
    done = await finished(studio, grid)
    assert (done["ready"], done["problems"]) == (8, [])
    assert studio.renders - before == 8

    status, sheet = await studio.server.ask("GET", done["sheet"])
    assert status == 200
    picture = Image.open(io.BytesIO(sheet)).convert("RGB")
    width, height = photo_size()
    across = [picture.getpixel((MARGIN + at * (width + GAP) + width // 2, MARGIN + height // 2)) for at in range(4)]
    assert [_nearest(colour) for colour in across] == [2, 1, 2, 1]  # both versions of one seed, then of the next
    graphs = [json.dumps(graph) for graph in studio.hosts[0].graphs.values()]
    for text in (*PROMPTS, '"seed": 7', '"seed": 11'):
        assert sum(text in graph for graph in graphs) == 4

    status, again = await studio.server.ask("POST", PLACE, json=draft)
    assert (status, again["id"], again["finished"]) == (202, grid["id"], True)
    assert studio.renders - before == 8
    assert (await studio.server.ask("GET", PLACE))[1] == {"grids": [grid["id"]]}


async def test_the_sheet_outlives_its_pictures(studio: Studio) -> None:
    _, grid = await studio.server.ask("POST", PLACE, json={"prompts": PROMPTS[:1], "seeds": [3]})
    done = await finished(studio, grid)
    _, sheet = await studio.server.ask("GET", done["sheet"])
    paths = [stored.path async for stored in studio.server.app[OBJECTS].list("grids/home/otis/v2")]
    assert f"grids/home/otis/v2/{grid['id']}.png" in paths
    shelf = studio.pictures.previews.shelf
    await shelf.remove("home", await shelf.keys("home"))
    assert (await studio.server.ask("GET", done["sheet"])) == (200, sheet)
    assert (await studio.server.ask("GET", f"{PLACE}/{grid['id']}"))[1]["ready"] == 1


async def test_the_standard_grid_is_always_the_same(studio: Studio) -> None:
    studio.hosts[0].pause = 5.0
    _, grid = await studio.server.ask("POST", PLACE)
    assert [prompt["label"] for prompt in grid["prompts"]] == [prompt.label for prompt in STANDARD]
    assert (grid["seeds"], grid["total"]) == (list(SEEDS), len(STANDARD) * len(SEEDS))
    status, refused = await studio.server.ask("GET", grid["sheet"])
    assert (status, refused["error"]["code"]) == (409, "conflict")
    assert "are still to come" in refused["error"]["message"]
    for job in (await studio.server.ask("GET", "/v1/admin/jobs"))[1]["jobs"]:
        await studio.jobs.cancel(job["id"], None, anyway=True)
    studio.hosts[0].pause = 0.0


async def test_what_cannot_be_rendered(studio: Studio) -> None:
    for path, draft, status, says in (
        ("otis/versions/9", {}, 404, "There is no v9 of otis"),
        ("otis/versions/2", {"against": 2}, 400, "cannot be held against itself"),
        ("otis/versions/2", {"seeds": [1, 1]}, 400, "A seed is named twice"),
        ("otis/versions/2", {"seeds": list(range(17))}, 400, "That is 102 pictures"),
        ("otis/versions/2", {"prompts": [""]}, 400, "prompts"),
        ("otis/versions/2", {"character_id": "nobody"}, 404, "character"),
        ("otis/versions/live", {}, 404, "A version is a number"),
    ):
        answered, body = await studio.server.ask("POST", f"/v1/admin/loras/{path}/grids", json=draft)
        assert answered == status, body
        assert says.lower() in body["error"]["message"].lower()
    assert (await studio.server.ask("GET", f"{PLACE}/grid-1"))[0] == 404


async def test_a_lora_that_nobody_wears(studio: Studio) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield made.lora(fill=b"\x09\x00")

    loras = studio.server.app[LORAS]
    file, _ = await loras.take("home", stream())
    await loras.add("home", "nora", file.sha256, by="owner")
    status, body = await studio.server.ask("POST", "/v1/admin/loras/nora/versions/1/grids")
    assert (status, body["error"]["details"]["field"]) == (400, "character_id")
    assert "No character's look wears nora" in body["error"]["message"]


async def test_from_the_shell(studio: Studio, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    ask = ("lora", "grid", "otis", "v2", "--against", "v1", "--seed", "5", "--out", str(out), "--prompt")
    with announced(studio.server.app[FOLDER], Running(os.getpid(), studio.server.url, studio.server.token)):
        code, said, err = await vestige_run(*ask, "in the rain", "--data", str(studio.settings.data))
        assert (code, err) == (0, "")
        assert f"{out}: 2 pictures of otis in the look of {studio.character}" in " ".join(said.split())
        assert Image.open(io.BytesIO(out.read_bytes())).format == "PNG"
        studio.hosts[0].fail_with = "CUDA is not what it was"
        code, said, err = await vestige_run(*ask, "in the dark", "--data", str(studio.settings.data))
        studio.hosts[0].fail_with = None
    assert code == 1
    assert "2 pictures are missing. " in " ".join(err.split())
