"""One real server and one real Chromium for all tests here; each test brings people of its own."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from server.settings import Plan, Settings
from tests.browser.visitor import Arrive, Visitor, arrive
from tests.conftest import KNOWN_ENVIRONMENT
from tests.fakes.openai_server import FakeOpenAI, echo
from tests.harness import Server, running

CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 15_000  # a busy machine's longest; nothing waits so long when all is well


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def chromium() -> Path:
    path = Path(os.environ.get("CHROMIUM", CHROMIUM))
    if not path.exists():
        pytest.skip(f"NOT TESTED: the page needs a Chromium. There is none at {path}; set CHROMIUM=/path/to/chromium.")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def _clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in KNOWN_ENVIRONMENT or name.startswith("VESTIGE_"):
                patch.delenv(name)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


def browser_settings(data: Path, model: FakeOpenAI, **fields: Any) -> Settings:
    """Settings of a server for the page. Summaries are off, so that only turns ask the model."""
    return Settings(
        **(
            {
                "data": data,
                "embedder": "hash",
                "shards": 1,
                "llm_base_url": model.base_url,
                "llm_model": "fake-model",
                "write_facts": False,
                "window_messages": 4,
                # so little room that what was said a page ago has to be recalled
                "plans": {
                    "free": Plan(context_tokens=1_200, recall_tokens=200, reply_tokens=100, turns_per_minute=10_000)
                },
            }
            | fields
        )
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(
    tmp_path_factory: pytest.TempPathFactory, model: FakeOpenAI, _clean_environment: None
) -> AsyncIterator[Server]:
    async with running(browser_settings(tmp_path_factory.mktemp("browser") / "data", model), model) as server:
        yield server


@pytest.fixture
def server(shared_server: Server, model: FakeOpenAI) -> Server:
    """The server, its model answering as if nothing had been scripted before."""
    model.respond = echo
    return shared_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def usual_window(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that has the page's files in its cache already; nothing else of a test stays in it."""
    context = await browser.new_context()
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(server: Server, browser: Browser, usual_window: BrowserContext) -> AsyncIterator[Arrive]:
    """`await visit("Nora")`: a new person, signed in, in a browser window of their own; further arguments go to it.
    `meets`: the fields of a character of theirs, whose conversation they come to.

    Fails the test afterwards if the browser complained of anything.
    """
    visitors: list[Visitor] = []
    async with AsyncExitStack() as stack:

        async def visit(
            name: str, role: str = "member", meets: Mapping[str, Any] | None = None, **window: Any
        ) -> Visitor:
            if window or visitors:
                context = await browser.new_context(**window)
                stack.push_async_callback(context.close)
            else:
                context = usual_window
                stack.push_async_callback(_leave, context)
            context.set_default_timeout(WAIT_MS)
            visitor = await arrive(server, context, name, role, meets)
            visitors.append(visitor)
            return visitor

        yield visit
    complaints = {visitor.name: visitor.unexpected() for visitor in visitors if visitor.unexpected()}
    assert not complaints, complaints


async def _leave(context: BrowserContext) -> None:
    for page in context.pages:
        await page.unroute_all(behavior="ignoreErrors")
        await page.evaluate("localStorage.clear()")
        await page.close()
    await context.clear_cookies()


@pytest_asyncio.fixture(loop_scope="session")
async def nora(visit: Arrive) -> Visitor:
    """Nora, in a fresh conversation with Mira, who greets her in one of two ways."""
    return await visit("Nora", meets={"first_mes": "Good *evening*.", "alternate_greetings": ["You again!"]})
