"""How it looks and fits: phones, zoom, light and dark, sizes of what is touched, contrast."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.visitor import Arrive, Visitor
from tests.fakes.openai_server import FakeOpenAI

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
RICH = (
    "*She* looks **up** at [it](https://example.org).\n\n```\n" + "x" * 400 + "\n```\n\n| a | b |\n| - | - |\n"
    "| " + "c" * 300 + " | d |\n\n> " + "w" * 500
)
NO_ROOM = """() => {
    const wide = [...document.querySelectorAll('body *')].filter((one) => {
        const box = one.getBoundingClientRect();
        if (!box.width || getComputedStyle(one).visibility === 'hidden') return false;
        if (one.closest('pre, table, .tabs, .sr-only, .skip')) return false;
        return box.right > innerWidth + 1 || box.left < -1;
    });
    return [document.documentElement.scrollWidth > innerWidth, ...wide.map((one) => one.className || one.localName)];
}"""
# WCAG 2: relative luminance and contrast, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
FAINT = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].map((one) => one / 255);
    };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
    const luminance = (color) => color.slice(0, 3)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (node) => {
        const layers = [];
        for (let one = node; one; one = one.parentElement) layers.unshift(rgba(getComputedStyle(one).backgroundColor));
        return layers.reduce((under, top) => over(top, under), [1, 1, 1, 1]);
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim();
        const node = walker.currentNode.parentElement;
        const style = getComputedStyle(node);
        const unseen = !text || !node.checkVisibility({ visibilityProperty: true });
        if (unseen || node.closest('.sr-only, :disabled, .avatar')) continue;
        const under = behind(node);
        const [a, b] = [luminance(over(rgba(style.color), under)), luminance(under)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${node.className} ${text.slice(0, 30)}`);
    }
    return [...new Set(faint)];
}"""
SMALL = """() => [...document.querySelectorAll('button, summary, input, textarea, select, a[class]:not(.skip)')]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest('.sr-only'))
    .filter((one) => {
        const box = (one.matches('[type=checkbox]') ? one.closest('label') : one).getBoundingClientRect();
        return box.width && (box.height < 39.5 || box.width < 39.5);
    })
    .map((one) => `${one.className} ${one.getAttribute('aria-label') ?? one.textContent}`)"""


async def every_screen(visitor: Visitor, model: FakeOpenAI):
    """Goes through the page, screen by screen; yields the name of each."""
    page = visitor.page
    model.next(RICH)
    await visitor.talk("A long word: " + "m" * 300)
    await visitor.lived_through(visitor.character, [f"Of nets and ropes, {number}." for number in range(6)])
    await visitor.api.ask("POST", f"/v1/memory/{visitor.character}/pins", json={"text": "p" * 200})
    await page.reload()
    await expect(visitor.replies.last).to_be_visible()
    yield "chat"
    memory = page.get_by_role("button", name="Memory", exact=True)
    if await memory.get_attribute("aria-expanded") == "false":
        await memory.click()
    for tab in ("This turn", "Summary", "Pins", "Timeline", "Data"):
        await visitor.tab(tab)
        await expect(visitor.drawer.get_by_role("tabpanel")).not_to_have_attribute("aria-busy", "true")
        yield f"memory: {tab}"
    await visitor.drawer.get_by_role("button", name="Close the memory").click()
    await page.goto(f"{visitor.api.url}/#/c/{visitor.character}/edit")
    await expect(page.get_by_label("Description")).to_be_visible()
    yield "editor"
    await page.goto(f"{visitor.api.url}/#/admin")
    await expect(page.get_by_role("heading", name="Keys for programs")).to_be_visible()
    await expect(
        page.get_by_text("No program has a key.").or_(page.get_by_role("button", name="Revoke").first)
    ).to_be_visible()
    yield "admin"
    await page.get_by_role("button", name="Make a key").click()
    yield "dialog"
    await page.keyboard.press("Escape")
    await page.goto(f"{visitor.api.url}/#/routing")
    await expect(page.get_by_role("heading", name="People who cost most")).to_be_visible()
    await page.get_by_text("As a table").first.click()
    yield "models and money"


@pytest.mark.parametrize(
    "window", [PHONE, {"viewport": {"width": 640, "height": 450}}], ids=["phone", "zoomed to 200 %"]
)
async def test_nothing_sticks_out_where_there_is_little_room(visit: Arrive, model: FakeOpenAI, window: dict) -> None:
    nora = await visit("Nora", "admin", meets={"name": "M" * 120, "tags": ["t" * 90]}, **window)
    async for screen in every_screen(nora, model):
        assert await nora.page.evaluate(NO_ROOM) == [False], screen
    await nora.page.goto(f"{nora.api.url}/#/")
    assert await nora.page.evaluate(NO_ROOM) == [False], "list"


async def test_what_is_touched_is_large_enough(visit: Arrive, model: FakeOpenAI) -> None:
    nora = await visit("Nora", "admin", meets={"first_mes": "Hello.", "alternate_greetings": ["Hi."]}, **PHONE)
    async for screen in every_screen(nora, model):
        assert await nora.page.evaluate(SMALL) == [], screen


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(visit: Arrive, model: FakeOpenAI, scheme: str) -> None:
    nora = await visit(
        "Nora",
        "admin",
        meets={"first_mes": "Hello.", "tags": ["calm"]},
        color_scheme=scheme,
        viewport={"width": 1440, "height": 900},
    )
    async for screen in every_screen(nora, model):
        await _still(nora.page)
        assert await nora.page.evaluate(FAINT) == [], screen


async def _still(page: Page) -> None:
    """Waits until nothing fades or slides any more."""
    await page.evaluate(
        "Promise.all(document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity)"
        ".map((one) => one.finished.catch(() => undefined)))"
    )


async def test_a_phone_shows_one_pane_and_back_leads_out(visit: Arrive) -> None:
    nora = await visit("Nora", **PHONE)
    character = await nora.api.character()
    await nora.page.reload()
    people = nora.page.get_by_role("navigation", name="Characters")
    await expect(people).to_be_visible()
    await nora.page.locator(f"a[href='#/c/{character}']").click()
    await nora.is_with(character)
    await expect(people).to_be_hidden()
    await nora.page.get_by_role("button", name="Memory", exact=True).click()
    await expect(nora.drawer).to_be_visible()
    await nora.page.go_back()
    await expect(nora.drawer).to_be_hidden()
    await nora.page.get_by_role("link", name="Back to the characters").click()
    await expect(people).to_be_visible()


async def test_the_chosen_colours_are_kept(visit: Arrive) -> None:
    nora = await visit("Nora", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await nora.page.evaluate(ground)
    toggle = nora.page.get_by_role("button", name="Colours")
    await toggle.click()
    await toggle.click()
    dark = await nora.page.evaluate(ground)
    assert dark != light
    await nora.page.reload()
    await expect(toggle).to_have_attribute("aria-label", "Colours: dark. Switch to as the system")
    assert await nora.page.evaluate(ground) == dark
    await toggle.click()
    assert await nora.page.evaluate(ground) == light


async def test_nothing_moves_for_who_asked_for_stillness(visit: Arrive) -> None:
    nora = await visit("Nora", reduced_motion="reduce")
    longest = await nora.page.evaluate(
        "Math.max(0, ...document.getAnimations().map((one) => one.effect.getComputedTiming().endTime))"
    )
    assert longest <= 1
