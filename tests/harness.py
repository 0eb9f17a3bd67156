"""The whole server in this process: real Valkey, real Chroma, real HTTP on loopback, and a scripted model server.

    async with running(settings, fake) as server:
        status, done = await server.say("mira", "Hello")

`make_settings(llm_base_url=fake.base_url)` of `tests/conftest.py` fits: a fresh data folder and the embedder that knows
no meaning. `shared_server` is one for a whole module of tests: each talks with a character of its own.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.api.keys import ACCOUNTS
from server.api.middlewares import server_options
from server.api.services import CHAT, MEMORY
from server.app import Overrides, build_app
from server.chat.service import ChatService
from server.ids import Scope
from server.memory.service import Memory
from server.settings import Plan, Settings
from tests.fakes.openai_server import FakeOpenAI

OWNER_TOKEN = "owner-token-of-this-process-0123456789"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    name: str
    data: Json


class Client:
    """A server as a client sees it, wherever it runs. `token` is sent as bearer."""

    port: int
    session: aiohttp.ClientSession
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **(more or {})}

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """`(status, body)`; the body parsed where it is JSON, None where it is empty."""
        async with self.session.request(method, self.url + path, headers=self.headers(headers), **more) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, (await response.read()) or None

    async def say(self, character: str, message: str, *, key: str | None = None, **body: Any) -> tuple[int, Json]:
        """One turn as JSON: `(status, done or error)`."""
        headers = {"Accept": "application/json", **({"Idempotency-Key": key} if key else {})}
        status, answer = await self.ask(
            "POST", "/v1/chat", json={"character_id": character, "message": message, **body}, headers=headers
        )
        return status, answer

    async def events(self, path: str, body: Json | None = None, *, key: str | None = None) -> AsyncIterator[Event]:
        """The events of a turn as they come. Leaving the iteration closes the connection."""
        headers = self.headers({"Idempotency-Key": key} if key else {})
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            async for event in read_events(response):
                yield event

    async def job_events(self, id: str) -> AsyncIterator[Event]:
        """What happens to a render, to its end."""
        async with self.session.get(f"{self.url}/v1/jobs/{id}/events", headers=self.headers()) as response:
            assert response.status == 200, await response.text()
            async for event in read_events(response):
                yield event

    async def messages(self, character: str, query: str = "") -> list[Json]:
        status, page = await self.ask("GET", f"/v1/chat/{character}/messages{query}")
        assert status == 200, page
        return page["messages"]

    async def settled(self, character: str) -> Json:
        """The last message, once it is not pending any more."""

        async def done() -> bool:
            return (await self.messages(character))[-1]["status"] != "pending"

        await until(done)
        return (await self.messages(character))[-1]

    async def character(self, **fields: Any) -> str:
        """A new character's id."""
        status, made = await self.ask("POST", "/v1/characters", json={"name": "Mira", **fields})
        assert status == 201, made
        return made["id"]


@dataclass
class Server(Client):
    """A server in this process. `token` is the owner's unless `as_user` made another."""

    app: web.Application
    port: int
    fake: FakeOpenAI
    session: aiohttp.ClientSession
    token: str = OWNER_TOKEN
    made: dict[str, str] = field(default_factory=dict)

    @property
    def memory(self) -> Memory:
        return self.app[MEMORY]

    @property
    def chat(self) -> ChatService:
        return self.app[CHAT]

    def scope(self, character: str, user: str = "owner") -> Scope:
        return Scope("home", user, character)

    async def writing(self, character: str, text: str = "") -> None:
        """Returns once a reply to the owner is being written and ends in `text`, which is not the end of it."""

        async def begun() -> bool:
            lives = self.chat.in_flight(self.scope(character))
            return any(live.text and live.text.endswith(text) for live in lives)

        await until(begun)

    def with_token(self, token: str) -> "Server":
        """The same server seen through another credential."""
        return replace(self, token=token)

    async def as_user(self, name: str, *scopes: str, **key: Any) -> "Server":
        """The same server seen by a new person, through an API key of theirs."""
        accounts = self.app[ACCOUNTS]
        user = await accounts.add_user("home", name)
        _, secret = await accounts.create_key(
            "home", f"{name}'s", scopes or ("chat", "memory", "characters", "catalog"), user_id=user.id, **key
        )
        return Server(self.app, self.port, self.fake, self.session, secret, {"user": user.id})


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Looks again and again until it is so; fails after `seconds`, which a working program never needs."""
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110 - what is waited for happens in a server, and sets no event here
            await asyncio.sleep(0.01)


async def read_events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    name, data = "message", ""
    async for raw in response.content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
        elif not line and data:
            yield Event(name, json.loads(data))
            name, data = "message", ""


@asynccontextmanager
async def running(
    settings: Settings, fake: FakeOpenAI, overrides: Overrides | None = None, *, port: int = 0
) -> AsyncIterator[Server]:
    """The server over `settings`, which should name `fake.base_url`; drained and closed on the way out.

    `port`: 0 takes a free one; a server that comes back for the same browser needs the one it had.
    """
    app = build_app(settings, owner_token=OWNER_TOKEN, overrides=overrides)
    runner = web.AppRunner(app, shutdown_timeout=1.0, **server_options())
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Server(app, runner.addresses[0][1], fake, session)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def shared_server(data: Path, **fields: Any) -> AsyncIterator[Server]:
    """A server for many tests: no limit on turns, and the model is asked for nothing but replies."""
    async with FakeOpenAI() as fake:
        with pytest.MonkeyPatch.context() as environment:
            for name in os.environ:
                if name.startswith("VESTIGE_") or name.endswith(("_API_KEY", "_URL", "LLM_MODEL")):
                    environment.delenv(name)
            settings = Settings(
                **{
                    "data": data,
                    "embedder": "hash",
                    "shards": 1,
                    "write_facts": False,
                    "llm_base_url": fake.base_url,
                    "plans": {"free": Plan(turns_per_minute=100_000)},
                    **fields,
                }
            )
        async with running(settings, fake) as server:
            yield server
