"""Pictures in a conversation, as a person asks for them."""

import asyncio

from playwright.async_api import Locator, expect

from tests.browser.shop.counter import Shop
from tests.browser.visitor import Arrive
from tests.fakes.comfyui import FakeComfy
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Server


def picture(shop: Shop) -> Locator:
    return shop.visitor.replies.last.locator(".picture[data-state=ready] img")


async def to_chat(shop: Shop) -> None:
    await shop.page.get_by_role("link", name="Back to Mira").click()
    await shop.visitor.is_with(shop.character)


async def test_a_command_becomes_a_picture_that_stays(shop: Shop) -> None:
    await to_chat(shop)
    await shop.visitor.say("/picture a walk on the beach")
    await expect(picture(shop)).to_be_visible()
    await expect(shop.visitor.replies.last).to_contain_text("a walk on the beach")
    await expect(shop.visitor.mine.last).to_contain_text("/picture a walk on the beach")
    await shop.page.reload()
    await expect(picture(shop)).to_be_visible()


async def test_the_button_takes_what_is_written_as_the_scene(shop: Shop, comfy: FakeComfy) -> None:
    await to_chat(shop)
    await shop.visitor.composer.fill("in heavy rain")
    await shop.page.get_by_role("button", name="Ask for a picture").click()
    await expect(picture(shop)).to_be_visible()
    assert any("in heavy rain" in str(graph) for graph in comfy.graphs.values())
    assert not any("Mira" in str(graph) for graph in comfy.graphs.values())


async def test_another_version_is_another_picture_and_both_are_kept(shop: Shop) -> None:
    await to_chat(shop)
    await shop.visitor.say("/picture by the window")
    await expect(picture(shop)).to_be_visible()
    first = await picture(shop).get_attribute("src")
    await shop.visitor.replies.last.get_by_role("button", name="Another version").click()
    await expect(shop.visitor.replies.last.locator(".versions__count")).to_have_text("2/2")
    await expect(picture(shop)).to_be_visible()
    assert await picture(shop).get_attribute("src") != first
    await shop.visitor.replies.last.get_by_role("button", name="Previous version").click()
    await expect(picture(shop)).to_have_attribute("src", first or "")


async def test_what_is_given_is_worn_and_the_character_knows(shop: Shop, model: FakeOpenAI) -> None:
    await shop.upload("Red dress")
    await shop.button("Give", "Red dress").click()
    await shop.visitor.is_with(shop.character)
    await expect(shop.visitor.mine.last).to_contain_text("gives you “Red dress”")
    await expect(picture(shop)).to_be_visible()
    await expect(shop.visitor.replies.last).to_contain_text("Worn now")
    await shop.visitor.talk("How do you like it?")
    sent = model.requests[-1].text
    assert "Mira wears now: Red dress" in sent
    assert "Nora gave Mira: Red dress" in sent


async def test_wear_by_name(shop: Shop) -> None:
    await shop.upload("Silver scarf")
    await to_chat(shop)
    await shop.visitor.say("/wear scarf")
    await expect(picture(shop)).to_be_visible()
    await expect(shop.visitor.replies.last).to_contain_text("wearing “Silver scarf”")
    await shop.visitor.may_speak()
    await shop.visitor.say("/wear something unheard of")
    await expect(shop.page.get_by_role("alert")).to_contain_text("something unheard of")


async def test_a_picture_seen_can_be_worn(shop: Shop) -> None:
    await shop.upload("Red dress")
    status, _ = await shop.visitor.api.ask("GET", f"/v1/characters/{shop.character}/worn")
    assert status == 200
    await to_chat(shop)
    _, owned = await shop.visitor.api.ask("GET", "/v1/inventory")
    item = owned["owned"][0]["item"]["id"]
    await shop.visitor.api.ask("POST", f"/v1/chat/{shop.character}/pictures", json={"item_id": item})
    await shop.page.reload()
    await expect(picture(shop)).to_be_visible()
    await shop.visitor.replies.last.get_by_role("button", name="Wear this").click()
    await expect(shop.visitor.replies.last).to_contain_text("Worn now")


async def test_a_deleted_message_takes_its_picture_along(shop: Shop) -> None:
    await to_chat(shop)
    await shop.visitor.say("/picture something of my own")
    await expect(picture(shop)).to_be_visible()
    address = await picture(shop).get_attribute("src")
    await shop.visitor.menu(shop.visitor.mine.last.get_by_role("button", name="More actions"), "Delete from here on")
    await shop.visitor.confirm("Delete")
    await expect(shop.visitor.mine).to_have_count(0)
    answer = await shop.page.request.get(f"{shop.visitor.api.url}{address}")
    assert answer.status == 404


async def test_a_gift_of_another_is_a_moment_that_the_character_knows_of(
    shop: Shop, visit: Arrive, model: FakeOpenAI, server: Server
) -> None:
    await to_chat(shop)
    await shop.visitor.talk("Good evening to you")
    tom = await visit("Tom", meets={})
    _, item = await server.ask("POST", "/v1/items", json={"title": "Paper lantern", "visual": False})
    tom_id, nora_id = tom.api.made["user"], shop.visitor.api.made["user"]
    await server.ask("POST", "/v1/inventory", json={"item_id": item["id"], "user_id": tom_id})
    status, answer = await tom.api.ask("POST", "/v1/inventory", json={"item_id": item["id"], "to": nora_id})
    assert status == 201, answer
    event = shop.page.locator(".msg--event")
    async with asyncio.timeout(30):
        while not await event.count():  # the page looks when it is opened
            await shop.page.reload()
            await shop.visitor.is_with(shop.character)
    await expect(event).to_contain_text("Tom has sent a gift: “Paper lantern”")
    await expect(event).to_have_count(1)
    await shop.visitor.talk("Look at that")
    assert "Paper lantern" in model.requests[-1].text


async def test_a_request_that_is_changed_is_asked_anew(shop: Shop) -> None:
    await to_chat(shop)
    await shop.visitor.say("/picture at noon")
    await expect(picture(shop)).to_be_visible()
    await shop.visitor.menu(shop.visitor.mine.last.get_by_role("button", name="More actions"), "Edit")
    await shop.page.get_by_label("Edit the message of Nora").fill("/picture at midnight")
    await shop.page.get_by_role("button", name="Save and ask again").click()
    await expect(shop.visitor.replies.last).to_contain_text("at midnight")
    await expect(picture(shop)).to_be_visible()
    await expect(shop.visitor.mine).to_have_count(1)


async def test_one_that_is_cancelled_can_be_made_again(shop: Shop, server: Server) -> None:
    await to_chat(shop)
    assert (await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": True}))[0] == 200
    reply = shop.visitor.replies.last
    try:
        await shop.visitor.say("/picture that comes later")
        await reply.get_by_role("button", name="Cancel").click()
        await expect(reply).to_contain_text("It can be made again")
    finally:
        await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": False})
    await reply.get_by_role("button", name="Try again").click()
    await expect(picture(shop)).to_be_visible()
