"""Getting in: by a link, by pasting it, and out again."""

from playwright.async_api import expect

from tests.browser.visitor import Arrive
from tests.harness import Server


async def test_a_link_signs_in_and_leaves_no_token_in_the_address(visit: Arrive) -> None:
    nora = await visit("Nora")
    await expect(nora.page.get_by_text("Nora", exact=True)).to_be_visible()
    assert "token" not in nora.page.url
    assert await nora.page.evaluate("history.length") <= 2  # the address with the token is not one step back


async def test_the_session_outlives_a_reload(visit: Arrive) -> None:
    nora = await visit("Nora")
    await nora.page.reload()
    await expect(nora.page.get_by_text("Nora", exact=True)).to_be_visible()
    assert not nora.refusals


async def test_a_link_that_was_used_says_so_and_offers_a_field(visit: Arrive, server: Server) -> None:
    nora = await visit("Nora")
    user = nora.api.made["user"]
    _, made = await server.ask("POST", f"/v1/admin/users/{user}/link")
    await nora.page.context.clear_cookies()
    status, _ = await server.ask("POST", "/v1/session", json={"token": made["link"].split("token=")[1]})
    assert status == 200
    await nora.page.goto(made["link"])
    await expect(nora.page.get_by_role("alert")).to_contain_text("link")
    await expect(nora.page.get_by_role("button", name="Sign in")).to_be_visible()

    _, made = await server.ask("POST", f"/v1/admin/users/{user}/link")
    await nora.page.get_by_label("Sign-in link or token").fill(f"  {made['link']}  ")
    await nora.page.keyboard.press("Enter")
    await expect(nora.page.get_by_text("Nora", exact=True)).to_be_visible()


async def test_a_used_link_is_no_trouble_for_who_is_signed_in(visit: Arrive) -> None:
    nora = await visit("Nora")
    await nora.page.goto(f"{nora.api.url}/?token=vst_used-long-ago")
    await expect(nora.page.get_by_text("Nora", exact=True)).to_be_visible()
    assert "token" not in nora.page.url


async def test_signing_out_ends_the_session(visit: Arrive) -> None:
    nora = await visit("Nora")
    await nora.menu(nora.page.get_by_role("button", name="More", exact=True), "Sign out")
    await expect(nora.page.get_by_role("heading", name="Vestige")).to_be_visible()
    await nora.page.reload()
    await expect(nora.page.get_by_label("Sign-in link or token")).to_be_visible()


async def test_a_session_that_ended_elsewhere_asks_to_sign_in_again(visit: Arrive, server: Server) -> None:
    nora = await visit("Nora")
    character = await nora.api.character()
    await nora.open(character)
    await nora.composer.fill("half a sent")
    status, _ = await server.ask("DELETE", f"/v1/admin/users/{nora.api.made['user']}")
    assert status == 200
    await nora.composer.press("Enter")
    await expect(nora.page.get_by_role("alert")).to_contain_text("Your session has ended")
