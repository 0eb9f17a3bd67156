"""The memory nodes in a real ComfyUI, asking a real server over HTTP."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from server.api.services import CATALOG, REFERENCES
from server.catalog.items.drafts import ItemDraft
from server.catalog.records import Viewer
from tests.comfyui.client import Comfy, GraphFailed, connect
from tests.comfyui.graphs import Graph
from tests.comfyui.host import ComfyUI, running
from tests.comfyui.model_folders import write_models
from tests.harness import Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Both:
    """A server, and a ComfyUI whose environment has `key`."""

    server: Server
    comfyui: ComfyUI
    key: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    async with shared_server(tmp_path_factory.mktemp("companion") / "data") as server:
        body = {"name": "comfy", "scopes": ["recall", "remember"], "user_id": "owner"}
        _, made = await server.ask("POST", "/v1/admin/keys", json=body)
        base = tmp_path_factory.mktemp("comfyui-memory")
        write_models(base)
        environment = {"VESTIGE_SERVER": server.url, "VESTIGE_SERVER_KEY": made["secret"]}
        with running(base, {"vestige": None}, env=environment) as comfyui:
            yield Both(server, comfyui, made["secret"])


@pytest_asyncio.fixture(loop_scope="module")
async def comfy(both: Both) -> AsyncIterator[Comfy]:
    async with connect(both.comfyui.url) as comfy:
        yield comfy


async def talked(server: Server) -> str:
    mira = await server.character(name="Mira Sol", description="Red hair, green eyes.")
    for text in ("My cat is called Ophelia", "We met on the pier in the evening"):
        server.fake.next("I remember.")
        assert (await server.say(mira, text))[0] == 200
    return mira


async def dressed(server: Server, mira: str) -> str:
    """In a coat with a picture; its sha256."""
    catalog, out = server.app[CATALOG], BytesIO()
    Image.new("RGB", (600, 800), (180, 20, 20)).save(out, "PNG")
    picture = await server.app[REFERENCES].add(out.getvalue(), "home", None)
    draft = ItemDraft(title="Red coat", prompt_hint="a long red coat", reference=picture.sha256, public=True)
    item = await catalog.items.create("home", draft, Viewer("owner", admin=True))
    await catalog.inventory.grant("home", "owner", item, "granted")
    await catalog.worn.put("home", "owner", mira, item.id)
    return picture.sha256


def whole(mira: str) -> Graph:
    """From memory to a saved picture that the companion is told of."""
    graph = Graph()
    memory = graph.add("Vestige_RecallMemory", "memory", character=mira, query="where did we meet", tokens=400)
    worn = graph.add("Vestige_WornOutfit", "worn", character=mira)
    reference = graph.add("Vestige_LoadReference", "reference", picture="reference.png", sha256=worn[2])
    scene = graph.add(
        "Vestige_SceneFromMemory",
        "scene",
        scene="Mira smiling",
        composition="full body",
        most_tokens=75,
        memory=memory[0],
        worn=worn[0],
    )
    graph.add("PreviewAny", "prompt", source=scene[0])
    graph.add("PreviewAny", "text", source=memory[1])
    graph.add("SaveImage", "saved", images=reference[1], filename_prefix="memory")
    graph.add(
        "Vestige_RememberPicture",
        "told",
        images=reference[1],
        character=mira,
        worn=worn[0],
        preset="starter-sdxl-realistic@1",
    )
    return graph


async def test_from_memory_to_a_picture_that_the_companion_knows_of(both: Both, comfy: Comfy) -> None:
    server = both.server
    mira = await talked(server)
    sha256 = await dressed(server, mira)
    Image.new("RGB", (64, 64)).save(both.comfyui.base / "input" / "reference.png")
    run = await comfy.run(whole(mira))
    prompt = run.ui["prompt"]["text"][0]
    assert prompt == "full body, wearing a long red coat, smiling, on a pier, evening"
    assert run.ui["scene"]["vestige_lines"][0].endswith(" of 75 tokens")
    assert "pier" in run.ui["text"]["text"][0]
    assert (both.comfyui.base / "user" / "__vestige" / "references" / sha256[:2] / sha256).is_file()
    said = [one["text"] for one in await server.messages(mira)]
    assert said.count("(Owner made a picture of Mira Sol wearing Red coat.)") == 1


async def test_the_same_memory_is_not_read_again_and_a_changed_one_is(both: Both, comfy: Comfy) -> None:
    server = both.server
    mira = await talked(server)
    graph = Graph()
    memory = graph.add("Vestige_RecallMemory", "memory", character=mira, query="", tokens=400)
    graph.add("PreviewAny", "text", source=memory[1])
    assert "memory" in (await comfy.run(graph)).executed
    assert "memory" in (await comfy.run(graph)).cached
    server.fake.next("Noted.")
    await server.say(mira, "I moved to Riga")
    run = await comfy.run(graph)
    assert "memory" in run.executed
    assert "Riga" in run.ui["text"]["text"][0]
    assert "memory" in (await comfy.run(graph)).cached


async def test_who_somebody_is(both: Both, comfy: Comfy) -> None:
    mira = await talked(both.server)
    graph = Graph()
    who = graph.add("Vestige_Character", "who", character=mira)
    for name, output in (("name", 0), ("appearance", 1), ("lora", 2)):
        graph.add("PreviewAny", name, source=who[output])
    run = await comfy.run(graph)
    assert [run.ui[name]["text"][0] for name in ("name", "appearance", "lora")] == [
        "Mira Sol",
        "Red hair, green eyes.",
        "",
    ]


async def test_tokens_are_clips_own(both: Both, comfy: Comfy) -> None:
    graph = Graph()
    scene = graph.add(
        "Vestige_SceneFromMemory",
        "scene",
        scene="a photograph of an astronaut, riding a horse, extraordinarily photorealistic chrysanthemums",
        composition="as the scene says",
        most_tokens=10,
    )
    graph.add("PreviewAny", "prompt", source=scene[0])
    graph.add("PreviewAny", "tokens", source=scene[1])
    run = await comfy.run(graph)
    assert run.ui["prompt"]["text"][0] == "a photograph of an astronaut, riding a horse"
    assert run.ui["tokens"]["text"][0] == "9"


async def test_nobody_is_named_is_a_sentence(both: Both, comfy: Comfy) -> None:
    graph = Graph()
    memory = graph.add("Vestige_RecallMemory", "memory", character="nobody-here", query="", tokens=100)
    graph.add("PreviewAny", "text", source=memory[1])
    with pytest.raises(GraphFailed, match="There is no such character"):
        await comfy.run(graph)


async def test_the_key_is_in_no_picture_no_answer_and_no_log(both: Both, comfy: Comfy) -> None:
    mira = await talked(both.server)
    await dressed(both.server, mira)
    Image.new("RGB", (64, 64)).save(both.comfyui.base / "input" / "reference.png")
    await comfy.run(whole(mira))
    for path in ("/history", "/object_info", "/queue", "/settings", "/system_stats"):
        assert both.key not in json.dumps(await comfy.get(path))
    files = [path for path in both.comfyui.base.rglob("*") if path.is_file() and "models" not in path.parts]
    assert any(path.parent.name == "output" and path.suffix == ".png" for path in files)
    assert [path for path in files if both.key.encode() in path.read_bytes()] == []


async def test_away_it_fails_with_a_sentence_or_goes_on_empty_with_a_badge(both: Both, tmp_path: Path) -> None:
    write_models(tmp_path)
    environment = {"VESTIGE_SERVER": "http://127.0.0.1:9", "VESTIGE_SERVER_KEY": both.key}
    with running(tmp_path, {"vestige": None}, env=environment) as comfyui:
        async with connect(comfyui.url) as comfy:
            graph = Graph()
            memory = graph.add("Vestige_RecallMemory", "memory", character="mira", query="", tokens=100)
            graph.add("PreviewAny", "text", source=memory[1])
            with pytest.raises(GraphFailed, match="does not answer"):
                await comfy.run(graph)
            graph.set(memory, when_away="go on empty")
            run = await comfy.run(graph)
            assert run.ui["text"]["text"][0] == ""
            assert "does not answer" in run.ui["memory"]["vestige_away"][0]
            assert "memory" in (await comfy.run(graph)).cached
        assert both.key not in comfyui.log
