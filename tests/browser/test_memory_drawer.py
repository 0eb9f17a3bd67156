"""The memory beside the chat: what a turn recalled, and a person's say in it."""

import json

from playwright.async_api import expect

from tests.browser.visitor import Visitor

SECRET = "The blue button is in the walnut box."


async def remembered(nora: Visitor) -> None:
    """A conversation whose beginning has moved to long-term memory."""
    weather = "Talking of the weather by the harbour, and of the wind, and of gulls, part"
    await nora.lived_through(nora.character, [SECRET, *(f"{weather} {number}." for number in range(45))])
    await nora.page.reload()
    await expect(nora.mine.last).to_contain_text("part 44")


async def test_a_turn_shows_what_it_recalled_and_it_can_be_forgotten(nora: Visitor) -> None:
    await remembered(nora)
    character = nora.character
    await nora.talk("Where is the blue button?")
    await expect(nora.page.get_by_text("6 weeks later")).to_be_visible()
    moment = nora.drawer.get_by_role("article").filter(has_text=SECRET)
    await expect(moment).to_be_visible()
    await expect(moment).to_contain_text("Nora")
    await expect(nora.drawer.get_by_text("6 weeks ago").first).to_be_visible()
    await moment.get_by_role("button", name="Forget").click()
    await nora.confirm("Forget")
    await expect(moment).to_have_count(0)
    await expect(nora.page.get_by_text(SECRET)).to_have_count(0)
    _, exported = await nora.api.ask("GET", f"/v1/memory/{character}/export")
    assert "walnut" not in json.dumps(exported)


async def test_a_message_is_pinned_from_the_chat_and_unpinned_in_the_drawer(nora: Visitor) -> None:
    await nora.talk("I am allergic to walnuts.")
    await nora.mine.last.hover()
    await nora.mine.last.get_by_role("button", name="Pin").click()
    await expect(nora.mine.last).to_contain_text("pinned")
    await nora.tab("Pins")
    pin = nora.drawer.get_by_role("listitem").filter(has_text="walnuts")
    await expect(pin).to_contain_text("from the conversation")
    await pin.get_by_role("button", name="Remove the pin").click()
    await nora.confirm("Remove")
    await expect(pin).to_have_count(0)
    await expect(nora.mine.last).not_to_contain_text("pinned")


async def test_a_pin_is_written_and_changed(nora: Visitor) -> None:
    await nora.tab("Pins")
    await nora.drawer.get_by_label("Remember this, always").fill("I live by the sea.")
    await nora.drawer.get_by_role("button", name="Pin it").click()
    pin = nora.drawer.get_by_role("listitem").filter(has_text="sea")
    await pin.get_by_role("button", name="Edit the pin").click()
    await nora.page.get_by_label("Always remember").fill("I live by the lake.")
    await nora.confirm("Save")
    await expect(nora.drawer.get_by_role("listitem")).to_contain_text(["I live by the lake."])
    _, stored = await nora.api.ask("GET", f"/v1/memory/{nora.character}/pins")
    assert [one["text"] for one in stored["pins"]] == ["I live by the lake."]


async def test_the_summary_is_written_read_and_deleted(nora: Visitor) -> None:
    await nora.talk("I mend nets.")
    await nora.tab("Summary")
    await nora.drawer.get_by_role("button", name="Write a summary").click()
    await nora.drawer.get_by_role("textbox", name="Summary").fill("Nora mends **nets**.")
    await nora.drawer.get_by_role("button", name="Save").click()
    await expect(nora.drawer.locator("strong")).to_have_text("nets")
    await expect(nora.drawer).to_contain_text("Written by you")
    await nora.drawer.get_by_role("button", name="Delete").click()
    await nora.confirm("Delete")
    await expect(nora.drawer.get_by_role("button", name="Write a summary")).to_be_visible()


