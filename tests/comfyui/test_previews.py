"""From an ask to a picture on a real ComfyUI: over HTTP, and from an upload in the browser to the shop page."""

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from server.api.keys import SETTINGS
from server.api.services import FLEET, PICTURES
from server.render.worker.process import opened
from server.settings import Plan
from tests.browser.conftest import _clean_environment as _clean_environment
from tests.browser.conftest import browser as browser
from tests.browser.conftest import browser_settings
from tests.browser.conftest import chromium as chromium
from tests.browser.conftest import model as model
from tests.browser.conftest import server as server
from tests.browser.conftest import usual_window as usual_window
from tests.browser.conftest import visit as visit
from tests.browser.shop.counter import Shop, garment
from tests.browser.visitor import Arrive
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.host import ComfyUI
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE = (64, 96)
LOOK: Json = {
    "checkpoint": "tiny-sdxl.safetensors",
    "adapter": "coat.safetensors",
    "encoder": "lens-a.safetensors",
    "scene": {"prompt": "standing in a garden", "width": SIZE[0], "height": SIZE[1], "steps": 2, "sampler": "euler"},
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(
    tmp_path_factory: pytest.TempPathFactory, model: FakeOpenAI, comfyui: ComfyUI, _clean_environment: None
) -> AsyncIterator[Server]:
    """A server before the real host, once the host has told what its files are."""
    settings = browser_settings(
        tmp_path_factory.mktemp("previews") / "data",
        model,
        comfy_hosts={"gpu1": comfyui.url},
        comfy_token=PACK_TOKEN,
        render_workers=0,
        plans={"free": Plan(context_tokens=4_000, turns_per_minute=10_000)},
    )
    async with running(settings, model) as server:
        fleet = server.app[FLEET]

        async def hashed() -> bool:
            await fleet.probe("gpu1")
            files = await fleet.files()
            return bool(files) and None not in files.values()

        await until(hashed, 120)
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _worker(shared_server: Server) -> AsyncIterator[None]:
    async with opened(shared_server.app[SETTINGS]):
        yield


def begun(comfyui: ComfyUI) -> int:
    """How many renders the host was ever given; its history forgets those that are stored."""
    return comfyui.log.count("got prompt")


async def dressed(server: Server, hint: str) -> Json:
    """The body of an ask that nobody made before."""
    character = await server.character(name="Mira", shared=True)
    status, answer = await server.ask("PUT", f"/v1/characters/{character}/look", json=LOOK)
    assert status in (200, 201), answer
    headers = {"Content-Type": "image/png"}
    status, reference = await server.ask("POST", "/v1/references", data=garment(), headers=headers)
    assert status == 201, reference
    draft = {"title": "Coat", "category": "outfit", "reference": reference["sha256"], "prompt_hint": hint}
    status, item = await server.ask("POST", "/v1/items", json=draft)
    assert status == 201, item
    return {"character_id": character, "item_id": item["id"]}


async def ended(server: Server, id: str) -> Json:
    job: Json = {}

    async def over() -> bool:
        nonlocal job
        status, job = await server.ask("GET", f"/v1/jobs/{id}")
        assert status == 200, job
        return job["state"] in ("done", "failed", "cancelled", "dead")

    await until(over, 120)
    return job


async def test_many_asks_are_one_render_and_the_next_one_finds_it(server: Server, comfyui: ComfyUI) -> None:
    body, before = await dressed(server, "a wine red coat"), begun(comfyui)
    answers = await asyncio.gather(*(server.ask("POST", "/v1/previews", json=body) for _ in range(12)))
    (id,) = {answer["job"]["id"] for status, answer in answers if status == 202}
    shares = [event.data["job"]["share"] async for event in server.job_events(id) if event.name == "job"]
    assert shares == sorted(shares)
    job = await ended(server, id)
    assert job["state"] == "done", job
    status, preview = await server.ask("POST", "/v1/previews", json=body)
    assert (status, preview["state"]) == (200, "ready")
    assert begun(comfyui) - before == 1
    status, record = await server.ask("GET", f"/v1/previews/{preview['key']}/record")
    assert (status, record["host"], record["file"]) == (200, "gpu1", f"output/vestige/{preview['key']}_00001_.png")
    assert record["provenance"]["unverified"] == []
    status, picture = await server.ask("GET", preview["url"])
    with Image.open(io.BytesIO(picture)) as image:
        assert (status, image.format, image.size, image.info.get("exif")) == (200, "WEBP", SIZE, None)


async def spotless(server: Server) -> None:
    """Once the host has forgotten all that it is to."""
    forgetting = server.app[PICTURES].forgetting

    async def nothing() -> bool:
        return not await forgetting.todo.left()

    await until(nothing, 60)


async def test_a_picture_that_is_gone_here_and_there_is_made_anew(server: Server, comfyui: ComfyUI) -> None:
    """Though ComfyUI has not run anything else since, and would name a file that is deleted."""
    body = await dressed(server, "a bottle green coat")
    _, asked = await server.ask("POST", "/v1/previews", json=body)
    assert (await ended(server, asked["job"]["id"]))["state"] == "done"
    _, preview = await server.ask("POST", "/v1/previews", json=body)
    _, first = await server.ask("GET", preview["url"])
    await server.app[PICTURES].previews.shelf.remove("home", [preview["key"]])
    await spotless(server)
    _, asked = await server.ask("POST", "/v1/previews", json=body)
    assert (await ended(server, asked["job"]["id"]))["state"] == "done"
    assert (await server.ask("GET", preview["url"]))[1] == first


def pictures(comfyui: ComfyUI) -> set[str]:
    """Every file of its folders that is, or was made from, a picture."""
    found = (path for name in ("input", "output", "temp", "user") for path in (comfyui.base / name).rglob("*"))
    return {str(path.relative_to(comfyui.base)) for path in found if path.suffix in (".png", ".webp", ".safetensors")}


async def test_who_is_erased_is_nowhere_in_the_hosts_folders_nor_in_its_history(
    server: Server, comfyui: ComfyUI
) -> None:
    canary = "quetzal-7731"
    body = await dressed(server, "a plain coat")
    _, asked = await server.ask("POST", "/v1/previews", json=body)
    assert (await ended(server, asked["job"]["id"]))["state"] == "done"
    await spotless(server)
    before = pictures(comfyui)
    _, added = await server.ask("POST", "/v1/admin/users", json={"name": "Erin"})
    who = {"user_id": added["user"]["id"], "name": "phone", "scopes": ["catalog", "memory", "chat"]}
    _, made = await server.ask("POST", "/v1/admin/keys", json=who)
    erin = server.with_token(made["secret"])
    headers = {"Content-Type": "image/png"}
    _, reference = await erin.ask("POST", "/v1/references", data=garment("#123456"), headers=headers)
    draft = {"title": "Mine", "category": "outfit", "reference": reference["sha256"], "private": True}
    status, item = await erin.ask("POST", "/v1/items", json=draft)
    assert status == 201, item
    scenes = [{"scene": f"{canary} at night"}, {}]
    for scene in scenes:
        mine = {"character_id": body["character_id"], "item_id": item["id"], **scene}
        status, asked = await erin.ask("POST", "/v1/previews", json=mine)
        assert status == 202, asked
        assert (await ended(erin, asked["job"]["id"]))["state"] == "done"
    assert pictures(comfyui) - before  # the reference, at the least
    status, answer = await erin.ask("DELETE", "/v1/memory", params={"account": "true"})
    assert (status, answer["hosts"]) == (200, []), answer
    await spotless(server)
    assert pictures(comfyui) == before
    for path in comfyui.base.rglob("*"):
        if path.is_file() and path.parts[len(comfyui.base.parts)] not in ("models", "custom_nodes"):
            for word in (canary, reference["sha256"]):
                assert word not in path.name and word.encode() not in path.read_bytes(), path
    async with aiohttp.ClientSession() as session, session.get(f"{comfyui.url}/history") as response:
        history = await response.text()
    assert canary not in history and reference["sha256"] not in history


async def test_a_model_that_it_lacks_is_said_at_once(server: Server) -> None:
    body = await dressed(server, "a blue coat")
    look = LOOK | {"checkpoint": "nowhere.safetensors"}
    await server.ask("PUT", f"/v1/characters/{body['character_id']}/look", json=look)
    status, answer = await server.ask("POST", "/v1/previews", json=body)
    assert status == 502 and answer["error"]["code"] == "graph_rejected"
    assert "gpu1" in answer["error"]["message"] and "nowhere.safetensors" in answer["error"]["message"]


async def test_a_render_that_nobody_wants_is_taken_off_the_host(server: Server) -> None:
    body = await dressed(server, "a grey coat")
    long = LOOK | {"scene": LOOK["scene"] | {"steps": 120}}
    await server.ask("PUT", f"/v1/characters/{body['character_id']}/look", json=long)
    _, asked = await server.ask("POST", "/v1/previews", json=body)
    path = f"/v1/jobs/{asked['job']['id']}"

    async def begun() -> bool:
        return (await server.ask("GET", path))[1]["state"] == "running"

    await until(begun, 60)
    await server.ask("DELETE", path)
    assert (await ended(server, asked["job"]["id"]))["state"] == "cancelled"
    host = server.app[FLEET].host("gpu1")

    async def idle() -> bool:
        queue = await host.queue()
        return not queue.running and not queue.waiting

    await until(idle, 60)


@pytest.mark.browser
async def test_from_an_upload_in_the_browser_to_the_picture_on_the_page(
    visit: Arrive, server: Server, comfyui: ComfyUI
) -> None:
    nora = await visit("Nora", meets={"first_mes": "Good evening."})
    status, answer = await server.ask("PUT", f"/v1/characters/{nora.character}/look", json=LOOK)
    assert status in (200, 201), answer
    shop, before = Shop(nora, nora.character), begun(comfyui)
    await shop.open()
    await shop.upload("Red dress")
    await shop.button("Preview", "Red dress").click()
    await shop.is_shown("Red dress")
    assert await shop.picture("Red dress").evaluate("(image) => [image.naturalWidth, image.naturalHeight]") == [*SIZE]
    assert begun(comfyui) - before == 1
    await shop.page.reload()
    await shop.is_shown("Red dress")
