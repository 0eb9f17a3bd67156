"""Proof of deletion: a canary in everything a person can leave behind is in no byte of the data folder afterwards."""

import json
from pathlib import Path

import pytest

from tests.fakes.openai_server import FakeOpenAI, Received
from tests.harness import Client, Json
from tests.system.instance import Instance, start
from tests.system.promises import closed, history

pytestmark = pytest.mark.timeout(180)

CANARY = "quetzal-7731"
NAME = "tanager-2290"  # of a person and their characters; ids are made from names, and the log names ids
STAYS = "ptarmigan-4402"
SETTINGS = {"window_messages": 4, "write_facts": "true", "log_level": "debug"}


def model(request: Received) -> str:
    """Says the word that it was told, in replies, summaries and facts alike."""
    word = CANARY if CANARY in request.text else STAYS
    if "JSON object" in request.messages[0]["content"]:
        return json.dumps({"summary": f"They spoke of the {word}.", "facts": [f"The {word} is blue."]})
    return f"The {word} again."


class Person(Client):
    """Someone with a key of their own."""

    def __init__(self, server: Instance, token: str, user: str) -> None:
        self.port, self.session, self.token, self.user = server.port, server.session, token, user

    async def do(self, method: str, path: str, body: Json | None = None, **more: str) -> Json:
        headers = {"Accept": "application/json", **more}
        status, answer = await self.ask(method, path, json=body, headers=headers)
        assert status in (200, 201, 204), answer
        return answer


async def join(server: Instance, name: str) -> Person:
    _, added = await server.ask("POST", "/v1/admin/users", json={"name": name})
    user = added["user"]["id"]
    body = {"name": f"{name}'s phone", "scopes": ["chat", "memory", "characters", "catalog"], "user_id": user}
    _, made = await server.ask("POST", "/v1/admin/keys", json=body)
    return Person(server, made["secret"], user)


async def live(person: Person, word: str, name: str) -> None:
    """Leaves the word wherever a person can."""
    made = await person.do("POST", "/v1/characters", {"name": f"Bird {name}", "description": word, "tags": [word]})
    bird = made["id"]
    copy = await person.do("POST", f"/v1/characters/{bird}/duplicate")
    await person.do("PUT", f"/v1/characters/{copy['id']}", {"first_mes": f"Hello from the {word}"})
    card = await person.do("GET", f"/v1/characters/{bird}/export?format=json")
    await person.do("POST", "/v1/characters/import", card)
    await person.do("PUT", "/v1/active-character", {"character_id": bird})
    for number in range(12):
        body = {"character_id": bird, "message": f"{word} number {number}"}
        await person.do("POST", "/v1/chat", body, **{"Idempotency-Key": f"{word}-{number}"})
    said = await history(person, bird)
    await person.do("POST", f"/v1/chat/{bird}/regenerate", {"message_id": said[-1]["id"]})
    await person.do("POST", f"/v1/chat/{bird}/swipe", {"message_id": said[-1]["id"], "index": 0})
    for at in (1, 12, -2):
        await person.do("PATCH", f"/v1/chat/{bird}/messages/{said[at]['id']}", {"text": f"{word} edited at {at}"})
    pinned = await person.do("POST", f"/v1/memory/{bird}/pins", {"message_id": said[2]["id"]})
    await person.do("PATCH", f"/v1/memory/{bird}/pins/{pinned['id']}", {"text": f"{word} in another pin"})
    await person.do("POST", f"/v1/memory/{bird}/pins", {"text": f"{word} in a pin"})
    await person.do("PUT", f"/v1/memory/{bird}/summary", {"text": f"{word} in a summary"})
    first = (await closed(person, bird))[0]["id"]
    await person.do("PUT", f"/v1/memory/{bird}/windows/{first}/facts", {"facts": [f"{word} in a fact"]})
    await person.do("POST", f"/v1/memory/{bird}/forget", {"message_ids": [said[4]["id"], said[-1]["id"]]})
    await person.do("GET", f"/v1/memory/{bird}/search?q={word}")
    item = await person.do("POST", "/v1/items", {"title": f"{word} coat", "prompt_hint": word, "private": True})
    await person.do("PUT", f"/v1/characters/{bird}/worn", {"item_id": item["id"]})
    await person.do("POST", "/v1/items", {"title": f"{word} hat", "price": {"of": word}, "private": True})
    await person.do("PATCH", f"/v1/items/{item['id']}", {"title": f"{word} cape"})
    other = copy["id"]
    for epoch in range(2):
        for number in range(3):
            await person.do("POST", "/v1/chat", {"character_id": other, "message": f"{word} {epoch}.{number}"})
        await person.do("POST", f"/v1/chat/{other}/reset")
    await person.do("DELETE", f"/v1/characters/{other}")


