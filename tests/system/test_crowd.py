"""Two hundred people at once, two turns at a time each: nothing lost, nothing twice, nobody in another's prompt."""

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.openai_server import FakeOpenAI, Received
from tests.harness import Client, Json
from tests.system.instance import Instance, start
from tests.system.stored import stored

USERS = 200
TURNS = 20
WINDOW = 8
SHARDS = 4
# so narrow that most of a conversation reaches the model by recall, and none of it whole
PLAN = {"context_tokens": 700, "recall_tokens": 200, "reply_tokens": 32, "turns_per_minute": 100_000}
MARK = re.compile(r"\bU(\d{3})(?:T(\d{2}))?\b")


class Model:
    """Answers with the mark of the message it was asked; keeps every request in which two people's marks meet."""

    def __init__(self) -> None:
        self.asked = 0
        self.recalled = 0
        self.mixed: list[str] = []

    def __call__(self, request: Received) -> str:
        text = request.text
        marks = MARK.findall(text)
        people = {user for user, _ in marks}
        if len(people) != 1:
            self.mixed.append(text)
        if request.body["max_tokens"] == PLAN["reply_tokens"]:
            self.asked += 1
            self.recalled += len({mark for mark in marks if mark[1]}) > 1
            user, turn = MARK.findall(request.messages[-1]["content"])[-1]
            return f"I heard you, U{user}T{turn}."
        return json.dumps({"summary": f"U{next(iter(people), '')} talked.", "facts": []})


class Person(Client):
    """One of the crowd, with a key of their own."""

    def __init__(self, server: Instance, number: int, token: str, user: str) -> None:
        self.port, self.session, self.token = server.port, server.session, token
        self.number, self.user, self.again = number, user, 0

    async def talk(self, character: str) -> None:
        for turn in range(0, TURNS, 2):
            await asyncio.gather(*(self._turn(character, turn + each) for each in range(2)))

    async def _turn(self, character: str, turn: int) -> None:
        mark = f"U{self.number:03}T{turn:02}"
        text = f"{mark}: what did I tell you about the harbour, the lamp and the {turn} boats of last summer?"
        status, done = await self.say(character, text, key=mark)
        while status == 503:  # a machine too busy for its stores: the same turn again, by its key
            assert done["error"]["code"] in ("store_unavailable", "generation_disabled"), done
            self.again += 1
            await asyncio.sleep(1)
            status, done = await self.say(character, text, key=mark)
        assert status == 200, done
        assert done["message"]["text"] == f"I heard you, {mark}."


async def join(server: Instance, character: str, number: int) -> Person:
    status, added = await server.ask("POST", "/v1/admin/users", json={"name": f"Person U{number:03}"})
    assert status == 201, added
    user = added["user"]["id"]
    body = {"name": f"key {number}", "scopes": ["chat", "memory"], "user_id": user}
    status, made = await server.ask("POST", "/v1/admin/keys", json=body)
    assert status == 201, made
    person = Person(server, number, made["secret"], user)
    status, _ = await person.ask("POST", f"/v1/memory/{character}/pins", json={"text": f"Call me U{number:03}"})
    assert status == 201
    return person


def check_history(number: int, messages: list[Json]) -> None:
    """Every message once, in pairs in the order they were sent, each with the reply that was made for it."""
    marks = [MARK.findall(one["text"]) for one in messages if one["role"] == "user" or one["status"] == "complete"]
    assert all(len(mark) == 1 and int(mark[0][0]) == number for mark in marks)
    turns = [int(mark[0][1]) for mark in marks]
    assert turns[0::2] == turns[1::2]
    assert sorted(turns[0::2]) == list(range(TURNS))
    assert all(one // 2 <= later // 2 for one, later in pairwise(turns[0::2]))
    assert [one["role"] for one in messages] == ["user", "assistant"] * TURNS
    seqs = [int(one["id"].partition("-")[2]) for one in messages]
    assert seqs == list(range(seqs[0], seqs[0] + 2 * TURNS))


@pytest.mark.timeout(300)
async def test_a_crowd_of_two_hundred(tmp_path: Path) -> None:
    model, data = Model(), tmp_path / "data"
    settings = {"plans": json.dumps({"free": PLAN}), "window_messages": WINDOW, "write_facts": "true", "shards": SHARDS}
    async with FakeOpenAI() as fake:
        fake.respond = model
        async with start(data, fake.base_url, **settings) as server:
            character = await server.character(shared=True)
            people = await asyncio.gather(*(join(server, character, number) for number in range(USERS)))
            await asyncio.gather(*(person.talk(character) for person in people))
            assert await server.stop() == 0
        assert model.mixed == []
        assert 0 <= model.asked - USERS * TURNS <= sum(person.again for person in people)
        assert model.recalled > USERS * TURNS / 2  # else the prompts proved nothing
        async with start(data, fake.base_url, **settings) as server:
            for person in people:
                person.port, person.session = server.port, server.session
                messages = await person.messages(character, "?limit=200")
                check_history(person.number, messages)
                status, exported = await person.ask("GET", f"/v1/chat/{character}/export")
                assert (status, [one["id"] for one in exported["messages"]]) == (200, [m["id"] for m in messages])
            assert await server.stop() == 0
    async with stored(data, shards=SHARDS) as stores:
        scopes = await stores.scopes()
        assert len(scopes) == USERS
        for scope in scopes:
            windows = await stores.live_windows(scope)
            assert len(windows) >= (2 * TURNS - WINDOW) // WINDOW
            assert windows[0].first == 1
            assert all(one.last + 1 == later.first for one, later in pairwise(windows))
            assert sorted(await stores.window_records(scope)) == sorted(window.id for window in windows)
