"""The editor with our pack in a real Chromium."""

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


@pytest.mark.parametrize("node", NODES)
async def test_help_is_shown(artist: Editor, node: str) -> None:
    await artist.add(node)
    page = (ROOT / "comfy_nodes" / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8")
    [title] = [line.removeprefix("# ") for line in page.splitlines() if line.startswith("# ")]
    assert title in await artist.help()
