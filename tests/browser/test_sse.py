"""The page's parser of server-sent events, fed in every way a network may cut them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page

from tests.harness import Server

PARSE = """async (pieces) => {
    const { EventParser } = await import(new URL('sse.js', document.querySelector('script[type=module]').src));
    const parser = new EventParser();
    return pieces.flatMap((piece) => parser.push(piece)).map(({ event, data }) => [event, data]);
}"""
READ = """async ([bytes, size]) => {
    const { readEvents } = await import(new URL('sse.js', document.querySelector('script[type=module]').src));
    const all = new TextEncoder().encode(bytes);
    const body = new ReadableStream({
        start(control) {
            for (let at = 0; at < all.length; at += size) control.enqueue(all.slice(at, at + size));
            control.close();
        },
    });
    const found = [];
    for await (const { event, data } of readEvents(body)) found.push([event, data]);
    return found;
}"""
WHOLE = 'event: token\ndata: {"text": "né 🦊"}\n\n: ping\n\nevent: done\r\ndata: 1\r\ndata: 2\r\n\r\n'
EVENTS = [["token", '{"text": "né 🦊"}'], ["done", "1\n2"]]


@pytest_asyncio.fixture(loop_scope="session")
async def page(server: Server, usual_window: BrowserContext) -> AsyncIterator[Page]:
    """The page as nobody in particular sees it: its modules are there to be asked."""
    page = await usual_window.new_page()
    await page.goto(server.url)
    yield page
    await page.close()


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([WHOLE], EVENTS),
        (list(WHOLE), EVENTS),
        (["data: a\r", "\ndata: b\r", "\n\r\n"], [["message", "a\nb"]]),
        (["data: a\r\rdata: b\r", "\r", ""], [["message", "a"]]),
        (["\ufeffdata:x\n\n"], [["message", "x"]]),
        (["data\n\n", "event: only\n\n", ":\n\n"], [["message", ""]]),
        (["data: not ended\n"], []),
        (["id: 1\nretry: 5\nwhat: x\ndata:  two spaces\n\n"], [["message", " two spaces"]]),
    ],
)
async def test_events_are_found_however_the_text_is_cut(page: Page, pieces: list[str], events: list) -> None:
    assert await page.evaluate(PARSE, pieces) == events


async def test_a_character_may_be_cut_in_the_middle_of_its_bytes(page: Page) -> None:
    for size in (1, 2, 3, 7):
        assert await page.evaluate(READ, [WHOLE, size]) == EVENTS
