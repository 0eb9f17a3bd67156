"""The editor with our pack in a real Chromium: it loads in silence, shows help, lists the examples and runs them."""

import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import chromium as chromium
from tests.comfyui.editor import Editor, editor
from tests.comfyui.host import ROOT, ComfyUI, running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
NODES = sorted(path.stem for path in (ROOT / "comfy_nodes" / "web" / "docs").glob("*.md"))
EXAMPLES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def bare_comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """One without any pack."""
    with running(tmp_path_factory.mktemp("bare"), {}) as comfyui:
        yield comfyui


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def artist(window: Browser, comfyui: ComfyUI) -> AsyncIterator[Editor]:
    """One editor for all tests here."""
    async with editor(window, comfyui.url) as opened:
        yield opened


async def test_the_console_shows_nothing_that_a_bare_editor_does_not(
    window: Browser, comfyui: ComfyUI, bare_comfyui: ComfyUI
) -> None:
    async with editor(window, bare_comfyui.url) as bare:
        usual = sorted(bare.complaints)
    async with editor(window, comfyui.url) as ours:
        assert sorted(ours.complaints) == usual


async def test_every_node_has_a_help_page_and_every_page_a_node(artist: Editor) -> None:
    assert await artist.node_types("Vestige_") == set(NODES)


@pytest.fixture(scope="module")
def as_the_examples_say(comfyui: ComfyUI) -> None:
    """The files that the examples name: public ones that people have, and a character of one's own."""
    for folder, here, there in (
        ("models/checkpoints", "tiny-sdxl.safetensors", "sd_xl_base_1.0.safetensors"),
        ("models/loras", "mira_v1.safetensors", "your_character_v1.safetensors"),
        ("input", "dress.png", "example.png"),
    ):
        os.link(comfyui.base / folder / here, comfyui.base / folder / there)


@pytest.mark.parametrize("node", NODES)
async def test_help_is_shown(artist: Editor, node: str) -> None:
    await artist.add(node)
    page = (ROOT / "comfy_nodes" / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8")
    [title] = [line.removeprefix("# ") for line in page.splitlines() if line.startswith("# ")]
    first_words = re.sub("[*`]", "", page.split("\n\n")[1].split("\n")[0])
    assert first_words in await artist.help(title)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.usefixtures("as_the_examples_say")
async def test_an_example_opens_from_the_templates_and_runs(window: Browser, comfyui: ComfyUI, name: str) -> None:
    async with editor(window, comfyui.url) as fresh:
        assert await fresh.templates("vestige") == EXAMPLES
        await fresh.open_template(name)
        assert await fresh.missing() == {}
        assert await fresh.alerts() == []
        await fresh.set("EmptyLatentImage", width=64, height=64)
        for sampler in ("KSampler", "Vestige_OutfitSweep"):
            await fresh.set(sampler, steps=2)
        shown = await fresh.run()
        assert any(output.get("images") for output in shown.values())
