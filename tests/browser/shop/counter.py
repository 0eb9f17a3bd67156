"""A shop for browser tests: a server with a fake ComfyUI behind it, and pictures of garments to upload."""

import io
import re
from typing import Any

from PIL import Image, ImageDraw
from playwright.async_api import FilePayload, Locator, expect

from tests.browser.visitor import Visitor

LOOK: dict[str, Any] = {
    "checkpoint": "sdxl.safetensors",
    "scene": {"prompt": "standing, plain background", "width": 512, "height": 768, "steps": 4},
}


def photo(prompt_id: str) -> bytes:
    """What the fake ComfyUI draws: a colour of its own for each render, as PNG."""
    out = io.BytesIO()
    Image.new("RGB", (LOOK["scene"]["width"], LOOK["scene"]["height"]), f"#{prompt_id[:6]}").save(out, "PNG")
    return out.getvalue()


def garment(color: str = "#7c2a3e") -> bytes:
    """A dress of one colour on white, as PNG."""
    picture = Image.new("RGB", (600, 900), "white")
    ImageDraw.Draw(picture).polygon([(230, 120), (370, 120), (480, 820), (120, 820)], fill=color)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def file(name: str = "red_dress.png", color: str = "#7c2a3e") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": garment(color)}


class Shop:
    """The shop page of one visitor's character."""

    def __init__(self, visitor: Visitor, character: str) -> None:
        self.visitor = visitor
        self.character = character
        self.page = visitor.page

    @property
    def tiles(self) -> Locator:
        return self.page.get_by_role("list", name="Items").get_by_role("listitem")

    def tile(self, title: str) -> Locator:
        return self.page.get_by_role("listitem", name=title, exact=True)

    def picture(self, title: str) -> Locator:
        return self.tile(title).locator(".picture[data-state=ready] img")

    def button(self, label: str, title: str) -> Locator:
        return self.page.get_by_role("button", name=f"{label}: {title}", exact=True)

    async def open(self) -> None:
        await self.page.goto(f"{self.visitor.api.url}/#/c/{self.character}/shop")
        await expect(self.page.get_by_role("heading", level=1, name=re.compile("wears$"))).to_be_visible()

    async def upload(self, title: str, *, to_all: bool = False, **how: Any) -> None:
        await self.page.get_by_role("button", name="Add your own").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("A picture of it").set_input_files(file(**how))
        await expect(dialog.locator(".upload__found")).to_contain_text("pixels")
        await dialog.get_by_label("What it is called").fill(title)
        if to_all:
            await dialog.get_by_label("Put it in the shop").check()
        await dialog.get_by_role("button", name="Add it").click()
        await expect(dialog).to_be_hidden()
        await expect(self.tile(title)).to_be_visible()

    async def is_shown(self, title: str) -> None:
        """Waits for the picture, and that the browser could read it."""
        image = self.picture(title)
        await image.scroll_into_view_if_needed()
        await expect(image).to_be_visible()
        await expect(image).to_have_js_property("complete", True)
        assert await image.evaluate("(image) => image.naturalWidth") > 0
