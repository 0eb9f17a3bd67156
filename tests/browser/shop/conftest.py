"""One real server and a real worker for the tests of the shop, and a ComfyUI of paper behind them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server.api.keys import SETTINGS
from server.render.worker.process import opened
from server.settings import Plan
from tests.browser.conftest import browser_settings
from tests.browser.shop.counter import LOOK, Shop, photo
from tests.browser.visitor import Arrive
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Server, running
from tests.render.graphs.described import described


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def comfy() -> AsyncIterator[FakeComfy]:
    async with fake_comfy(nodes=described(), picture=photo, pause=0.02) as fake:
        yield fake


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(
    tmp_path_factory: pytest.TempPathFactory, model: FakeOpenAI, comfy: FakeComfy, _clean_environment: None
) -> AsyncIterator[Server]:
    settings = browser_settings(
        tmp_path_factory.mktemp("shop") / "data",
        model,
        comfy_hosts={"gpu1": comfy.url},
        render_workers=0,
        plans={"free": Plan(context_tokens=4_000, turns_per_minute=10_000)},
    )
    async with running(settings, model) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _worker(shared_server: Server) -> AsyncIterator[None]:
    async with opened(shared_server.app[SETTINGS]):
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def shop(visit: Arrive, server: Server) -> Shop:
    """Nora's shop with Mira, who has a look."""
    nora = await visit("Nora", meets={"first_mes": "Good evening."})
    shop = Shop(nora, nora.character)
    await give_look(server, shop.character)
    await shop.open()
    return shop


async def give_look(server: Server, character: str) -> None:
    status, answer = await server.ask("PUT", f"/v1/characters/{character}/look", json=LOOK)
    assert status in (200, 201), answer
