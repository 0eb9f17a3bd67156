"""A real ComfyUI behind the page: a picture of a garment goes in at the browser, and a picture comes back to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from server.render.worker.process import opened
from tests.browser.conftest import browser_settings
from tests.browser.conftest import chromium as chromium
from tests.browser.shop.counter import Shop
from tests.browser.visitor import arrive
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.host import ComfyUI
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
RENDER_MS = 120_000  # a tiny model on a shared core, with everything loaded anew
LOOK = {
    "checkpoint": "tiny-sdxl.safetensors",
    "adapter": "coat.safetensors",
    "encoder": "lens-a.safetensors",
    "scene": {"prompt": "standing in a garden", "width": 64, "height": 96, "steps": 2, "sampler": "euler"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def test_from_an_upload_to_a_picture_in_the_shop_and_in_the_conversation(
    window: Browser, comfyui: ComfyUI, tmp_path: Path
) -> None:
    hosts = {"gpu1": {"url": comfyui.url, "token": PACK_TOKEN}}
    async with FakeOpenAI() as model:
        settings = browser_settings(tmp_path / "data", model, comfy_hosts=hosts, render_workers=0)
        async with running(settings, model) as server, opened(settings):
            nora = await arrive(server, await window.new_context(), "Nora", meets={})
            status, answer = await server.ask("PUT", f"/v1/characters/{nora.character}/look", json=LOOK)
            assert status == 200, answer
            shop = Shop(nora, nora.character)
            await shop.open()
            await shop.upload("Red dress")
            await shop.button("Preview", "Red dress").click()
            await expect(shop.picture("Red dress")).to_be_visible(timeout=RENDER_MS)
            await shop.is_shown("Red dress")
            await shop.button("Give", "Red dress").click()
            await nora.is_with(shop.character)
            await expect(nora.replies.last).to_contain_text("wearing “Red dress”", timeout=RENDER_MS)
            await nora.may_speak()
            await nora.say("/picture by a lake")
            picture = nora.replies.last.locator(".picture[data-state=ready] img")
            await expect(nora.replies.last).to_contain_text("wearing “Red dress”: by a lake")
            await expect(picture).to_be_visible(timeout=RENDER_MS)
            await nora.page.reload()
            await expect(picture).to_be_visible()
            assert nora.unexpected() == []
