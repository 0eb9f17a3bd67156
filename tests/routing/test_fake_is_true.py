"""The scripted server held against real ones, so that what passes against it means something."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from server.errors import ModelMisconfigured
from server.routing.bundled import NAME, BundledModel
from server.routing.endpoint import ChatEndpoint
from server.routing.open import open_model
from server.routing.sse import EventReader
from server.routing.types import Finished, LanguageModel, ModelRequest, PromptMessage, Token
from server.settings import Settings
from tests.fakes.openai_server import FakeOpenAI, breaks
from tests.routing.test_bundled import pytestmark as pytestmark  # the same skip: it needs the real model
from tests.routing.test_bundled import up

BODY = {
    "model": NAME,
    "messages": [{"role": "user", "content": "Tell me a very long story."}],
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 3,
}

# The chunks of a stream as OpenRouter documents them (api reference, streaming and errors; August 2026).
DOCUMENTED = [
    {
        "id": "gen-1",
        "provider": "Vendor",
        "model": "vendor/m",
        "object": "chat.completion.chunk",
        "created": 1,
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "Hi", "refusal": None},
                "finish_reason": None,
                "native_finish_reason": None,
            }
        ],
    },
    {
        "id": "gen-1",
        "provider": "Vendor",
        "model": "vendor/m",
        "object": "chat.completion.chunk",
        "created": 1,
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "error": {"code": "server_error", "message": "Provider disconnected"},
    },
    {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "total_tokens": 14,
            "cost": 0.00014,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    },
]


@pytest.fixture(params=["fake", "bundled"])
async def model(request: pytest.FixtureRequest, make_settings: Callable[..., Settings]) -> AsyncIterator[LanguageModel]:
    """The same client before either server."""
    if request.param == "bundled":
        async with open_model(make_settings()) as bundled:
            yield bundled
        return
    async with (
        FakeOpenAI() as fake,
        open_model(make_settings(llm_base_url=fake.base_url, llm_model=NAME)) as opened,
    ):
        fake.respond = lambda received: " ".join(["word"] * received.body["max_tokens"])
        yield opened


async def test_the_same_is_true_of_both(model: LanguageModel) -> None:
    prompt = [PromptMessage("system", "You are Ada."), PromptMessage("user", "Count from one to one hundred.")]
    events = [event async for event in model.stream(ModelRequest(prompt, max_tokens=5, temperature=0))]
    *tokens, end = events
    assert isinstance(end, Finished)
    assert end.model == NAME
    assert end.reason in ("stop", "length")
    assert end.usage is not None
    assert 0 < len(tokens) <= end.usage.completion_tokens
    assert end.usage.prompt_tokens > 0
    assert end.usage.cost is None
    assert all(isinstance(event, Token) and event.text for event in tokens)

    events = model.stream(ModelRequest(prompt, max_tokens=50, temperature=0))
    await anext(events)
    await events.aclose()
    text, _ = await model.complete(ModelRequest(prompt, max_tokens=5, temperature=0))
    assert text
    await model.check()


def endpoint_of(model: LanguageModel) -> ChatEndpoint:
    if isinstance(model, BundledModel):
        assert model._running is not None
        return model._running.endpoint
    assert isinstance(model, ChatEndpoint)
    return model


async def chunks(endpoint: ChatEndpoint, body: Mapping[str, Any] = BODY) -> list[dict[str, Any]]:
    """The raw chunks of one stream, asserting the frame around them."""
    exchange = endpoint._exchange
    async with (
        aiohttp.ClientSession(headers=dict(exchange._headers)) as session,
        session.post(exchange._base / "chat/completions", json=body) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        *events, last = EventReader().feed(await response.read())
    assert last == "[DONE]"
    return [json.loads(event) for event in events]


def shape(value: object, path: str = "") -> set[str]:
    """Every path in a JSON value with the type that stands there."""
    if isinstance(value, dict):
        return {found for key, inner in value.items() for found in shape(inner, f"{path}.{key}")}
    if isinstance(value, list):
        return {f"{path}[]", *(found for inner in value for found in shape(inner, f"{path}[]"))}
    return {f"{path}: {type(value).__name__}"}


async def test_its_chunks_have_the_shape_that_llama_cpp_sends(make_settings: Callable[..., Settings]) -> None:
    async with open_model(make_settings()) as bundled:
        assert isinstance(bundled, BundledModel)
        await up(bundled)
        real = await chunks(endpoint_of(bundled))
    async with FakeOpenAI() as fake, open_model(make_settings(llm_base_url=fake.base_url)) as opened:
        fake.next("Hello to you")
        pretended = await chunks(endpoint_of(opened))
    assert len(real) == len(pretended) == 6  # the role, three tokens, the end, the usage
    for truth, pretence in zip(real, pretended, strict=True):
        assert shape(pretence) <= shape(truth)
        assert list(pretence["choices"]) == [] or pretence["choices"][0].keys() == truth["choices"][0].keys()


async def test_its_chunks_have_the_shape_that_openrouter_documents(make_settings: Callable[..., Settings]) -> None:
    documented = set[str]().union(*(shape(chunk) for chunk in DOCUMENTED)) | {".choices[].finish_reason: str"}
    async with FakeOpenAI(openrouter=True) as fake, open_model(make_settings(llm_base_url=fake.base_url)) as opened:
        fake.next("Hello", breaks("Hello", "server_error"))
        for body in (BODY, {key: value for key, value in BODY.items() if key != "stream_options"}):
            for chunk in await chunks(endpoint_of(opened), body):
                assert shape(chunk) <= documented


async def test_a_wrong_key_is_refused_by_both(make_settings: Callable[..., Settings]) -> None:
    request = ModelRequest([PromptMessage("user", "Say hello.")], max_tokens=2)
    async with open_model(make_settings()) as bundled, FakeOpenAI(key="right") as fake:
        assert isinstance(bundled, BundledModel)
        await up(bundled)
        for base in (str(endpoint_of(bundled)._exchange._base), fake.base_url):
            settings = make_settings(llm_base_url=base, llm_api_key="wrong", llm_model=NAME)
            async with open_model(settings) as stranger:
                with pytest.raises(ModelMisconfigured, match="LLM_API_KEY"):
                    await stranger.complete(request)
