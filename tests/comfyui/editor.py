"""ComfyUI's editor in a real Chromium, as an artist uses it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page

WAIT_MS = 30_000
WINDOW = {"width": 1600, "height": 1000}
NO_TOUR = {"Comfy.TutorialCompleted": True}  # or the template browser opens by itself over everything


@dataclass
class Editor:
    """An open editor. `complaints`: errors on its console so far, without host names and query strings."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def node_types(self, prefix: str) -> set[str]:
        """The ids of registered nodes that begin with `prefix`."""
        return set(
            await self.page.evaluate(
                "prefix => Object.keys(LiteGraph.registered_node_types).filter(id => id.startsWith(prefix))", prefix
            )
        )

    async def clear(self) -> None:
        await self.page.evaluate("() => { app.graph.clear(); app.graph.setDirtyCanvas(true, true) }")

    async def add(self, node_type: str) -> None:
        """An empty canvas with one node on it, selected, in the middle."""
        await self.page.evaluate(
            """type => {
                app.graph.clear()
                const node = LiteGraph.createNode(type)
                app.graph.add(node)
                app.canvas.ds.scale = 1
                app.canvas.centerOnNode(node)
                app.canvas.selectNode(node)
                app.graph.setDirtyCanvas(true, true)
            }""",
            node_type,
        )

    async def help(self, title: str) -> str:
        """The help that opens for the selected node, as text, once it has this title in it."""
        await self.page.get_by_test_id("info-button").click()
        shown = self.page.locator(".node-help-content").filter(has_text=title)
        await shown.first.wait_for()
        return await shown.first.inner_text()

    async def templates(self, pack: str) -> list[str]:
        """Opens the browser of templates at a pack's; their names."""
        await self.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        await self.page.get_by_text(pack, exact=True).click()
        cards = self.page.get_by_test_id(re.compile("^template-workflow-(?!s)"))
        await cards.first.wait_for()
        ids = await cards.evaluate_all("cards => cards.map(card => card.dataset.testid)")
        return sorted(id.removeprefix("template-workflow-") for id in ids)

    async def open_template(self, name: str) -> None:
        """Takes one of the templates shown; returns when its nodes are on the canvas."""
        await self.page.get_by_test_id(f"template-workflow-{name}").click()
        await self.page.wait_for_function("() => app.graph.nodes.length > 0")
        await self.page.get_by_test_id(f"template-workflow-{name}").wait_for(state="hidden")

    async def missing(self) -> dict[str, Any]:
        """Widgets whose value is not among their choices, by node and widget: what the artist would see in red."""
        return await self.page.evaluate(
            """() => Object.fromEntries(app.graph.nodes.flatMap(node => (node.widgets ?? [])
                .filter(({options, value}) => Array.isArray(options?.values) && !options.values.includes(value))
                .map(({name, value}) => [`${node.title}.${name}`, value])))"""
        )

    async def alerts(self) -> list[str]:
        """What the editor warns of in its corner."""
        return await self.page.locator(".p-toast-message").all_inner_texts()

    async def set(self, node_type: str, **widgets: Any) -> None:
        """Sets widgets of every node of a type."""
        await self.page.evaluate(
            """([type, widgets]) => {
                for (const node of app.graph.nodes.filter(node => node.type === type))
                    for (const [name, value] of Object.entries(widgets))
                        node.widgets.find(widget => widget.name === name).value = value
            }""",
            [node_type, widgets],
        )

    async def run(self) -> dict[str, Any]:
        """Presses Run; what the nodes showed, by id, when all is done. Fails with the first error shown."""
        await self.page.evaluate(
            """() => {
                window.ended = null
                const end = how => event => { window.ended ??= {how, detail: event.detail} }
                for (const how of ['execution_success', 'execution_error', 'execution_interrupted'])
                    app.api.addEventListener(how, end(how), {once: true})
            }"""
        )
        await self.page.get_by_test_id("queue-button").click()
        await self.page.wait_for_function(
            "() => window.ended || Object.keys(app.lastNodeErrors ?? {}).length", timeout=120_000
        )
        ended = await self.page.evaluate("() => window.ended ?? {how: 'refused', detail: app.lastNodeErrors}")
        assert ended["how"] == "execution_success", ended
        return await self.page.evaluate("() => app.nodeOutputs")


@asynccontextmanager
async def editor(browser: Browser, url: str) -> AsyncIterator[Editor]:
    """The editor of the ComfyUI at `url`, ready, in a window of its own."""
    context = await browser.new_context(viewport=WINDOW)  # pyright: ignore[reportArgumentType] # a plain dict
    context.set_default_timeout(WAIT_MS)
    try:
        await context.request.post(f"{url}/settings", data=NO_TOUR)
        page = await context.new_page()
        opened = Editor(page)

        def note(message: ConsoleMessage) -> None:
            if message.type == "error":
                opened.complaints.append(f"{message.text} {urlsplit(message.location['url']).path}")

        page.on("console", note)
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        await page.goto(url)
        await page.wait_for_function("() => window.app?.graph && window.app.extensionManager")
        await page.wait_for_load_state("networkidle")
        yield opened
    finally:
        await context.close()
