"""What is typed in place of a message, as the page reads it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page

from tests.harness import Server

RUN = """async ([name, ...given]) => {
    const page = document.querySelector('script[type=module]').src;
    const module = await import(new URL('chat/commands.js', page));
    return module[name](...given);
}"""
WARDROBE = [{"title": "Red dress"}, {"title": "Red coat"}, {"title": "Coat"}]


@pytest_asyncio.fixture(loop_scope="session")
async def page(server: Server, usual_window: BrowserContext) -> AsyncIterator[Page]:
    page = await usual_window.new_page()
    await page.goto(server.url)
    yield page
    await page.close()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/picture", {"command": "picture", "scene": ""}),
        ("  /Picture  a walk\non the beach ", {"command": "picture", "scene": "a walk\non the beach"}),
        ("/wear red dress", {"command": "wear", "title": "red dress"}),
        ("/pictures", None),
        ("/other thing", None),
        ("say /picture", None),
        ("Hello", None),
    ],
)
async def test_commands_are_told_from_words(page: Page, text: str, command: dict[str, Any] | None) -> None:
    assert await page.evaluate(RUN, ["parseCommand", text]) == command


@pytest.mark.parametrize(("title", "found"), [("COAT", "Coat"), ("dress", "Red dress"), ("red", None), ("hat", None)])
async def test_an_item_is_meant_by_its_name_or_by_what_only_it_has(page: Page, title: str, found: str | None) -> None:
    assert await page.evaluate(RUN, ["meant", WARDROBE, title]) == (found and {"title": found})
