"""The catalog over HTTP: the shop and its keepers, uploads, inventories, gifts, looks and what is worn."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.api.keys import ACCOUNTS
from server.api.services import CATALOG, GATE
from server.policy.classifier import Intent
from server.policy.gate import Asker, Decision
from tests.catalog.references.conftest import plain
from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOK: Json = {"checkpoint": "sdxl/base.safetensors"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("catalog") / "data") as running_server:
        yield running_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anna(server: Server) -> Server:
    return await server.as_user("Anna")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ben(server: Server) -> Server:
    return await server.as_user("Ben")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(server: Server) -> Server:
    """A service's key for the catalog, of nobody in particular."""
    _, key = await server.app[ACCOUNTS].create_key("home", "Shop", ["catalog"])
    return Server(server.app, server.port, server.fake, server.session, key)


def user(person: Server) -> str:
    return person.made["user"]


async def do(
    who: Server, method: str, path: str, body: Json | None = None, status: int = 200, headers: Json | None = None
) -> Any:
    got, answer = await who.ask(method, path, json=body, headers=headers)
    assert got == status, answer
    return answer


async def refused(
    who: Server, method: str, path: str, body: Json | None = None, headers: Json | None = None
) -> tuple[int, str]:
    got, answer = await who.ask(method, path, json=body, headers=headers)
    return got, answer["error"]["code"]


async def item(who: Server, title: str = "Red coat", **fields: Any) -> Json:
    return await do(who, "POST", "/v1/items", {"title": title, **fields}, 201)


async def bring(who: Server, colour: tuple[int, int, int]) -> str:
    got, body = await who.ask(
        "POST", "/v1/references", data=io.BytesIO(plain(colour)), headers={"Content-Type": "image/png"}
    )
    assert got == 201, body
    return body["sha256"]


async def test_the_shop_is_for_everyone_to_see_and_for_its_keepers_to_change(
    server: Server, anna: Server, backend: Server
) -> None:
    made = await item(backend, "Red coat", price={"eur": 12}, category="coats")
    assert (made["editable"], made["owner"], made["private"]) == (True, None, False)
    seen = await do(anna, "GET", f"/v1/items/{made['id']}")
    assert seen == {**made, "editable": False, "etag": None}
    assert made["id"] in [each["id"] for each in (await do(anna, "GET", "/v1/items?category=coats"))["items"]]
    for method, body in (("PATCH", {"title": "Mine"}), ("DELETE", None)):
        assert await refused(anna, method, f"/v1/items/{made['id']}", body) == (403, "forbidden")
    assert await refused(anna, "POST", "/v1/items", {"title": "Mine"}) == (403, "forbidden")
    assert await refused(anna, "GET", "/v1/items?hidden=true") == (403, "forbidden")
    stale = {"If-Match": f'"{made["etag"]}"'}
    await do(server, "PATCH", f"/v1/items/{made['id']}", {"public": False}, headers=stale)
    assert await refused(server, "PATCH", f"/v1/items/{made['id']}", {"public": True}, headers=stale) == (
        409,
        "conflict",
    )
    assert await refused(anna, "GET", f"/v1/items/{made['id']}") == (404, "not_found")
    assert [each["id"] for each in (await do(backend, "GET", "/v1/items?hidden=true"))["items"]] == [made["id"]]
    await do(backend, "DELETE", f"/v1/items/{made['id']}", None, 204)
    assert await refused(server, "GET", f"/v1/items/{made['id']}") == (404, "not_found")


