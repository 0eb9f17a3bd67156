"""The whole way of a picture: a button in Telegram, the real server, a real worker, a ComfyUI of paper."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server.api.keys import SETTINGS
from server.render.worker.process import opened
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.fakes.telegram import FakeTelegram
from tests.harness import Json, Server, shared_server
from tests.render.graphs.described import CHECKPOINTS, described
from tests.render.previews.studio import photo
from tests.telegram.conftest import OWNER, options, polling

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfy() -> AsyncIterator[FakeComfy]:
    async with fake_comfy(nodes=described(), steps=4, pause=0.05, picture=lambda _: photo()) as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, comfy: FakeComfy) -> AsyncIterator[Server]:
    data = tmp_path_factory.mktemp("pictures") / "data"
    async with (
        shared_server(data, comfy_hosts={"gpu1": comfy.url}, render_workers=0) as running,
        opened(running.app[SETTINGS]),
    ):
        yield running


async def dressed(server: Server) -> Json:
    """The owner's character has a look, and the owner a coat."""
    mira = await server.character(name="Mira", shared=True)
    assert (await server.ask("PUT", "/v1/active-character", json={"character_id": mira}))[0] == 200
    scene = {"prompt": "in a garden", "width": 64, "height": 96, "steps": 4}
    status, look = await server.ask(
        "PUT", f"/v1/characters/{mira}/look", json={"checkpoint": CHECKPOINTS[1], "scene": scene}
    )
    assert status in (200, 201), look
    png = {"Content-Type": "image/png"}
    _, reference = await server.ask("POST", "/v1/references", data=photo(size=(320, 320)), headers=png)
    draft = {"title": "Red coat", "category": "outfit", "reference": reference["sha256"]}
    _, item = await server.ask("POST", "/v1/items", json=draft)
    status, granted = await server.ask("POST", "/v1/inventory", json={"item_id": item["id"], "user_id": "owner"})
    assert status in (200, 201), granted
    return {"character": mira, "item": item["id"]}


async def test_from_the_button_to_the_picture(server: Server, comfy: FakeComfy) -> None:
    made = await dressed(server)
    async with FakeTelegram() as telegram, polling(await options(server, telegram)):
        telegram.write(OWNER, "/items")
        await telegram.shows(OWNER, "Tap an item")
        show, wear = telegram.buttons(OWNER)
        assert (show["text"], wear["text"]) == ("Red coat", "put on")
        tapped = telegram.tap(OWNER, show["callback_data"], telegram.newest(OWNER))
        telegram.send(tapped | {"again": True})
        (photo_sent,) = await telegram.heard("sendPhoto")
        assert next(iter(photo_sent.files.values())).startswith(b"\xff\xd8")
        assert "Red coat" in photo_sent.fields["caption"]
        telegram.tap(OWNER, wear["callback_data"], telegram.newest(OWNER))
        await telegram.heard("sendPhoto", 1)
        telegram.write(OWNER, "/picture at the harbour")
        await telegram.heard("sendPhoto", 2)
    _, worn = await server.ask("GET", f"/v1/characters/{made['character']}/worn")
    assert worn["item"]["id"] == made["item"]
    pictures = [one for one in await server.messages(made["character"]) if one["picture"] is not None]
    assert [one["picture"]["state"] for one in pictures] == ["ready"] * 3
    assert pictures[-1]["picture"]["scene"] == "at the harbour"
    assert len(comfy.graphs) == 2  # the first two are one picture