async def test_the_timeline_shows_what_was_said_and_takes_notes(nora: Visitor) -> None:
    await remembered(nora)
    await nora.tab("Timeline")
    await nora.drawer.get_by_role("button", name="Earlier").click()
    await expect(nora.drawer.locator("li.window")).to_have_count(22)
    window = nora.drawer.locator("li.window").last
    await window.get_by_text("messages", exact=False).click()
    await expect(window.get_by_role("article").filter(has_text=SECRET)).to_be_visible()
    await window.get_by_role("button", name="Add notes").click()
    await nora.page.get_by_label("Notes, one on each line").fill("Nora owns a blue button.\n\nIt is in a box.")
    await nora.confirm("Save")
    await expect(window.locator(".facts li")).to_have_text(["Nora owns a blue button.", "It is in a box."])


async def test_a_moment_leads_to_its_place_in_the_conversation(nora: Visitor) -> None:
    await remembered(nora)
    await nora.tab("Search")
    await nora.drawer.get_by_role("searchbox").fill("blue button walnut box")
    await nora.page.keyboard.press("Enter")
    moment = nora.drawer.get_by_role("article").filter(has_text=SECRET)
    await moment.get_by_role("button", name="Show in the conversation").click()
    place = nora.mine.filter(has_text=SECRET)
    await expect(place).to_be_in_viewport()
    await expect(place).to_be_focused()
    await nora.say("And now?")
    await expect(nora.mine.last).to_contain_text("And now?")
    await expect(nora.replies.last).to_contain_text("I heard")
    await expect(nora.mine.last).to_be_in_viewport()


async def test_a_recalled_line_can_be_put_right(nora: Visitor) -> None:
    await remembered(nora)
    await nora.tab("Search")
    await nora.drawer.get_by_role("searchbox").fill("blue button")
    await nora.page.keyboard.press("Enter")
    moment = nora.drawer.get_by_role("article").filter(has_text=SECRET)
    await moment.get_by_role("button", name="Edit").click()
    await nora.page.get_by_role("dialog").get_by_label("Message").fill("The blue button is in the tin.")
    await nora.confirm("Save")
    await expect(nora.drawer).to_contain_text("in the tin")
    found = await nora.api.ask("GET", f"/v1/memory/{nora.character}/search?q=blue+button")
    assert "in the tin" in json.dumps(found)
    assert "walnut" not in json.dumps(found)


async def test_memory_is_taken_along_and_cleared(nora: Visitor) -> None:
    await nora.talk(SECRET)
    await nora.tab("Data")
    async with nora.page.expect_download() as waiting:
        await nora.drawer.get_by_role("button", name="This character").click()
    download = await waiting.value
    assert download.suggested_filename.endswith(".json")
    assert SECRET in (await download.path()).read_text("utf-8")
    await nora.drawer.get_by_role("button", name="Clear this memory").click()
    await nora.confirm("Clear")
    await expect(nora.mine).to_have_count(0)
    assert SECRET not in json.dumps(await nora.api.messages(nora.character))


async def test_everything_goes_when_asked_for_in_words(nora: Visitor) -> None:
    await nora.talk(SECRET)
    await nora.tab("Data")
    await nora.drawer.get_by_role("button", name="Delete everything").click()
    dialog = nora.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Delete everything").click()
    await expect(dialog).to_be_visible()  # the word is still missing
    await dialog.get_by_label("Write “delete” to go on").fill("delete")
    await nora.confirm("Delete everything")
    await expect(nora.page.get_by_text("Deleted: ")).to_be_visible()
    await expect(nora.mine).to_have_count(0)
    _, exported = await nora.api.ask("GET", "/v1/memory/export")
    assert SECRET not in json.dumps(exported)


async def test_an_account_goes_with_everything_in_it(nora: Visitor) -> None:
    await nora.tab("Data")
    await nora.drawer.get_by_role("button", name="Delete everything").click()
    dialog = nora.page.get_by_role("dialog")
    await dialog.get_by_role("checkbox").check()
    await dialog.get_by_label("Write “delete” to go on").fill("delete")
    await dialog.get_by_role("button", name="Delete everything").click()
    await expect(nora.page.get_by_label("Sign-in link or token")).to_be_visible()