async def test_an_upload_is_ones_own(server: Server, anna: Server, ben: Server, backend: Server) -> None:
    sha256 = await bring(anna, (200, 30, 30))
    made = await item(anna, "My coat", private=True, reference=sha256)
    assert (made["mine"], made["owner"], made["reference"]) == (True, user(anna), sha256)
    assert made["id"] in [each["id"] for each in (await do(anna, "GET", "/v1/items?mine=true"))["items"]]
    for path in (f"/v1/items/{made['id']}", made["picture"]):
        assert await refused(ben, "GET", path) == (404, "not_found")
        assert await refused(backend, "GET", path) == (404, "not_found")
        assert await refused(backend, "GET", f"{path.partition('?')[0]}?user_id={user(ben)}") == (404, "not_found")
        assert (await anna.ask("GET", path))[0] == (await server.ask("GET", path))[0] == 200
    assert await refused(ben, "POST", "/v1/items", {"title": "x", "private": True, "reference": sha256}) == (
        400,
        "invalid_request",
    )
    status, content = await anna.ask("GET", made["picture"])
    assert (status, content[:4]) == (200, b"\x89PNG")
    bare = await item(anna, "Nothing to see", private=True)
    assert bare["picture"] is None
    assert await refused(anna, "GET", f"/v1/items/{bare['id']}/picture") == (404, "not_found")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"category": "Ä"}, "category"),
        ({"reference": "x"}, "reference"),
        ({"price": {"x": "y" * 5_000}}, "price"),
        ({"price": {"x": [[[[[[[[[]]]]]]]]]}}, "price"),
        ({"id": "../etc"}, "id"),
        ({"visual": "perhaps"}, "visual"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_what_is_wrong_with_an_item_is_named(server: Server, fields: Json, field: str) -> None:
    status, answer = await server.ask("POST", "/v1/items", json={"title": "Coat", **fields})
    assert (status, answer["error"]["details"]["field"]) == (400, field)


async def test_a_price_that_json_does_not_have(server: Server) -> None:
    for price in ('{"x": NaN}', '{"x": 1e999}', '{"x": ' + "9" * 100 + "}"):
        status, answer = await server.ask(
            "POST",
            "/v1/items",
            data='{"title": "Coat", "price": ' + price + "}",
            headers={"Content-Type": "application/json"},
        )
        assert (status, answer["error"]["code"]) == (400, "invalid_request"), price


async def test_a_grant_by_the_shop(server: Server, anna: Server, ben: Server, backend: Server) -> None:
    made = await item(server)
    body = {"item_id": made["id"], "user_id": user(anna), "how": "bought"}
    assert await refused(anna, "POST", "/v1/inventory", body) == (403, "forbidden")
    assert await refused(ben, "POST", "/v1/inventory", body) == (403, "forbidden")
    granted = await do(backend, "POST", "/v1/inventory", body, 201, headers={"Idempotency-Key": "order-1"})
    assert (granted["user_id"], granted["how"], granted["giver"]) == (user(anna), "bought", None)
    assert await do(backend, "POST", "/v1/inventory", body, headers={"Idempotency-Key": "order-1"}) == granted
    assert await do(server, "POST", "/v1/inventory", body) == granted
    other = {**body, "user_id": user(anna), "how": "granted"}
    assert await refused(backend, "POST", "/v1/inventory", other, headers={"Idempotency-Key": "order-1"}) == (
        422,
        "idempotency_mismatch",
    )
    assert await refused(backend, "POST", "/v1/inventory", body, headers={"Idempotency-Key": "é"}) == (
        400,
        "invalid_request",
    )
    page = await do(anna, "GET", "/v1/inventory?limit=1")
    assert (page["owned"][0]["grant"], page["owned"][0]["item"]["title"]) == (granted, "Red coat")
    assert await refused(ben, "GET", f"/v1/inventory?user_id={user(anna)}") == (403, "forbidden")
    assert await refused(backend, "GET", "/v1/inventory") == (400, "invalid_request")
    assert await refused(anna, "DELETE", f"/v1/inventory/{made['id']}") == (403, "forbidden")
    await do(backend, "DELETE", f"/v1/inventory/{made['id']}?user_id={user(anna)}", None, 204)
    assert await do(backend, "POST", "/v1/inventory", body, headers={"Idempotency-Key": "order-1"}) == granted
    assert made["id"] not in [each["item"]["id"] for each in (await do(anna, "GET", "/v1/inventory"))["owned"]]


async def test_a_gift(server: Server, anna: Server, ben: Server) -> None:
    made = await item(server, public=False)
    gift = {"item_id": made["id"], "to": user(ben)}
    assert await refused(anna, "POST", "/v1/inventory", gift) == (404, "not_found")
    await do(server, "POST", "/v1/inventory", {"item_id": made["id"], "user_id": user(anna)}, 201)
    assert await refused(anna, "POST", "/v1/inventory", {**gift, "to": "nobody-here"}) == (404, "not_found")
    assert await refused(anna, "POST", "/v1/inventory", {**gift, "to": user(anna)}) == (400, "invalid_request")
    given = await do(anna, "POST", "/v1/inventory", gift, 201, headers={"Idempotency-Key": "g1"})
    assert (given["user_id"], given["how"], given["giver"]) == (user(ben), "gift", user(anna))
    assert await refused(anna, "GET", f"/v1/items/{made['id']}") == (404, "not_found")
    assert await do(anna, "POST", "/v1/inventory", gift, headers={"Idempotency-Key": "g1"}) == given
    assert await refused(anna, "POST", "/v1/inventory", gift) == (404, "not_found")
    assert (await do(ben, "GET", f"/v1/items/{made['id']}"))["id"] == made["id"]


async def test_two_gifts_of_one_item_at_once(server: Server, anna: Server, ben: Server) -> None:
    made, eve = await item(server), await server.as_user("Eve")
    await do(server, "POST", "/v1/inventory", {"item_id": made["id"], "user_id": user(anna)}, 201)
    answers = await asyncio.gather(
        *(
            anna.ask("POST", "/v1/inventory", json={"item_id": made["id"], "to": user(other)})
            for other in (ben, eve, ben, eve)
        )
    )
    assert sorted(status for status, _ in answers)[0] == 201
    assert {status for status, _ in answers[1:]} <= {201, 403}
    assert sum(status == 201 for status, _ in answers) == 1


async def test_wearing(server: Server, anna: Server, ben: Server) -> None:
    mira = await anna.character(name="Mira")
    worn, made = f"/v1/characters/{mira}/worn", await item(server)
    scent, bens = await item(server, "Scent", visual=False), await item(ben, "Ben's", private=True)
    assert await do(anna, "GET", worn) == {"item": None}
    assert await refused(anna, "PUT", worn, {"item_id": made["id"]}) == (403, "forbidden")
    assert await refused(anna, "PUT", worn, {"item_id": bens["id"]}) == (404, "not_found")
    assert await refused(anna, "PUT", worn, {"item_id": "nothing"}) == (404, "not_found")
    for each in (made, scent):
        await do(server, "POST", "/v1/inventory", {"item_id": each["id"], "user_id": user(anna)}, 201)
    assert await refused(anna, "PUT", worn, {"item_id": scent["id"]}) == (422, "not_visual")
    assert (await do(anna, "PUT", worn, {"item_id": made["id"]}))["item"]["id"] == made["id"]
    assert (await do(anna, "GET", worn))["item"]["title"] == "Red coat"
    for method, body in (("GET", None), ("PUT", {"item_id": bens["id"]}), ("DELETE", None)):
        assert await refused(ben, method, worn, body) == (404, "not_found")
        assert await refused(ben, method, f"{worn}?user_id={user(anna)}", body) == (403, "forbidden")
    await do(anna, "POST", "/v1/inventory", {"item_id": made["id"], "to": user(ben)}, 201)
    assert await do(anna, "GET", worn) == {"item": None}
    await do(anna, "DELETE", worn, None, 204)


async def test_a_look(server: Server, anna: Server, ben: Server) -> None:
    mira = await server.character(name="Mira Okafor", shared=True)
    path = f"/v1/characters/{mira}/look"
    assert await refused(server, "GET", path) == (404, "not_found")
    made = await do(server, "PUT", path, {**LOOK, "lora": "mira", "preset": "soft@3"})
    assert (made["character"], made["lora"], made["scene"]["width"]) == (mira, "mira", 832)
    assert await do(server, "GET", path) == made
    again = await do(server, "PUT", path, {**made, "scene": {"seed": 7}}, headers={"If-Match": f'"{made["etag"]}"'})
    assert (again["scene"]["seed"], again["etag"] != made["etag"]) == (7, True)
    assert await refused(server, "PUT", path, LOOK, headers={"If-Match": made["etag"]}) == (409, "conflict")
    assert await refused(anna, "GET", path) == (403, "forbidden")
    assert await refused(anna, "PUT", path, LOOK) == (403, "forbidden")
    await do(server, "DELETE", path, None, 204)
    assert await refused(server, "GET", path) == (404, "not_found")


async def test_models_are_an_admins_to_choose_and_words_the_owners(server: Server, anna: Server) -> None:
    mira = await anna.character(name="Mira")
    path = f"/v1/characters/{mira}/look"
    assert await refused(anna, "PUT", path, LOOK) == (403, "forbidden")
    look = await do(server, "PUT", path, LOOK)
    words = {**look, "scene": {**look["scene"], "prompt": "in a café", "negative": "rain", "seed": 3}}
    changed = await do(anna, "PUT", path, words)
    assert changed["scene"] == words["scene"]
    for costly in ({"checkpoint": "other.safetensors"}, {"scene": {**words["scene"], "steps": 199}}, {"lora": "ben"}):
        assert await refused(anna, "PUT", path, {**words, **costly}) == (403, "forbidden")


async def test_an_owners_words_undo_no_change_of_models(
    server: Server, anna: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mira = await anna.character(name="Mira")
    path = f"/v1/characters/{mira}/look"
    look = await do(server, "PUT", path, LOOK)
    gate = server.app[GATE]
    judge = gate.judge

    async def meanwhile(intent: Intent, asker: Asker) -> Decision:
        await do(server, "PUT", path, {**LOOK, "checkpoint": "other.safetensors"})
        return await judge(intent, asker)

    monkeypatch.setattr(gate, "judge", meanwhile)
    words = {**look, "scene": {**look["scene"], "prompt": "in a café"}}
    assert await refused(anna, "PUT", path, words) == (409, "conflict")
    assert (await do(server, "GET", path))["checkpoint"] == "other.safetensors"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"checkpoint": ""}, "checkpoint"),
        ({"checkpoint": "../../etc/passwd"}, "checkpoint"),
        ({"checkpoint": "/etc/passwd"}, "checkpoint"),
        ({"checkpoint": "C:\\models\\x.safetensors"}, "checkpoint"),
        ({"lora": "Mira"}, "lora"),
        ({"lora": "mira@0"}, "lora"),
        ({"preset": "soft"}, "preset"),
        ({"preset": "soft@3", "tuning": {"weight": 0.5}}, "tuning"),
        ({"tuning": {"weight": 6}}, "tuning.weight"),
        ({"tuning": {"end_at": -0.1}}, "tuning.end_at"),
        ({"tuning": {"start_at": 0.9, "end_at": 0.8}}, "tuning.end_at"),
        ({"tuning": {"wait": 1}}, "tuning.wait"),
        ({"tuning": {"layer_weights": "__import__('os')"}}, "tuning.layer_weights"),
        ({"scene": {"width": 833}}, "scene.width"),
        ({"scene": {"height": 8_192}}, "scene.height"),
        ({"scene": {"steps": 0}}, "scene.steps"),
        ({"scene": {"seed": 2**64}}, "scene.seed"),
        ({"scene": {"seed": -1}}, "scene.seed"),
        ({"scene": {"cfg": 31}}, "scene.cfg"),
        ({"scene": {"sampler": "x; rm -rf"}}, "scene.sampler"),
        ({"scene": {"prompt": "x" * 2_001}}, "scene.prompt"),
        ({"scene": {"prompt": "Portrait of MIRA's room"}}, "scene.prompt"),
        ({"scene": {"prompt": "mira \u200bokafor at the sea"}}, "scene.prompt"),
    ],
)
async def test_what_is_wrong_with_a_look_is_named(server: Server, fields: Json, field: str) -> None:
    mira = await server.character(name="Mira Okafor")
    status, answer = await server.ask("PUT", f"/v1/characters/{mira}/look", json={**LOOK, **fields})
    assert (status, answer["error"]["details"]["field"]) == (400, field)
    assert (await server.ask("GET", f"/v1/characters/{mira}/look"))[0] == 404


