"""A scripted model server, and the endpoint that talks to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

from server.routing.endpoint import ChatEndpoint
from server.routing.open import open_session
from server.routing.options import Options
from server.routing.types import ModelRequest, PromptMessage
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.fakes.openai_server import FakeOpenAI
from tests.routing.chains import House, chain_house

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(key=KEY) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(keep_alive=True) as opened:
        yield opened


@pytest.fixture
def make_endpoint(fake: FakeOpenAI, session: aiohttp.ClientSession) -> Callable[..., ChatEndpoint]:
    """`make_endpoint(**options)`: an endpoint for the fake, with its key."""

    def make(**options: Any) -> ChatEndpoint:
        defaults = {"base_url": URL(fake.base_url), "api_key": SecretStr(KEY), "model": "fake-model"}
        return ChatEndpoint(session, Options(**(defaults | options)))

    return make


@pytest.fixture
def endpoint(make_endpoint: Callable[..., ChatEndpoint]) -> ChatEndpoint:
    return make_endpoint()


@pytest.fixture
def ask() -> Callable[..., ModelRequest]:
    """`ask("Hello", **fields)`: a request with a system message and this one."""

    def make(text: str = "Hello", **fields: Any) -> ModelRequest:
        return ModelRequest([PromptMessage("system", "You are Ada."), PromptMessage("user", text)], **fields)

    return make


@pytest.fixture
def open_chain(
    make_settings: Callable[..., Settings], redis_pair: RedisPair, tmp_path: Path
) -> Callable[..., AbstractAsyncContextManager[House]]:
    """`async with open_chain(policy=…, book=…) as house`: a chain over a scripted OpenRouter."""

    def make(**fields: Any) -> AbstractAsyncContextManager[House]:
        settings = make_settings(openrouter_api_key="sk-or-0123456789abcd")
        return chain_house(settings, redis_pair, tmp_path / "routing.toml", **fields)

    return make


@pytest.fixture
async def house(open_chain: Callable[..., AbstractAsyncContextManager[House]]) -> AsyncIterator[House]:
    async with open_chain() as opened:
        yield opened
