"""A server with people in it, and every route of it with ids and bodies that fit."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.api.routes import ROUTES, Route
from server.app import Overrides
from server.settings import Plan, Settings
from tests.catalog.cardfiles import png
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running
from tests.system.rawhttp import Answer, request, send

CANARY = "the-parrot-of-anna"
BODIES: dict[str, Json] = {
    "SignIn": {"token": "nothing"},
    "ChatIn": {"character_id": "mira", "message": "Hello"},
    "CompletionIn": {"model": "mira", "messages": [{"role": "user", "content": "Hello"}]},
    "CompleteIn": {"messages": [{"role": "user", "content": "Hello"}]},
    "ReplyIn": {},
    "SwipeIn": {"message_id": "1-1", "index": 0},
    "GreetingIn": {"index": 0},
    "EditIn": {"text": "Hello"},
    "ResetIn": {},
    "ActiveIn": {"character_id": "mira"},
    "SummaryIn": {"text": "Hello"},
    "FactsIn": {"facts": ["Hello"]},
    "PinIn": {"text": "Hello"},
    "PinEdit": {"text": "Hello"},
    "ForgetIn": {"message_ids": ["1-1"]},
    "CharacterDraft": {"name": "Hello"},
    "CharacterChanges": {"description": "Hello"},
    "UserDraft": {"name": "Hello"},
    "UserChange": {"name": "Hello"},
    "ItemDraft": {"title": "Hello", "private": True},
    "ItemChanges": {"title": "Hello"},
    "GrantIn": {"item_id": "nothing"},
    "WornIn": {"item_id": "nothing"},
    "LookIn": {"checkpoint": "base.safetensors"},
    "CatalogIn": {"items": {}, "looks": {}},
    "ReferenceByUrl": {"url": "https://shop.invalid/dress.png"},
    "PreviewIn": {"character_id": "mira", "item_id": "coat"},
    "StartFrameIn": {"width": 512, "height": 512},
    "PrerenderIn": {"character_id": "mira"},
    "PictureIn": {},
    "AgainIn": {},
    "MadeIn": {"key": "0123456789abcdef"},
    "KeyDraft": {"name": "Hello", "scopes": ["chat"]},
    "LoraDraft": {"sha256": "0" * 64},
    "LoraPromotion": {"version": 1},
    "LoraRollback": {},
    "DrainIn": {"on": True},
    "LoraHeat": {"hot": True},
    "GridDraft": {},
}
_QUERIES = {
    "search": "?q=parrot",
    "prompt": "?message=Hello",
    "lora-retrain": "?base=pony",
    "previews": "?character=mira",
}


@dataclass
class House:
    """A server with people in it: Anna, who has said things, and Ben."""

    server: Server
    anna: Server
    ben: Server
    clock: list[timedelta]
    message_id: str
    pin_id: str
    window_id: str
    key_id: str
    item_id: str

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def routes(self) -> list[Route]:
        return self.server.app[ROUTES]

    async def state(self) -> Any:
        """Everything that is stored, but when somebody was last seen."""
        admin = self.server
        exports = [await one.ask("GET", "/v1/memory/export") for one in (admin, self.anna, self.ben)]
        _, users = await admin.ask("GET", "/v1/admin/users")
        _, keys = await admin.ask("GET", "/v1/admin/keys")
        lists = [await one.ask("GET", "/v1/characters") for one in (admin, self.anna, self.ben)]
        shops = [await one.ask("GET", "/v1/items?hidden=true") for one in (admin, self.anna, self.ben)]
        looks = await admin.ask("GET", "/v1/admin/looks")
        actives = [(await one.ask("GET", "/v1/me"))[1]["active_character"] for one in (admin, self.anna, self.ben)]
        for record in users["users"] + keys["keys"]:
            record.pop("last_seen", None)
            record.pop("last_used", None)
        return exports, users, keys, lists, shops, looks, actives

    def path(self, route: Route, **bad: str) -> str:
        """The route's address with ids that are there, but for those in `bad`."""
        ids = {
            "character_id": "mira",
            "message_id": self.message_id,
            "pin_id": self.pin_id,
            "window_id": self.window_id,
            "user_id": self.anna.made["user"],
            "key_id": self.key_id,
            "item_id": self.item_id,
            "lora": "mira",
            "version": "1",
            "grid": "grid-1",
            "sha256": "0" * 64,
            "name": "gpu1",
            "key": "0" * 64,
            "size": "512x512",
            "job_id": "job-1",
            "plan_id": "plan-1",
        }
        path = re.sub(r"{(\w+)[^}]*}", lambda match: quote((ids | bad)[match[1]], safe=""), route.path)
        return path + _QUERIES.get(route.path.rpartition("/")[2], "")

    async def ask(self, route: Route, *lines: str, token: str | None = None, path: str | None = None) -> Answer:
        """The route, with a body that fits it."""
        body = None if route.request is None else json.dumps(BODIES[route.request.__name__]).encode()
        if "image/png" in route.consumes:
            body, lines = png(), ("Content-Type: image/png", *lines)
        return await send(self.port, request(route.method, path or self.path(route), token, body, *lines))


@asynccontextmanager
async def open_house(data: Path) -> AsyncIterator[House]:
    """Its clock can be moved; wrong credentials are not counted, so that every one of many is answered alike."""
    shift = [timedelta()]
    overrides = Overrides(clock=lambda: datetime.now(UTC) + shift[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.accounts.limits.WRONG_PER_MINUTE", 1_000_000)
        async with FakeOpenAI() as fake:
            settings = Settings(
                data=data,
                embedder="hash",
                shards=1,
                window_messages=4,
                write_facts=False,
                llm_base_url=fake.base_url,
                plans={"free": Plan(turns_per_minute=100_000)},
                key_requests_per_minute=1_000_000,
            )
            async with running(settings, fake, overrides) as server:
                yield await _furnished(server, shift)


async def _furnished(server: Server, shift: list[timedelta]) -> House:
    anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
    assert await anna.character(name="Mira", description=CANARY) == "mira"
    for number in range(3):
        await anna.say("mira", f"{CANARY} says {number}")
    _, done = await anna.say("mira", f"{CANARY} says goodbye")
    await server.memory.upkeep(server.scope("mira", anna.made["user"]))
    _, pin = await anna.ask("POST", "/v1/memory/mira/pins", json={"text": CANARY})
    _, windows = await anna.ask("GET", "/v1/memory/mira/windows")
    _, keys = await server.ask("GET", "/v1/admin/keys")
    _, item = await anna.ask("POST", "/v1/items", json={"title": CANARY, "private": True})
    await anna.ask("PUT", "/v1/characters/mira/worn", json={"item_id": item["id"]})
    await server.ask("PUT", "/v1/characters/mira/look", json={"checkpoint": "base.safetensors"})
    key_id = next(key["id"] for key in keys["keys"] if key["user_id"] == anna.made["user"])
    window_id = windows["windows"][0]["id"]
    return House(server, anna, ben, shift, done["message"]["id"], pin["id"], window_id, key_id, item["id"])


@asynccontextmanager
async def unchanged(house: House) -> AsyncIterator[None]:
    """Around something bad: what is stored stays as it is, and the server stays well."""
    before = await house.state()
    yield
    house.clock[0] = timedelta()
    assert await house.state() == before
    assert (await send(house.port, request("GET", "/health", None))).status == 200
