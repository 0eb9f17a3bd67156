"""Writing characters, and moving them in and out as cards."""

import base64
import io
import json

from PIL import Image, PngImagePlugin
from playwright.async_api import FilePayload, expect

from tests.browser.visitor import Visitor
from tests.harness import until

CARD = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {"name": "Iven", "description": "Counts stars.", "first_mes": "Come up.", "extensions": {"x": {"y": 1}}},
}


def card_picture() -> bytes:
    """A character card as a PNG."""
    text = PngImagePlugin.PngInfo()
    text.add_text("chara", base64.b64encode(json.dumps(CARD).encode()).decode())
    file = io.BytesIO()
    Image.new("RGB", (64, 96), "#7c2a3e").save(file, "PNG", pnginfo=text)
    return file.getvalue()


async def edit(nora: Visitor) -> None:
    await nora.menu(nora.page.get_by_role("button", name="Conversation", exact=True), "Edit the character")
    await expect(nora.page.get_by_label("Name", exact=True)).to_be_visible()


async def test_a_character_is_written_and_greets(nora: Visitor) -> None:
    page = nora.page
    await page.get_by_role("button", name="New character").click()
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("needs a name")
    await page.get_by_label("Name", exact=True).fill("Odile 🦊")
    await page.get_by_label("Description").fill("Repairs clocks.")
    await page.get_by_label("Tags").fill("clocks, night , clocks")
    await page.get_by_label("First message", exact=True).fill("It is *late*.")
    await page.get_by_role("button", name="Add another").click()
    await page.get_by_label("First message 2").fill("You are early.")
    await page.get_by_role("button", name="Create").click()
    await expect(nora.title).to_have_text("Odile 🦊")
    await expect(nora.replies).to_contain_text(["It is late."])
    _, stored = await nora.api.ask("GET", f"/v1/characters/{nora.character}")
    assert stored["tags"] == ["clocks", "night"]
    assert stored["alternate_greetings"] == ["You are early."]


async def test_a_change_is_saved_and_shown(nora: Visitor) -> None:
    character = nora.character
    await edit(nora)
    await nora.page.get_by_label("Name", exact=True).fill("Mira the Second")
    await nora.page.keyboard.press("Control+s")
    await nora.is_with(character)
    await expect(nora.title).to_have_text("Mira the Second")
    await expect(nora.page.get_by_role("link", name="Mira the Second")).to_be_visible()


async def test_unsaved_work_is_not_left_by_accident(nora: Visitor) -> None:
    await edit(nora)
    await nora.page.get_by_label("Description").fill("Half a thought")
    await nora.page.get_by_role("link", name="Vestige, to the start").click()
    await nora.confirm("Stay")
    await expect(nora.page.get_by_label("Description")).to_have_value("Half a thought")
    await nora.page.go_back()
    await nora.confirm("Leave")
    await expect(nora.page.get_by_label("Description")).to_have_count(0)


async def test_two_who_write_at_once_are_told(nora: Visitor) -> None:
    character = nora.character
    await edit(nora)
    await nora.api.ask("PUT", f"/v1/characters/{character}", json={"description": "Changed by a script."})
    await nora.page.get_by_label("Description").fill("Changed here.")
    await nora.page.get_by_role("button", name="Save", exact=True).click()
    await expect(nora.page.get_by_role("heading", name="Somebody changed this character meanwhile")).to_be_visible()
    await nora.page.get_by_role("button", name="Save mine").click()
    await nora.is_with(character)
    _, stored = await nora.api.ask("GET", f"/v1/characters/{character}")
    assert stored["description"] == "Changed here."


async def test_a_card_comes_in_by_the_file_picker_and_goes_out_again(nora: Visitor) -> None:
    page = nora.page
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Import a character card").click()
    chooser = await choosing.value
    await chooser.set_files([FilePayload(name="iven.png", mimeType="image/png", buffer=card_picture())])
    await expect(nora.title).to_have_text("Iven")
    await expect(nora.replies).to_contain_text(["Come up."])
    await edit(nora)
    for item, suffix in (("Export as JSON", ".json"), ("Export as PNG card", ".png")):
        async with page.expect_download() as waiting:
            await nora.menu(page.get_by_role("button", name="Character", exact=True), item)
        assert (await waiting.value).suggested_filename.endswith(suffix)


async def test_a_card_can_be_dropped_on_the_page(nora: Visitor) -> None:
    await nora.page.evaluate(
        """(card) => {
            const carried = new DataTransfer();
            carried.items.add(new File([card], 'iven.json', { type: 'application/json' }));
            for (const name of ['dragenter', 'dragover', 'drop']) {
                window.dispatchEvent(new DragEvent(name, { dataTransfer: carried, cancelable: true }));
            }
        }""",
        json.dumps(CARD),
    )
    await expect(nora.title).to_have_text("Iven")


async def test_a_file_that_is_no_card_says_so(nora: Visitor) -> None:
    file = FilePayload(name="notes.json", mimeType="application/json", buffer=b"[1, 2")
    await nora.page.get_by_label("Character card files").set_input_files([file])
    await expect(nora.page.get_by_role("alert")).to_be_visible()
    assert len(nora.refusals) == 1


async def test_a_picture_becomes_the_face(nora: Visitor) -> None:
    character = nora.character
    await edit(nora)
    picture = FilePayload(name="face.png", mimeType="image/png", buffer=card_picture())
    await nora.page.get_by_label("Picture file").set_input_files([picture])
    await nora.page.get_by_role("button", name="Save", exact=True).click()
    await nora.is_with(character)
    face = nora.page.locator(".chat__who img")
    await expect(face).to_be_visible()
    assert await face.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    await edit(nora)
    await nora.page.get_by_role("button", name="Remove it").click()
    await expect(nora.page.locator(".editor__face img")).to_have_count(0)


async def test_a_copy_is_made_and_deleted(nora: Visitor) -> None:
    await edit(nora)
    first = nora.character
    await nora.menu(nora.page.get_by_role("button", name="Character", exact=True), "Duplicate")
    await nora.page.wait_for_url(lambda url: "/edit" in url and first + "/" not in url)
    copy = nora.character
    await nora.menu(nora.page.get_by_role("button", name="Character", exact=True), "Delete")
    await nora.confirm("Delete")
    await expect(nora.page.locator(f"a[href='#/c/{copy}']")).to_have_count(0)
    await expect(nora.page.locator(f"a[href='#/c/{first}']")).to_have_count(1)

    async def gone() -> bool:
        return (await nora.api.ask("GET", f"/v1/characters/{copy}"))[0] == 404

    await until(gone)


async def test_the_list_is_searched_by_name_and_tag(nora: Visitor) -> None:
    await nora.api.character(name="Odile", tags=["clocks"])
    await nora.page.reload()
    people = nora.page.get_by_role("list", name="Characters").get_by_role("link")
    await expect(people.filter(has_text="Mira")).to_be_visible()
    for wanted in ("odil", "CLOCK"):
        await nora.page.get_by_label("Find a character").fill(wanted)
        await expect(people).to_have_count(1)
        await expect(people).to_contain_text("Odile")
    await nora.page.get_by_label("Find a character").fill("zzz")
    await expect(nora.page.get_by_text("Nobody here has that name or tag.")).to_be_visible()
