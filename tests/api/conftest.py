"""A real server on a real socket with the project's plumbing, real accounts, and a few routes to knock at."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, ConfigDict, Field

from server.accounts.service import Accounts
from server.api import admin, middlewares, ops, session
from server.api.auth import acting_scope, limit_turns, principal
from server.api.body import message_text, read_json, read_query, read_upload
from server.api.keys import ACCOUNTS, CHECKS, ERASE, METRICS, MODEL, SETTINGS, Check, Erasure
from server.api.respond import json_response
from server.api.routes import Route, add_routes
from server.metrics import Metrics
from server.render.forgetting.forgetting import Left
from server.routing.types import ModelInfo
from server.settings import Plan, Settings
from server.stores.redis import RedisPair

OWNER_TOKEN = "owner-token-of-this-process-0123456789"


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str
    times: int = Field(1, ge=1)
    user_id: str | None = None
    tags: list[str] = []


class Search(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: str = Field(description="What to look for.")
    tokens: int = Field(1_500, ge=1, le=8_000)
    user_id: str | None = None


class BundledModel:
    """Says what it is; nothing here asks it to talk."""

    info = ModelInfo("smol", "bundled", bundled=True, writes_memory=False, banner="Small. Set OPENROUTER_API_KEY.")


async def say(request: web.Request) -> web.StreamResponse:
    said = await read_json(request, Said)
    acting = acting_scope(request, request.match_info["character_id"], said.user_id)
    await limit_turns(request, acting)
    return json_response({"text": message_text(request, said.message), "scope": str(acting.scope), "tier": acting.tier})


async def search(request: web.Request) -> web.StreamResponse:
    asked = read_query(request, Search)
    return json_response({"q": asked.q, "tokens": asked.tokens, "who": principal(request).credential})


async def upload(request: web.Request) -> web.StreamResponse:
    file = await read_upload(request, limit=1_000)
    return json_response({"size": len(file.content), "type": file.content_type})


async def bug(request: web.Request) -> web.StreamResponse:
    raise RuntimeError("a bug that quotes: my secret diary")


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half of it")
    raise RuntimeError("the other half")


KNOCK = [
    Route("POST", "/v1/say/{character_id}", say, "chat", "Say", "Knock", request=Said),
    Route("GET", "/v1/search", search, "memory", "Search", "Knock", query=Search),
    Route("POST", "/v1/upload", upload, "characters", "Upload", "Knock", consumes=("image/png", "multipart/form-data")),
    Route("GET", "/v1/bug", bug, "open", "A bug", "Knock"),
    Route("GET", "/v1/breaks-off", breaks_off, "open", "Half an answer", "Knock"),
]


@dataclass
class Door:
    """A running server, seen from outside; `erased` notes whose data was removed."""

    client: TestClient[web.Request, web.Application]
    accounts: Accounts
    settings: Settings
    erased: list[tuple[str, str]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = OWNER_TOKEN,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        """`(status, body)`; the body parsed where it is JSON. `token` None: no bearer."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        async with self.client.request(method, path, headers=sent, **more) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()

    async def sign_in(self, user: str) -> None:
        """The client's cookie jar holds a session of `user` afterwards."""
        token = await self.accounts.new_link("home", user)
        status, _ = await self.ask(
            "POST", "/v1/session", token=None, json={"token": token}, headers={"Origin": self.origin}
        )
        assert status == 200


async def _fine() -> None:
    return


OpenDoor = Callable[..., Any]


@pytest.fixture
def open_door(redis_pair: RedisPair, make_settings: Callable[..., Settings]) -> OpenDoor:
    """`async with open_door(checks={…}, **settings) as door`."""

    @asynccontextmanager
    async def opened(checks: Mapping[str, Check] | None = None, **fields: Any) -> AsyncIterator[Door]:
        plans = {"free": Plan(turns_per_minute=2), "plus": Plan()}
        settings = make_settings(**({"plans": plans, "message_bytes": 1_000} | fields))
        accounts = Accounts(redis_pair.state, settings, owner_token=OWNER_TOKEN)
        await accounts.ensure_owner()
        app = web.Application(client_max_size=settings.body_bytes)
        erased: list[tuple[str, str]] = []

        async def erase(tenant: str, user: str) -> Erasure:
            erased.append((tenant, user))
            return Erasure({"messages": 3}, [Left("gpu1", 2, "gpu1 cannot be reached.")])

        app[SETTINGS], app[ACCOUNTS], app[METRICS] = settings, accounts, Metrics()
        app[MODEL] = BundledModel()  # type: ignore[assignment]
        app[CHECKS] = checks if checks is not None else {"redis": _fine}
        app[ERASE] = erase
        add_routes(app, [*session.routes(), *admin.routes(), *ops.routes(), *KNOCK])
        middlewares.install(app)
        ops.install(app)
        server = TestServer(app)
        await server.start_server(**middlewares.server_options())
        async with TestClient(server) as client:
            yield Door(client, accounts, settings, erased)

    return opened


@pytest.fixture
async def door(open_door: OpenDoor) -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


async def raw(door: Door, request: bytes) -> bytes:
    """What the server answers to bytes no client library would send; until it closes or says nothing for a moment."""
    import asyncio

    assert door.client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", door.client.port)
    try:
        writer.write(request)
        await writer.drain()
        answer = bytearray()
        while True:
            async with asyncio.timeout(30):
                chunk = await reader.read(65_536)
            answer += chunk
            if not chunk or _whole(bytes(answer)):
                return bytes(answer)
    finally:
        writer.close()


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and length and len(body) >= int(length[0]))