async def test_a_look_goes_with_its_character(server: Server) -> None:
    mira = await server.character(name="Wendelin")
    await do(server, "PUT", f"/v1/characters/{mira}/look", LOOK)
    await do(server, "DELETE", f"/v1/characters/{mira}", None, 204)
    assert await server.app[CATALOG].looks.find("home", mira) is None


async def test_a_document_comes_in_whole_or_not_at_all(server: Server) -> None:
    mira = await server.character(name="Ottilie")
    body = {"items": {"scarf": {"title": "Scarf", "price": {"eur": 3}}, "hat": {"title": "Hat"}}, "looks": {mira: LOOK}}
    wrong = {
        "items": {**body["items"], "../x": {"title": "X"}, "cap": {"title": "", "price": 3}},
        "looks": {mira: {**LOOK, "scene": {"prompt": "Ottilie at sea"}}, "nobody": LOOK},
    }
    answer = await do(server, "POST", "/v1/admin/catalog", wrong)
    assert {problem["where"] for problem in answer["problems"]} == {
        "items/../x",
        "items/cap",
        f"looks/{mira}",
        "looks/nobody",
    }
    assert len(answer["problems"]) == 5
    assert await refused(server, "GET", "/v1/items/scarf") == (404, "not_found")
    dry = await do(server, "POST", "/v1/admin/catalog", {**body, "dry_run": True})
    assert sorted(dry["created"]) == sorted(["items/scarf", "items/hat", f"looks/{mira}"])
    assert await refused(server, "GET", "/v1/items/scarf") == (404, "not_found")
    assert await do(server, "POST", "/v1/admin/catalog", body) == dry
    assert (await do(server, "GET", "/v1/items/scarf"))["price"] == {"eur": 3}
    again = await do(server, "POST", "/v1/admin/catalog", body)
    assert (again["created"], again["changed"], len(again["unchanged"])) == ([], [], 3)
    body["items"]["hat"] = {"title": "Top hat"}
    assert (await do(server, "POST", "/v1/admin/catalog", body))["changed"] == ["items/hat"]
    await do(server, "DELETE", "/v1/items/hat", None, 204)
    assert "deleted" in (await do(server, "POST", "/v1/admin/catalog", body))["problems"][0]["problem"]
    looks = await do(server, "GET", "/v1/admin/looks?limit=1")
    assert len(looks["looks"]) == 1


