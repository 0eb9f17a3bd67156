"""What the node pack asks over HTTP: reads for a key that is bound to one person, and one kind of note."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.api.services import CATALOG
from server.catalog.items.drafts import ItemDraft
from server.catalog.records import Viewer
from server.memory.tokens import estimate_tokens
from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("companion") / "data") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pack(server: Server) -> Server:
    """With the key that a GPU operator would make for the owner."""
    body = {"name": "comfy", "scopes": ["recall", "remember"], "user_id": "owner"}
    _, made = await server.ask("POST", "/v1/admin/keys", json=body)
    return server.with_token(made["secret"])


async def talked(server: Server, **fields: Any) -> str:
    mira = await server.character(**fields)
    for text in ("My cat is called Ophelia", "I sail every Sunday", "We met on the pier in the evening"):
        server.fake.next("I see.")
        assert (await server.say(mira, text))[0] == 200
    return mira


async def get(server: Server, path: str) -> Json:
    status, body = await server.ask("GET", path)
    assert status == 200, body
    return body


async def did(server: Server, method: str, path: str, body: Json) -> None:
    status, answer = await server.ask(method, path, json=body)
    assert status in (200, 201), answer


async def test_the_index_says_what_the_key_may_do(pack: Server, server: Server) -> None:
    mira = await server.character(name="Mira")
    found = await get(pack, "/v1/companion")
    assert found["api"] == 1
    assert found["writes"] is True
    assert {"id": mira, "name": "Mira"} in found["characters"]


async def test_memory_is_text_within_its_budget_with_where_it_came_from(pack: Server, server: Server) -> None:
    mira = await talked(server)
    found = await get(pack, f"/v1/companion/{mira}/memory?q=what+is+the+cat+called&tokens=300")
    assert "Ophelia" in found["text"]
    assert estimate_tokens(found["text"]) == found["tokens"] <= 300
    assert [one["id"] for one in found["recent"]]
    little = await get(pack, f"/v1/companion/{mira}/memory?tokens=50")
    assert little["tokens"] <= 50
    assert little["memories"] == []


async def test_someone_new_has_nothing_and_no_error(pack: Server, server: Server) -> None:
    mira = await server.character()
    found = await get(pack, f"/v1/companion/{mira}/memory?q=anything")
    assert (found["text"], found["summary"], found["recent"]) == ("", None, [])
    assert await get(pack, f"/v1/companion/{mira}/worn") == {"item": None}
    assert (await pack.ask("GET", f"/v1/companion/{mira}/worn/picture"))[0] == 404


async def test_the_state_changes_with_what_it_stands_for_and_with_nothing_else(pack: Server, server: Server) -> None:
    mira = await talked(server)
    path = f"/v1/companion/{mira}/state"
    before = await get(pack, path)
    assert await get(pack, path) == before
    await get(pack, f"/v1/companion/{mira}/memory?q=cat")
    assert await get(pack, path) == before

    messages = await server.messages(mira)
    await did(server, "PATCH", f"/v1/chat/{mira}/messages/{messages[-1]['id']}", {"text": "I see it now."})
    edited = await get(pack, path)
    assert edited["memory"] != before["memory"]
    assert (edited["worn"], edited["character"]) == (before["worn"], before["character"])

    await did(server, "POST", f"/v1/memory/{mira}/pins", {"text": "Likes the sea."})
    pinned = await get(pack, path)
    assert pinned["memory"] != edited["memory"]
    await did(server, "PUT", f"/v1/characters/{mira}", {"description": "Tall, with red hair."})
    changed = await get(pack, path)
    assert changed["character"] != pinned["character"]
    assert changed["memory"] == pinned["memory"]


async def test_an_unchanged_state_is_304(pack: Server, server: Server) -> None:
    mira = await server.character()
    url = f"{pack.url}/v1/companion/{mira}/state"
    async with pack.session.get(url, headers=pack.headers()) as response:
        etag = response.headers["ETag"]
    async with pack.session.get(url, headers=pack.headers({"If-None-Match": etag})) as response:
        assert response.status == 304


async def test_a_character_is_told_as_the_person_knows_it(pack: Server, server: Server) -> None:
    mira = await server.character(name="Mira", description="{{char}} has red hair and knows {{user}}.")
    found = await get(pack, f"/v1/companion/{mira}")
    assert found["appearance"] == "Mira has red hair and knows Owner."
    assert found["lora"] is None


async def test_what_is_worn(pack: Server, server: Server) -> None:
    mira = await server.character()
    catalog = server.app[CATALOG]
    owner = Viewer("owner", admin=True)
    draft = ItemDraft(title="Red coat", category="coats", prompt_hint="a long red coat", public=True)
    item = await catalog.items.create("home", draft, owner)
    await catalog.inventory.grant("home", "owner", item, "granted")
    before = (await get(pack, f"/v1/companion/{mira}/state"))["worn"]
    await catalog.worn.put("home", "owner", mira, item.id)
    worn = (await get(pack, f"/v1/companion/{mira}/worn"))["item"]
    assert (worn["id"], worn["title"], worn["prompt_hint"]) == (item.id, "Red coat", "a long red coat")
    assert (await get(pack, f"/v1/companion/{mira}/state"))["worn"] != before


async def test_a_picture_is_noted_once_and_the_companion_can_speak_of_it(pack: Server, server: Server) -> None:
    mira = await talked(server, name="Mira")
    body = {"key": "a" * 64, "preset": "starter-sdxl-realistic@1", "note": "on the pier"}
    path = f"/v1/companion/{mira}/pictures"
    assert await pack.ask("POST", path, json=body) == (201, {"noted": True})
    assert await pack.ask("POST", path, json=body) == (200, {"noted": False})
    said = [one["text"] for one in await server.messages(mira)]
    assert said.count("(Owner made a picture of Mira: on the pier)") == 1
    server.fake.next("I liked it.")
    await server.say(mira, "Did you see it?")
    assert "made a picture of Mira" in json.dumps(server.fake.requests[-1].messages)


@pytest.mark.parametrize(
    ("scopes", "user", "method", "path", "status"),
    [
        (["recall"], "owner", "POST", "/pictures", 403),
        (["chat"], "owner", "GET", "/memory", 403),
        (["recall"], None, "GET", "/memory", 403),
        (["recall"], "owner", "GET", "/memory", 200),
        (["recall", "remember"], "owner", "POST", "/pictures", 201),
    ],
)
async def test_a_key_reads_unless_it_says_otherwise(
    server: Server, scopes: list[str], user: str | None, method: str, path: str, status: int
) -> None:
    mira = await server.character()
    body = {"name": "a key", "scopes": scopes, "user_id": user}
    _, made = await server.ask("POST", "/v1/admin/keys", json=body)
    key = server.with_token(made["secret"])
    sent = {"json": {"key": f"{mira}-picture"}} if method == "POST" else {}
    assert (await key.ask(method, f"/v1/companion/{mira}{path}", **sent))[0] == status
    for other in ("/v1/chat/" + mira + "/messages", "/v1/memory/" + mira + "/export", "/v1/admin/users"):
        if "chat" not in scopes:
            assert (await key.ask("GET", other))[0] == 403


async def test_anothers_companion_is_not_found(server: Server, pack: Server) -> None:
    ada = await server.as_user("Ada", "chat", "characters", "recall")
    hers = await ada.character(name="Hers", shared=False)
    assert (await pack.ask("GET", f"/v1/companion/{hers}/memory"))[0] == 404
    assert (await pack.ask("GET", f"/v1/companion/{hers}/memory?user_id={hers}"))[0] in (400, 403, 404)
