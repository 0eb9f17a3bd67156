"""How the page follows renders: a few by streams of their own, in turn, and each to its end."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import BrowserContext, Page

from tests.harness import Server

FOLLOW = """async (count) => {
    const page = document.querySelector('script[type=module]').src;
    const { Jobs } = await import(new URL('pictures/jobs.js', page));
    const finish = {};
    let [open, most] = [0, 0];
    const api = {
        async *jobEvents(id, signal) {
            open += 1;
            most = Math.max(most, open);
            try {
                await new Promise((resolve) => {
                    finish[id] = resolve;
                    signal.addEventListener('abort', resolve);
                });
                if (!signal.aborted) yield { event: 'done', data: { job: { id, state: 'done' } } };
            } finally {
                open -= 1;
            }
        },
        job: async (id) => ({ id, state: 'waiting' }),
    };
    const jobs = new Jobs(api);
    const ended = [];
    const stops = Array.from({ length: count }, (_, at) => jobs.follow(`j${at}`, { end: (job) => ended.push(job.id) }));
    const left = `j${count - 1}`;
    stops[count - 1](); // somebody goes away before the end
    const moment = () => new Promise((resolve) => setTimeout(resolve));
    for (let at = 0; at < count - 1; at += 1) {
        await moment();
        finish[`j${at}`]?.();
    }
    await moment();
    return { most, ended, open, told: ended.includes(left) };
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(server: Server, usual_window: BrowserContext) -> AsyncIterator[Page]:
    page = await usual_window.new_page()
    await page.goto(server.url)
    yield page
    await page.close()


async def test_few_streams_at_once_and_every_render_to_its_end(page: Page) -> None:
    found = await page.evaluate(FOLLOW, 9)
    assert found == {"most": 3, "ended": [f"j{at}" for at in range(8)], "open": 0, "told": False}
