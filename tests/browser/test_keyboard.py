"""Without a mouse, and for those who listen."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.visitor import Arrive, Visitor
from tests.fakes.openai_server import FakeOpenAI, Hold, Say, Stream

FOCUSED = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"


async def test_a_whole_visit_without_a_mouse(nora: Visitor, model: FakeOpenAI) -> None:
    page, keys = nora.page, nora.page.keyboard
    await expect(nora.composer).to_be_focused()
    model.next("I am here.", "Here I am.")
    await keys.type("Hello")
    await keys.press("Shift+Enter")
    await keys.type("you")
    await keys.press("Enter")
    await expect(nora.replies.last).to_contain_text("I am here.")
    await expect(nora.mine.last).to_contain_text("Hello")
    await expect(nora.composer).to_be_focused()
    await keys.press("Alt+r")
    await expect(nora.replies.last).to_contain_text("Here I am.")
    await keys.press("Alt+[")
    await expect(nora.replies.last).to_contain_text("I am here.")
    await keys.press("ArrowUp")
    await expect(page.get_by_label("Edit the message of Nora")).to_be_focused()
    await keys.press("Escape")
    await expect(nora.mine.last).to_be_focused()
    await keys.press("/")
    await expect(nora.composer).to_be_focused()
    await keys.press("Alt+m")
    await expect(nora.drawer).to_be_hidden()
    await keys.press("Alt+n")
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()


async def test_escape_stops_a_reply(nora: Visitor, model: FakeOpenAI) -> None:
    model.next(Stream((Say("Well,"), Hold())))
    await nora.say("Go on")
    await expect(nora.replies.last).to_contain_text("Well,")
    await nora.page.keyboard.press("Escape")
    await expect(nora.replies.last).to_contain_text("Broken off here.")


async def test_the_first_tab_stop_skips_to_the_conversation(nora: Visitor) -> None:
    await nora.page.reload()
    await nora.is_with(nora.character)
    first = nora.page.locator("a, button, input, textarea").first
    await expect(first).to_have_text("Skip to the conversation")
    await expect(first).not_to_be_in_viewport()
    await first.focus()
    await expect(first).to_be_in_viewport()
    await nora.page.keyboard.press("Enter")
    await expect(nora.page.get_by_role("main")).to_be_focused()


async def test_a_dialog_keeps_the_focus_and_gives_it_back(nora: Visitor) -> None:
    await nora.talk("Hello")
    button = nora.page.get_by_role("button", name="Conversation", exact=True)
    await button.focus()
    await nora.page.keyboard.press("Enter")
    await nora.page.keyboard.press("End")
    await nora.page.keyboard.press("Enter")
    dialog = nora.page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    for _ in range(6):
        await nora.page.keyboard.press("Tab")
        outside = "!document.activeElement.closest('dialog') && document.activeElement !== document.body"
        assert not await nora.page.evaluate(outside)
    await nora.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()
    await expect(nora.mine).to_have_count(1)


async def test_a_menu_is_walked_with_arrows(nora: Visitor) -> None:
    button = nora.page.get_by_role("button", name="More", exact=True)
    await button.focus()
    await nora.page.keyboard.press("ArrowDown")
    await expect(nora.page.get_by_role("menuitem").first).to_be_focused()
    await expect(button).to_have_attribute("aria-expanded", "true")
    await nora.page.keyboard.press("ArrowUp")
    await expect(nora.page.get_by_role("menuitem").last).to_be_focused()
    await nora.page.keyboard.press("Escape")
    await expect(nora.page.get_by_role("menu")).to_have_count(0)
    await expect(button).to_be_focused()
    await expect(button).to_have_attribute("aria-expanded", "false")


async def test_tabs_are_walked_with_arrows(nora: Visitor) -> None:
    await nora.tab("This turn")
    await nora.page.keyboard.press("ArrowRight")
    await expect(nora.drawer.get_by_role("tab", name="Summary")).to_be_focused()
    await expect(nora.drawer.get_by_role("tabpanel", name="Summary")).to_be_visible()
    await nora.page.keyboard.press("End")
    await expect(nora.drawer.get_by_role("tab", name="Data")).to_have_attribute("aria-selected", "true")


async def test_the_list_of_keys_opens_by_one_and_can_be_turned_off(nora: Visitor) -> None:
    await nora.page.get_by_role("button", name="Memory", exact=True).focus()
    await nora.page.keyboard.press("?")
    dialog = nora.page.get_by_role("dialog", name="Keyboard shortcuts")
    await dialog.get_by_role("checkbox").uncheck()
    await nora.page.keyboard.press("Escape")
    await nora.page.keyboard.press("?")
    await expect(dialog).to_have_count(0)


async def test_a_reply_is_read_out_once_and_whole(nora: Visitor, model: FakeOpenAI) -> None:
    rest = asyncio.Event()
    model.next(Stream((Say("First "), Hold(rest), Say("and last."))))
    await nora.say("Speak")
    await expect(nora.replies.last).to_contain_text("First")
    spoken = nora.page.locator("#announce")
    await expect(spoken).to_have_text("")
    await expect(nora.page.get_by_role("log")).to_have_attribute("aria-live", "off")
    rest.set()
    await expect(spoken).to_have_text("Mira: First and last.")


@pytest.mark.parametrize("screen", ["chat", "edit", "new", "admin", "sign-in"])
async def test_everything_has_a_name_and_a_place(visit: Arrive, screen: str) -> None:
    """The tree a screen reader walks, as the browser computes it."""
    anna = await visit("Anna", "admin", meets={"first_mes": "Hello.", "alternate_greetings": ["Hi."]})
    character = anna.character
    await anna.talk("Good morning")
    where = {"chat": f"#/c/{character}", "edit": f"#/c/{character}/edit", "new": "#/new", "admin": "#/admin"}
    if screen == "sign-in":
        await anna.page.context.clear_cookies()
        await anna.page.reload()
        await expect(anna.page.get_by_role("button", name="Sign in")).to_be_visible()
    else:
        await anna.page.goto(f"{anna.api.url}/{where[screen]}")
    await expect(anna.page.get_by_role("heading", level=1)).to_have_count(1)
    session = await anna.page.context.new_cdp_session(anna.page)
    tree = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    must_be_named = {"button", "link", "textbox", "searchbox", "checkbox", "combobox", "tab", "dialog", "menu", "image"}
    assert [role for role, name in nodes if role in must_be_named and not name.strip()] == []
    roles = [role for role, _ in nodes]
    assert roles.count("main") == 1
    if screen != "sign-in":
        assert ("navigation", "Characters") in nodes
    if screen == "chat":
        assert any(role == "complementary" for role in roles)
        assert any(role == "article" and name.startswith("Mira, ") for role, name in nodes)
    duplicates = "[...document.querySelectorAll('[id]')].map((one) => one.id)"
    ids = await anna.page.evaluate(duplicates)
    assert len(ids) == len(set(ids))
    dangling = await anna.page.evaluate(
        """() => [...document.querySelectorAll('[aria-labelledby], [aria-describedby], [aria-controls], label[for]')]
            .flatMap((one) => ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for']
                .flatMap((name) => (one.getAttribute(name) ?? '').split(' ').filter(Boolean)))
            .filter((id) => !document.getElementById(id))"""
    )
    assert dangling == []
