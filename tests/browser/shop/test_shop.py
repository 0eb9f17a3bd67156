"""The shop page: from a picture of a garment to a picture of somebody in it."""

import re

from playwright.async_api import expect

from tests.browser.shop.conftest import give_look
from tests.browser.shop.counter import Shop
from tests.browser.test_layout import FAINT, NO_ROOM, PHONE, SMALL
from tests.browser.visitor import Arrive
from tests.fakes.comfyui import FakeComfy
from tests.harness import Server


class TestFromGarmentToPicture:
    async def test_an_upload_becomes_a_picture_and_stays_one(self, shop: Shop) -> None:
        await shop.upload("Red dress")
        await expect(shop.tile("Red dress")).to_contain_text("yours alone")
        await shop.button("Preview", "Red dress").click()
        await shop.is_shown("Red dress")
        await shop.page.reload()
        await shop.is_shown("Red dress")
        await expect(shop.button("Preview", "Red dress")).to_be_hidden()

    async def test_it_can_be_seen_large(self, shop: Shop) -> None:
        await shop.upload("Blue coat", color="#2f5370")
        await shop.button("Preview", "Blue coat").click()
        await shop.page.get_by_role("button", name="Show large: Mira wearing Blue coat").click()
        await expect(shop.page.get_by_role("dialog").get_by_role("img")).to_be_visible()

    async def test_one_picture_however_often_it_is_asked_for(self, shop: Shop, visit: Arrive, comfy: FakeComfy) -> None:
        await shop.upload("Green hat", color="#4b6244")
        before = len(comfy.started)
        await shop.button("Preview", "Green hat").dblclick()
        await shop.is_shown("Green hat")
        assert len(comfy.started) == before + 1


class TestWearing:
    async def test_what_is_put_on_stays_on_until_it_is_taken_off(self, shop: Shop) -> None:
        await shop.upload("Red dress")
        await shop.button("Wear", "Red dress").click()
        await expect(shop.tile("Red dress")).to_contain_text("worn now")
        await shop.page.reload()
        await expect(shop.tile("Red dress")).to_contain_text("worn now")
        await shop.button("Take off", "Red dress").click()
        await expect(shop.button("Wear", "Red dress")).to_be_visible()

    async def test_what_one_does_not_own_can_only_be_looked_at(self, visit: Arrive, server: Server) -> None:
        owner = await visit("Olga", role="admin", meets={})
        await give_look(server, owner.character)
        counter = Shop(owner, owner.character)
        await counter.open()
        await counter.upload("Shop window dress", to_all=True)
        nora = await visit("Nora", meets={})
        await give_look(server, nora.character)
        shop = Shop(nora, nora.character)
        await shop.open()
        await expect(shop.button("Preview", "Shop window dress")).to_be_visible()
        await expect(shop.button("Wear", "Shop window dress")).to_be_hidden()
        await shop.button("Preview", "Shop window dress").click()
        await shop.is_shown("Shop window dress")


class TestPrivacy:
    async def test_nobody_sees_what_another_uploaded(self, shop: Shop, visit: Arrive, server: Server) -> None:
        await shop.upload("Secret scarf")
        await shop.button("Preview", "Secret scarf").click()
        await shop.is_shown("Secret scarf")
        address = await shop.picture("Secret scarf").get_attribute("src")
        tom = await visit("Tom", meets={})
        await give_look(server, tom.character)
        other = Shop(tom, tom.character)
        await other.open()
        await expect(other.tile("Secret scarf")).to_have_count(0)
        assert address is not None
        answer = await tom.page.request.get(f"{tom.api.url}{address}")
        assert answer.status == 404

    async def test_markup_in_a_title_is_text(self, shop: Shop) -> None:
        title = "<img src=x onerror=\"window.hacked='title'\">"
        await shop.upload(title)
        await expect(shop.tile(title).get_by_role("heading")).to_have_text(title)
        assert await shop.page.evaluate("window.hacked") is None


class TestTrouble:
    async def test_the_check_says_in_words_what_hurts(self, shop: Shop) -> None:
        await shop.page.get_by_role("button", name="Add your own").click()
        dialog = shop.page.get_by_role("dialog")
        svg = {"name": "x.svg", "mimeType": "image/svg+xml", "buffer": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}
        await dialog.get_by_label("A picture of it").set_input_files(svg)  # type: ignore[arg-type]
        await expect(dialog.get_by_role("alert")).to_be_visible()
        await dialog.get_by_label("Or its address on the web").fill("https://127.0.0.1/dress.png")
        await dialog.get_by_role("button", name="Fetch", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_be_visible()
        await dialog.get_by_role("button", name="Add it").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("Choose a picture first")

    async def test_a_character_without_a_look_says_so(self, visit: Arrive) -> None:
        nora = await visit("Nora", meets={})
        shop = Shop(nora, nora.character)
        await shop.open()
        await shop.upload("Red dress")
        await expect(shop.page.get_by_role("note")).to_contain_text("has no look yet")
        await expect(shop.button("Preview", "Red dress")).to_be_hidden()


class TestWithoutAMouse:
    async def test_buttons_keep_the_focus_when_they_change(self, shop: Shop) -> None:
        await shop.upload("Red dress")
        await shop.button("Wear", "Red dress").focus()
        await shop.page.keyboard.press("Enter")
        await expect(shop.button("Take off", "Red dress")).to_be_visible()
        focused = await shop.page.evaluate("document.activeElement.closest('.tile') !== null")
        assert focused
        await shop.page.get_by_role("button", name="What I own").focus()
        await shop.page.keyboard.press("Enter")
        await expect(shop.page.get_by_role("button", name="What I own")).to_be_focused()
        await expect(shop.tile("Red dress")).to_be_visible()


async def test_it_fits_a_phone_in_both_colours(visit: Arrive, server: Server) -> None:
    for colours in ("light", "dark"):
        nora = await visit("Nora", meets={}, color_scheme=colours, **PHONE)
        await give_look(server, nora.character)
        shop = Shop(nora, nora.character)
        await shop.open()
        await shop.upload(f"A very long title of a dress {'that goes on and on ' * 6}".strip()[:190])
        await shop.upload("Red dress")
        await shop.button("Preview", "Red dress").click()
        await shop.is_shown("Red dress")
        assert await nora.page.evaluate(NO_ROOM) == [False]
        assert await nora.page.evaluate(FAINT) == []
        assert await nora.page.evaluate(SMALL) == []


async def test_pictures_do_not_make_the_page_jump(shop: Shop) -> None:
    await shop.upload("Red dress")
    box = shop.tile("Red dress").locator(".picture")
    before = await box.bounding_box()
    await shop.button("Preview", "Red dress").click()
    await shop.is_shown("Red dress")
    after = await box.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["width"] - after["width"]) < 1
    assert re.fullmatch(r"\d+ / \d+", await box.evaluate("(one) => one.style.aspectRatio"))


async def test_what_nobody_wants_any_more_is_not_made(shop: Shop, server: Server, comfy: FakeComfy) -> None:
    await shop.upload("Red dress")
    assert (await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": True}))[0] == 200
    before = len(comfy.started)
    try:
        await shop.button("Preview", "Red dress").click()
        await shop.button("Cancel", "Red dress").click()
        await expect(shop.button("Preview", "Red dress")).to_be_visible()
    finally:
        await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": False})
    assert len(comfy.started) == before