async def test_a_reference_nobody_brought_stops_an_import(server: Server) -> None:
    body = {"items": {"cape": {"title": "Cape", "reference": "0" * 64}, "cowl": {"title": "Cowl"}}}
    assert [p["where"] for p in (await do(server, "POST", "/v1/admin/catalog", body))["problems"]] == ["items/cape"]
    assert await refused(server, "GET", "/v1/items/cowl") == (404, "not_found")


async def test_a_persons_export_and_deletion(server: Server) -> None:
    eve, made = await server.as_user("Eve"), await item(server)
    sha256 = await bring(eve, (1, 200, 30))
    own = await item(eve, "Eve's cape", private=True, reference=sha256)
    await do(server, "POST", "/v1/inventory", {"item_id": made["id"], "user_id": user(eve)}, 201)
    mira = await eve.character(name="Mira")
    await do(eve, "PUT", f"/v1/characters/{mira}/worn", {"item_id": own["id"]})
    exported = await do(eve, "GET", "/v1/memory/export")
    assert [each["title"] for each in exported["items"]] == ["Eve's cape"]
    assert sorted(each["how"] for each in exported["inventory"]) == ["granted", "uploaded"]
    assert exported["worn"] == {mira: {"id": own["id"], "title": "Eve's cape"}}
    deleted = (await do(server, "DELETE", f"/v1/admin/users/{user(eve)}"))["deleted"]
    assert (deleted["items"], deleted["inventory"], deleted["references"]) == (1, 1, 1)
    assert await refused(server, "GET", f"/v1/items/{own['id']}") == (404, "not_found")
    assert await server.app[CATALOG].worn.of("home", user(eve)) == {}
    assert (await server.ask("GET", f"/v1/references/{sha256}"))[0] == 404
