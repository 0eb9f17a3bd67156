"""A picture of the shop in a browser, where the store is S3: by a link, past the page's own policy, and once."""

from pathlib import Path

from playwright.async_api import Browser

from tests.browser.conftest import browser_settings
from tests.browser.visitor import arrive
from tests.catalog.references.conftest import plain
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import running

SHOWN = """address => new Promise(resolve => {
    const image = new Image();
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => resolve("not shown");
    image.src = address;
    document.body.append(image);
})"""


async def test_the_page_shows_it_and_loads_it_once(
    browser: Browser, model: FakeOpenAI, s3: str, tmp_path: Path
) -> None:
    async with running(browser_settings(tmp_path / "data", model, objects_url=s3), model) as server:
        _, brought = await server.ask("POST", "/v1/references", data=plain(), headers={"Content-Type": "image/png"})
        item = {"title": "A dress", "category": "dress", "visual": True, "reference": brought["sha256"]}
        status, made = await server.ask("POST", "/v1/items", json=item)
        assert status == 201, made
        context = await browser.new_context()
        visitor = await arrive(server, context, "Nora", "member", None)
        asked: list[str] = []
        visitor.page.on("request", lambda request: asked.append(request.url))
        for _ in range(2):
            assert await visitor.page.evaluate(SHOWN, made["picture"]) == [600, 800]
        assert sum("X-Amz-Signature" in url for url in asked) == 1
        assert not visitor.unexpected()
        await context.close()
