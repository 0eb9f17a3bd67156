"""A conversation in the page: streaming, what stays, and changing what was said."""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import browser_settings
from tests.browser.visitor import Visitor, arrive
from tests.fakes.openai_server import FakeOpenAI, Hold, Say, Stream, fails, says
from tests.harness import running


async def test_a_reply_appears_as_it_is_written_and_ends_as_rendered_markdown(nora: Visitor, model: FakeOpenAI) -> None:
    rest = asyncio.Event()
    model.next(Stream((Say("The **thread** is "), Hold(rest), Say("`blue`.\n\n- one\n- two"))))
    await nora.say("Which colour?")
    await expect(nora.mine.last).to_contain_text("Which colour?")
    await expect(nora.replies.last).to_contain_text("The thread is")
    await expect(nora.page.get_by_role("button", name="Stop the reply")).to_be_visible()
    rest.set()
    await expect(nora.replies.last.locator("li")).to_have_text(["one", "two"])
    await expect(nora.replies.last.locator("code")).to_have_text("blue")
    await expect(nora.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    await nora.replies.last.locator("summary").click()
    await expect(nora.replies.last.get_by_text("fake-model")).to_be_visible()


async def test_a_reload_keeps_the_conversation(nora: Visitor, model: FakeOpenAI) -> None:
    model.next("I have a needle for that.")
    await nora.talk("My sleeve is torn.")
    await nora.page.reload()
    await expect(nora.mine).to_contain_text(["My sleeve is torn."])
    await expect(nora.replies).to_have_count(2)
    await expect(nora.replies.first).to_contain_text("Good evening.")
    await expect(nora.replies.last).to_contain_text("I have a needle for that.")


async def test_a_reload_in_the_middle_of_a_reply_keeps_what_had_come(nora: Visitor, model: FakeOpenAI) -> None:
    model.next(says("One stitch, two stitches,", Hold()))
    await nora.say("Count.")
    await expect(nora.replies.last).to_contain_text("two stitches")
    await nora.page.reload()
    await expect(nora.replies.last).to_contain_text("One stitch, two stitches,")
    await expect(nora.replies.last).to_contain_text("Broken off here.")
    model.next(" three stitches.")
    await nora.replies.last.get_by_role("button", name="Go on").click()
    await expect(nora.replies.last).to_contain_text("two stitches, three stitches.")
    await expect(nora.mine).to_have_count(1)


async def test_stopping_keeps_what_had_come(nora: Visitor, model: FakeOpenAI) -> None:
    model.next(says("Let me think", Hold()))
    await nora.say("Well?")
    await expect(nora.replies.last).to_contain_text("Let me think")
    await nora.page.get_by_role("button", name="Stop the reply").click()
    await expect(nora.replies.last).to_contain_text("Broken off here.")
    await expect(nora.replies.last).to_contain_text("Let me think")
    stored = await nora.api.messages(nora.character)
    assert [one["status"] for one in stored] == ["complete", "complete", "interrupted"]


async def test_the_server_comes_back_and_everything_is_still_there(
    browser: Browser, model: FakeOpenAI, tmp_path: Path
) -> None:
    settings = browser_settings(tmp_path / "data", model)
    context = await browser.new_context()
    async with running(settings, model) as server:
        nora = await arrive(server, context, "Nora")
        await nora.open(await server.character(shared=True))
        model.next("Noted: walnuts.")
        await nora.talk("I am allergic to walnuts.")
        port = server.port
    await nora.say("Are you there?")
    await expect(nora.page.get_by_text("The server cannot be reached.")).to_be_visible()
    async with running(settings, model, port=port):
        model.next("I am.")
        await nora.page.get_by_role("button", name="Try again").click()
        await expect(nora.replies.last).to_contain_text("I am.")
        await nora.page.reload()
        await expect(nora.mine).to_contain_text(["I am allergic to walnuts.", "Are you there?"])
        await expect(nora.replies).to_contain_text(["Noted: walnuts.", "I am."])
        await context.close()
    assert not nora.complaints


async def test_a_message_that_did_not_arrive_is_sent_again_under_the_same_key(nora: Visitor, model: FakeOpenAI) -> None:
    character = nora.character
    keys: list[str | None] = []

    async def cut(route) -> None:  # the answer is lost on the way, not the message
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await nora.page.route("**/v1/chat", cut)
    model.next("Only once.")
    await nora.say("Did you get this?")
    await expect(nora.page.get_by_text("Not sent.")).to_be_visible()
    await nora.page.get_by_role("button", name="Try again").click()
    await expect(nora.replies.last).to_contain_text("Only once.")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    stored = await nora.api.messages(character)
    assert [one["text"] for one in stored] == ["Good *evening*.", "Did you get this?", "Only once."]


async def test_a_failed_reply_says_why_and_is_made_again(nora: Visitor, model: FakeOpenAI) -> None:
    model.next(fails(401, "Invalid API key"))
    await nora.say("Hello?")
    alert = nora.replies.last.get_by_role("alert")
    await expect(alert).to_be_visible()
    sentence = await alert.inner_text()
    assert sentence.endswith(".")
    assert "{" not in sentence
    model.next("Here I am.")
    await nora.replies.last.get_by_role("button", name="Try again").click()
    await expect(nora.replies.last).to_contain_text("Here I am.")
    await expect(nora.mine).to_have_count(1)


async def test_versions_of_a_reply_are_kept_and_can_be_chosen(nora: Visitor, model: FakeOpenAI) -> None:
    model.next("The first way.", "The second way.")
    await nora.talk("Tell me.")
    await nora.replies.last.get_by_role("button", name="Another version").click()
    await expect(nora.replies.last).to_contain_text("The second way.")
    await expect(nora.replies.last.get_by_label("Version 2 of 2")).to_be_visible()
    await nora.replies.last.get_by_role("button", name="Previous version").click()
    await expect(nora.replies.last).to_contain_text("The first way.")
    await nora.page.reload()
    await expect(nora.replies.last).to_contain_text("The first way.")
    await expect(nora.replies.last.get_by_label("Version 1 of 2")).to_be_visible()


async def test_continuing_lengthens_the_reply(nora: Visitor, model: FakeOpenAI) -> None:
    model.next("It began in", " Varn.")
    await nora.talk("Where?")
    await nora.replies.last.get_by_role("button", name="Continue this reply").click()
    await expect(nora.replies.last).to_contain_text("It began in Varn.")


async def test_editing_a_message_changes_it_for_good(nora: Visitor) -> None:
    await nora.talk("I like red.")
    await nora.mine.last.hover()
    await nora.mine.last.get_by_role("button", name="Edit").click()
    box = nora.page.get_by_label("Edit the message of Nora")
    await box.fill("I like **blue**.")
    await nora.page.get_by_role("button", name="Save", exact=True).click()
    await expect(nora.mine.last.locator("strong")).to_have_text("blue")
    await nora.page.reload()
    await expect(nora.mine.last).to_contain_text("I like blue.")
    await expect(nora.mine.last).to_contain_text("edited")


async def test_an_edited_question_can_be_asked_again(nora: Visitor, model: FakeOpenAI) -> None:
    model.next("Red it is.")
    await nora.talk("Red?")
    await nora.composer.press("ArrowUp")
    await nora.page.get_by_label("Edit the message of Nora").fill("Blue?")
    model.next("Blue it is.")
    await nora.page.get_by_role("button", name="Save and ask again").click()
    await expect(nora.replies.last).to_contain_text("Blue it is.")
    await expect(nora.mine).to_have_count(1)


async def test_deleting_from_here_on_asks_first(nora: Visitor) -> None:
    await nora.talk("One.")
    await nora.talk("Two.")
    await nora.mine.last.hover()
    await nora.menu(nora.mine.last.get_by_role("button", name="More actions"), "Delete from here on")
    await nora.confirm("Cancel")
    await expect(nora.mine).to_have_count(2)
    await nora.mine.last.hover()
    await nora.menu(nora.mine.last.get_by_role("button", name="More actions"), "Delete from here on")
    await nora.confirm("Delete")
    await expect(nora.mine).to_have_count(1)
    await nora.page.reload()
    await expect(nora.replies.last).to_be_visible()
    await expect(nora.mine).to_have_count(1)


async def test_starting_over_empties_the_conversation(nora: Visitor) -> None:
    await nora.talk("Forget this.")
    await nora.menu(nora.page.get_by_role("button", name="Conversation", exact=True), "Start over")
    await nora.confirm("Start over")
    await expect(nora.mine).to_have_count(0)
    await expect(nora.replies).to_have_count(1)
    await nora.page.reload()
    await expect(nora.replies).to_have_count(1)
    await expect(nora.mine).to_have_count(0)


async def test_a_conversation_begins_with_the_greeting_one_chooses(nora: Visitor) -> None:
    await expect(nora.replies.last).to_contain_text("Good evening.")
    await nora.replies.last.get_by_role("button", name="Next version").click()
    await expect(nora.replies.last).to_contain_text("You again!")
    await nora.talk("It is me.")
    stored = await nora.api.messages(nora.character)
    assert stored[0]["text"] == "You again!"


async def test_older_messages_come_while_scrolling_and_the_page_stays_where_it_was(nora: Visitor) -> None:
    await nora.lived_through(nora.character, [f"Line {number}." for number in range(35)])
    await nora.page.reload()
    await expect(nora.mine.last).to_contain_text("Line 34.")
    log = nora.page.locator(".log")
    assert await log.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 2
    await expect(nora.page.get_by_text("Line 0.", exact=True)).to_have_count(0)
    await log.evaluate("box => { box.scrollTop = 300; }")
    await expect(nora.mine.first).to_contain_text("Line 0.")
    assert await log.evaluate("box => box.scrollTop") > 1_000  # not thrown to the top by what came before
    jump = nora.page.get_by_role("button", name="Jump to the latest")
    await jump.click()
    await expect(jump).to_be_hidden()
    await expect(nora.mine.last).to_be_in_viewport()


async def test_who_reads_further_up_is_not_pulled_down(nora: Visitor, model: FakeOpenAI) -> None:
    rest = asyncio.Event()
    model.next("Long.\n\n" * 60, Stream((Say("So it begins. "), Hold(rest), Say("Word.\n\n" * 60))))
    await nora.talk("Tell me a lot.")
    await nora.say("And more.")
    await expect(nora.replies.last).to_contain_text("So it begins.")
    log = nora.page.locator(".log")
    await log.evaluate("box => { box.scrollTop = 300; }")
    await expect(nora.page.get_by_role("button", name="Jump to the latest")).to_be_visible()
    before = await log.evaluate("box => box.scrollTop")
    rest.set()
    await expect(nora.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    assert await log.evaluate("box => box.scrollTop") == before


async def test_a_draft_stays_with_its_character(nora: Visitor) -> None:
    first = nora.character
    second = await nora.api.character(name="Iven")
    await nora.composer.fill("For Mira alone")
    await nora.open(second)
    await expect(nora.composer).to_have_value("")
    await nora.open(first)
    await expect(nora.composer).to_have_value("For Mira alone")
    await nora.page.reload()
    await expect(nora.composer).to_have_value("For Mira alone")


async def test_a_message_that_is_too_long_is_kept_in_the_box(nora: Visitor) -> None:
    await nora.say("long " * 8_000)
    await expect(nora.page.get_by_role("alert")).to_contain_text("too long")
    assert len(await nora.composer.input_value()) > 30_000
    await expect(nora.mine).to_have_count(0)


async def test_every_alphabet_and_very_long_words_find_room(nora: Visitor) -> None:
    await nora.talk("שלום! 👩‍👩‍👧 " + "w" * 3_000)
    await expect(nora.mine.last.locator("p").first).to_have_attribute("dir", "auto")
    assert await nora.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await nora.page.locator(".log").evaluate("box => box.scrollWidth <= box.clientWidth")


async def test_a_message_that_never_left_survives_a_reload_and_arrives_once(nora: Visitor, model: FakeOpenAI) -> None:
    character = nora.character
    await nora.page.route("**/v1/chat", lambda route: route.abort("connectionrefused"))
    await nora.say("Hold on to this.")
    await expect(nora.page.get_by_text("Not sent.")).to_be_visible()
    await nora.page.reload()
    await expect(nora.mine).to_contain_text(["Hold on to this."])
    await nora.page.unroute("**/v1/chat")
    model.next("I hold it.")
    await nora.page.get_by_role("button", name="Try again").click()
    await expect(nora.replies.last).to_contain_text("I hold it.")
    await nora.page.reload()
    await expect(nora.replies.last).to_contain_text("I hold it.")
    await expect(nora.mine).to_have_count(1)
    assert len(await nora.api.messages(character)) == 3


async def test_a_message_can_be_taken_back_before_it_is_sent(nora: Visitor) -> None:
    await nora.page.route("**/v1/chat", lambda route: route.abort("connectionrefused"))
    await nora.say("Better not.")
    await nora.page.get_by_role("button", name="Take it back").click()
    await expect(nora.mine).to_have_count(0)
    await nora.page.reload()
    await expect(nora.replies.last).to_be_visible()
    await expect(nora.mine).to_have_count(0)