async def give_away(server: Instance, person: Person) -> None:
    """Leaves the person's name as the giver of what is somebody else's now."""
    _, item = await server.ask("POST", "/v1/items", json={"title": "Scarf"})
    await server.ask("POST", "/v1/inventory", json={"item_id": item["id"], "user_id": person.user})
    gift = {"item_id": item["id"], "to": "owner"}
    await person.do("POST", "/v1/inventory", gift, **{"Idempotency-Key": "a-gift"})


def holding(data: Path, *words: str) -> list[str]:
    """The files that hold one of the words, as it is or in UTF-16, or are named like it."""
    forms = [form for word in words for form in (word.encode(), word.encode("utf-16-le"))]
    found = []
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_socket():
            content = path.read_bytes()
            if any(form in content or form in str(path).encode() for form in forms):
                found.append(str(path.relative_to(data)))
    return found


@pytest.mark.parametrize("way", ["by themselves", "by an admin"])
async def test_a_person_who_is_deleted_leaves_no_byte(tmp_path: Path, way: str) -> None:
    data = tmp_path / "data"
    async with FakeOpenAI() as fake:
        fake.respond = model
        async with start(data, fake.base_url, **SETTINGS) as server:
            anna, ben = await join(server, f"Anna {NAME}"), await join(server, "Ben")
            await live(ben, STAYS, STAYS)
            await live(anna, CANARY, NAME)
            await give_away(server, anna)
            assert len(holding(data, CANARY)) >= 3  # both stores and a card, at the least
            before = await ben.do("GET", "/v1/memory/export")
            if way == "by themselves":
                deleted = (await anna.do("DELETE", "/v1/memory?account=true"))["deleted"]
            else:
                _, answer = await server.ask("DELETE", f"/v1/admin/users/{anna.user}")
                deleted = answer["deleted"]
            assert deleted["conversations"] >= 1
            assert deleted["characters"] == 2
            assert holding(data, CANARY, NAME) == []
            assert CANARY not in server.log
            assert (await anna.ask("GET", "/v1/me"))[0] == 401
            await server.kill()  # whatever it still held in memory has no chance to come back
        assert holding(data, CANARY, NAME) == []
        async with start(data, fake.base_url, **SETTINGS) as server:
            ben.port, ben.session = server.port, server.session
            assert await ben.do("GET", "/v1/memory/export") == before
            _, users = await server.ask("GET", "/v1/admin/users")
            assert anna.user not in [user["id"] for user in users["users"]]
            assert await server.stop() == 0
        assert holding(data, CANARY, NAME) == []
        assert holding(data, STAYS) != []


async def test_a_conversation_that_is_cleared_leaves_no_byte(tmp_path: Path) -> None:
    """The person, their characters and other conversations stay."""
    data = tmp_path / "data"
    async with FakeOpenAI() as fake, start(data, fake.base_url, **SETTINGS) as server:
        fake.respond = model
        one, other = await server.character(name="One"), await server.character(name="Other")
        for number in range(10):
            assert (await server.say(one, f"{CANARY} {number}"))[0] == 200
            assert (await server.say(other, f"{STAYS} {number}"))[0] == 200
        await server.ask("POST", f"/v1/memory/{one}/pins", json={"text": CANARY})
        assert holding(data, CANARY) != []
        assert (await server.ask("DELETE", f"/v1/memory/{one}"))[0] == 204
        assert holding(data, CANARY) == []
        assert await history(server, one) == []
        assert len(await history(server, other)) == 20
        assert await server.stop() == 0
        assert holding(data, CANARY) == []
