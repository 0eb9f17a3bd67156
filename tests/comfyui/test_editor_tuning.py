"""What our extension adds to the editor: values on tuning nodes, a badge for other files, a button for an address."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Route, async_playwright

from tests.browser.conftest import chromium as chromium
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.editor import Editor, editor
from tests.comfyui.host import ComfyUI

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
SHA256 = "7" * 64
PRESS = "() => { app.graph.nodes[0].widgets.find(({name}) => name === 'fetch from https address').callback() }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def artist(chromium: Path, comfyui: ComfyUI) -> AsyncIterator[Editor]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        async with editor(browser, comfyui.url) as opened:
            yield opened
        await browser.close()


async def lines(artist: Editor) -> list[str]:
    """What the panel of the only node that has one says."""
    return await artist.page.evaluate(
        """() => app.graph.nodes.flatMap(node => node.widgets ?? []).filter(({type}) => type === 'vestige')
            .flatMap(({element}) => [...element.children].map(({textContent}) => textContent))"""
    )


async def answer(artist: Editor, question: str, text: str) -> None:
    """Types into the dialog that asks a question."""
    box = artist.page.get_by_role("dialog").filter(has_text=question).get_by_role("textbox")
    await box.fill(text)
    await box.press("Enter")


async def test_a_preset_shows_its_values_once_it_ran(artist: Editor) -> None:
    await artist.page.evaluate("() => sessionStorage.clear()")
    await artist.add("Vestige_TuningPreset")
    await artist.page.evaluate(
        """() => {
            const preset = app.graph.nodes[0]
            preset.widgets.find(({name}) => name === 'preset').value = 'starter-sdxl-anime@1'
            const report = LiteGraph.createNode('Tiny_Report')
            app.graph.add(report)
            preset.connect(0, report, 0)
        }"""
    )
    await artist.run()
    shown = await lines(artist)
    assert shown[0] == "starter-sdxl-anime@1"
    assert shown[1] == "weight 0.4 · from 0 to 0.7 · linear"
    assert shown[3:5] == ["LoRA 0.8 / 0.8 · FreeU off", "tuned on SDXL"]
    assert shown[5].startswith("A starting point")


async def test_with_the_token_it_shows_them_as_soon_as_it_is_chosen(artist: Editor) -> None:
    await artist.page.evaluate("token => sessionStorage.setItem('vestige.token', token)", PACK_TOKEN)
    await artist.add("Vestige_TuningPreset")
    await artist.page.evaluate(
        """() => {
            const choice = app.graph.nodes[0].widgets.find(({name}) => name === 'preset')
            choice.value = 'starter-pony-anime@1'
            choice.callback(choice.value)
        }"""
    )
    await artist.page.wait_for_function(
        """() => app.graph.nodes[0].widgets.some(({element}) => element?.textContent.includes('tuned on Pony'))"""
    )
    assert (await lines(artist))[1] == "weight 0.45 · from 0 to 0.7 · linear"


async def test_a_node_whose_files_differ_wears_a_badge_until_they_fit(artist: Editor) -> None:
    await artist.add("Vestige_OutfitChain")
    tell = """misfits => {
        app.api.dispatchCustomEvent('vestige.misfits', {node: String(app.graph.nodes[0].id), misfits})
        const worn = app.graph.nodes[0].badges.map(badge => typeof badge === 'function' ? badge() : badge)
        return worn.map(({text}) => text)
    }"""
    assert "⚠ other files" in await artist.page.evaluate(tell, ["the IP-Adapter is <b>other</b>"])
    assert await lines(artist) == ["⚠ the IP-Adapter is <b>other</b>"]
    assert "⚠ other files" not in await artist.page.evaluate(tell, [])
    assert await lines(artist) == []


async def test_an_address_becomes_a_sha256_and_is_kept_nowhere(artist: Editor) -> None:
    asked: list[tuple[str | None, Any]] = []

    async def fetched(route: Route) -> None:
        asked.append((await route.request.header_value("authorization"), route.request.post_data_json))
        await route.fulfill(status=201, json={"sha256": SHA256})

    address = "https://pictures.example/dress.png?signature=secret"
    await artist.page.route("**/vestige/references", fetched)
    await artist.page.evaluate("() => sessionStorage.clear()")
    await artist.add("Vestige_LoadReference")
    await artist.page.evaluate(PRESS)
    await answer(artist, "The https address", address)
    await answer(artist, "VESTIGE_PACK_TOKEN", "a-token-of-somebody")
    await artist.page.wait_for_function(
        "sha256 => app.graph.nodes[0].widgets.find(({name}) => name === 'sha256').value === sha256", arg=SHA256
    )
    assert asked == [("Bearer a-token-of-somebody", {"url": address})]
    saved = json.dumps(await artist.page.evaluate("async () => [app.graph.serialize(), await app.graphToPrompt()]"))
    assert SHA256 in saved
    assert "pictures.example" not in saved
    assert "a-token-of-somebody" not in saved
    await artist.page.unroute("**/vestige/references")


async def test_a_picture_chosen_later_counts_and_a_saved_sha256_stays(artist: Editor) -> None:
    await artist.add("Vestige_LoadReference")
    kept = await artist.page.evaluate(
        """async sha256 => {
            const widget = wanted => app.graph.nodes[0].widgets.find(({name}) => name === wanted)
            widget('sha256').value = sha256
            await app.loadGraphData(app.graph.serialize())
            const loaded = widget('sha256').value
            const picture = widget('picture')
            picture.value = picture.options.values.at(-1)
            picture.callback(picture.value)
            return [loaded, widget('sha256').value]
        }""",
        SHA256,
    )
    assert kept == [SHA256, ""]


async def test_what_the_route_refuses_is_said_and_a_wrong_token_forgotten(artist: Editor) -> None:
    await artist.page.evaluate("() => sessionStorage.setItem('vestige.token', 'of another host')")
    await artist.add("Vestige_LoadReference")
    await artist.page.evaluate(PRESS)
    await answer(artist, "The https address", "https://pictures.example/dress.png")
    await artist.page.get_by_text("The token is not the one of this ComfyUI").wait_for()
    assert await artist.page.evaluate("() => sessionStorage.getItem('vestige.token')") is None
