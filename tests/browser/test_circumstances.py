"""What happens around a conversation: no network, a second window, a note from the operator, coming back."""

import asyncio
import json

from playwright.async_api import Route, expect

from tests.browser.shop.conftest import give_look
from tests.browser.shop.counter import Shop
from tests.browser.visitor import Arrive, Visitor
from tests.fakes.openai_server import FakeOpenAI, Hold, Say, Stream
from tests.harness import Server

BANNER = "You are talking to a <b>small</b> model."


async def test_without_a_network_a_message_waits_to_be_sent(nora: Visitor, model: FakeOpenAI) -> None:
    await nora.page.context.set_offline(True)
    await expect(nora.page.get_by_role("alert")).to_contain_text("You are offline.")
    await nora.say("Is anybody there?")
    await expect(nora.mine.last.get_by_role("alert")).to_contain_text("Not sent. You are offline.")
    await nora.page.context.set_offline(False)
    await expect(nora.page.get_by_text("Back online.")).to_be_visible()
    model.next("I am.")
    await nora.mine.last.get_by_role("button", name="Try again").click()
    await expect(nora.replies.last).to_contain_text("I am.")


async def test_a_second_window_sees_the_reply_when_it_is_there(nora: Visitor, model: FakeOpenAI) -> None:
    rest = asyncio.Event()
    model.next(Stream((Say("It takes "), Hold(rest), Say("a while."))))
    await nora.say("Take your time.")
    await expect(nora.replies.last).to_contain_text("It takes")
    second = await nora.page.context.new_page()
    await second.goto(nora.page.url)
    await expect(second.get_by_text("Mira is writing")).to_be_attached()
    rest.set()
    await expect(second.locator("article.msg--theirs").last).to_contain_text("It takes a while.")
    await expect(nora.replies.last).to_contain_text("It takes a while.")
    await second.close()


async def test_the_note_about_the_model_is_read_once_a_session(visit: Arrive) -> None:
    nora = await visit("Nora", meets={})

    async def with_banner(route: Route) -> None:
        response = await route.fetch()
        me = await response.json()
        me["model"] |= {"bundled": True, "banner": BANNER}
        await route.fulfill(response=response, body=json.dumps(me))

    await nora.page.route("**/v1/me", with_banner)
    await nora.page.reload()
    note = nora.page.get_by_role("note")
    await expect(note).to_contain_text(BANNER)
    await note.get_by_role("button", name="Dismiss this note").click()
    await expect(note).to_be_hidden()
    await nora.page.reload()
    await nora.is_with(nora.character)
    await expect(note).to_be_hidden()


async def test_the_last_conversation_opens_again(nora: Visitor) -> None:
    character = nora.character
    await nora.talk("See you.")
    await nora.api.character(name="Newcomer")
    await nora.page.goto("about:blank")
    await nora.page.goto(f"{nora.api.url}/")
    await nora.is_with(character)
    assert "#/c/" in nora.page.url


async def test_back_and_forward_walk_through_what_was_open(nora: Visitor) -> None:
    first, second = nora.character, await nora.api.character(name="Iven")
    await nora.open(second)
    await nora.page.go_back()
    await nora.is_with(first)
    await nora.page.go_forward()
    await nora.is_with(second)


async def test_a_character_that_does_not_exist_is_said_so(nora: Visitor) -> None:
    await nora.page.goto(f"{nora.api.url}/#/c/nobody-here")
    await expect(nora.page.get_by_role("alert")).to_contain_text("This did not open")
    await nora.page.get_by_role("link", name="To the characters").click()
    await expect(nora.composer).to_be_visible()


async def test_a_shop_is_open_while_nothing_can_make_a_picture(nora: Visitor, server: Server) -> None:
    await give_look(server, nora.character)
    shop = Shop(nora, nora.character)
    await shop.open()
    await shop.upload("Red dress")
    await expect(shop.page.get_by_role("note")).to_contain_text("There is no ComfyUI host in the settings")
    await expect(shop.button("Preview", "Red dress")).to_be_hidden()
    await shop.button("Wear", "Red dress").click()
    await expect(shop.tile("Red dress")).to_contain_text("worn now")
