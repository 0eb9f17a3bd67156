"""OpenRouter as its documentation describes it, spoken with over real HTTP under its own name."""

import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import SecretStr
from yarl import URL

from server.errors import ModelMisconfigured, ModelRefused, ModelUnavailable
from server.routing.endpoint import ChatEndpoint
from server.routing.options import Options
from server.routing.types import Finished, ModelRequest, PromptMessage, Token, Usage
from tests.fakes.openai_server import FakeOpenAI, Say, Stream, breaks, fails

KEY = "sk-or-v1-0123456789abcdef"
Ask = Callable[..., ModelRequest]


class OnlyLoopback(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


@pytest.fixture
async def openrouter() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(key=KEY, openrouter=True) as fake:
        yield fake


@pytest.fixture
async def model(openrouter: FakeOpenAI) -> AsyncIterator[ChatEndpoint]:
    connector = aiohttp.TCPConnector(resolver=OnlyLoopback())
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield ChatEndpoint(
            session,
            Options(
                base_url=URL(f"http://openrouter.ai:{openrouter.port}/api/v1"),
                api_key=SecretStr(KEY),
                model="anthropic/claude-sonnet-4.5",
                key_name="OPENROUTER_API_KEY",
            ),
        )


async def test_a_turn(openrouter: FakeOpenAI, model: ChatEndpoint, ask: Ask) -> None:
    openrouter.next(
        Stream(
            (Say("Hm.", "reasoning"), Say("Good"), Say(" evening")),
            usage={
                "cost": 0.00123,
                "prompt_tokens": 900,
                "prompt_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        )
    )
    events = [event async for event in model.stream(ask(session="home/anna/mira"))]
    usage = Usage(prompt_tokens=900, completion_tokens=3, cached_tokens=700, reasoning_tokens=1, cost=1_230)
    assert "".join(event.text for event in events if isinstance(event, Token)) == "Good evening"
    assert events[-1] == Finished("anthropic/claude-sonnet-4.5", "stop", usage)


async def test_what_openrouter_is_told(openrouter: FakeOpenAI, model: ChatEndpoint) -> None:
    prompt = [PromptMessage("system", "Stable.", cacheable=True), PromptMessage("user", "Hello")]
    await model.complete(ModelRequest(prompt, session="home/anna/mira"))
    sent = openrouter.requests[0]
    assert sent.headers["X-OpenRouter-Title"] == "Vestige"
    assert sent.headers["HTTP-Referer"]
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert "anna" not in str(sent.body)
    assert sent.messages[0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert "stream_options" not in sent.body


async def test_the_model_is_reached_only_by_its_host(model: ChatEndpoint) -> None:
    assert model.info.provider == "openrouter.ai"
    assert KEY not in repr(model)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (fails(401, "No auth credentials found"), ModelMisconfigured),
        (fails(402, "Insufficient credits"), ModelMisconfigured),
        (fails(402, "busy", metadata={"limit_source": "openrouter_in_flight_budget"}), ModelUnavailable),
        (fails(403, "flagged", metadata={"reasons": ["hate"], "flagged_input": "…"}), ModelRefused),
        (fails(404, "No endpoints found for vendor/gone."), ModelMisconfigured),
        (fails(429, "Rate limited", retry_after=3), ModelUnavailable),
        (fails(502, "Provider returned error"), ModelUnavailable),
        (fails(503, "No provider meets your requirements"), ModelUnavailable),
        (breaks("", "server_error"), ModelUnavailable),
        (breaks("Once", 502), ModelUnavailable),
        (Stream((), finish="content_filter"), ModelRefused),
    ],
)
async def test_its_errors(
    openrouter: FakeOpenAI, model: ChatEndpoint, ask: Ask, error: Stream, kind: type[Exception]
) -> None:
    openrouter.next(error)
    with pytest.raises(kind) as caught:
        await model.complete(ask())
    assert KEY not in str(caught.value)


async def test_a_refused_reply_that_was_billed_says_so(openrouter: FakeOpenAI, model: ChatEndpoint, ask: Ask) -> None:
    openrouter.next(Stream((), finish="content_filter", usage={"cost": 0.002}))
    with pytest.raises(ModelRefused) as caught:
        await model.complete(ask())
    assert caught.value.details["cost"] == 2_000


async def test_the_check_looks_at_the_key_and_spends_nothing(openrouter: FakeOpenAI, model: ChatEndpoint) -> None:
    await model.check()
    await model.check()
    assert [request.path for request in openrouter.others] == ["/api/v1/key"]
    assert openrouter.requests == []
    openrouter.key = "another"
    with pytest.raises(ModelMisconfigured, match="OPENROUTER_API_KEY"):
        await model.complete(ModelRequest([PromptMessage("user", "Hello")]))
