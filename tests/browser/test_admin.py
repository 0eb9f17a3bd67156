"""People and keys, for admins only."""

from playwright.async_api import Browser, expect

from tests.browser.visitor import Arrive


async def test_an_admin_adds_a_person_who_signs_in_by_the_link(visit: Arrive, browser: Browser) -> None:
    anna = await visit("Anna", "admin")
    page = anna.page
    await anna.menu(page.get_by_role("button", name="More", exact=True), "People and keys")
    await page.get_by_role("button", name="Add a person").click()
    await page.get_by_label("Name", exact=True).fill("Zoë <i>")
    await page.keyboard.press("Enter")
    link = await page.get_by_role("textbox", name="Sign-in link for Zoë <i>").input_value()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("listitem").filter(has_text="Zoë <i>").first).to_contain_text("never here yet")

    context = await browser.new_context()
    other = await context.new_page()
    await other.goto(link)
    await expect(other.get_by_text("Zoë <i>", exact=True)).to_be_visible()
    await other.get_by_role("button", name="More", exact=True).click()
    await expect(other.get_by_role("menuitem", name="People and keys")).to_have_count(0)
    await context.close()

    await anna.menu(page.get_by_role("button", name="Actions for Zoë <i>"), "Delete")
    await anna.confirm("Delete")
    await expect(page.get_by_role("listitem").filter(has_text="Zoë")).to_have_count(0)


async def test_a_role_and_a_tier_are_changed(visit: Arrive) -> None:
    anna, _ = await visit("Anna", "admin"), await visit("Xaver")
    page = anna.page
    await page.goto(f"{anna.api.url}/#/admin")
    await anna.menu(page.get_by_role("button", name="Actions for Xaver"), "Change")
    await page.get_by_label("Role").select_option("admin")
    await anna.confirm("Save")
    await expect(page.get_by_role("listitem").filter(has_text="Xaver").first).to_contain_text("admin")
    await anna.menu(page.get_by_role("button", name="Actions for Xaver"), "Change")
    await page.get_by_label("Tier").fill("no-such-plan")
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()


async def test_a_key_is_shown_once_works_and_is_revoked(visit: Arrive) -> None:
    anna = await visit("Anna", "admin")
    page = anna.page
    await page.goto(f"{anna.api.url}/#/admin")
    await page.get_by_role("button", name="Make a key").click()
    await page.get_by_label("Name", exact=True).fill("Anna's bot")
    await page.get_by_role("checkbox", name="memory").check()
    await page.get_by_label("Only for the person with this id").fill(anna.api.made["user"])
    await page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    secret = await page.get_by_role("textbox", name="The key “Anna's bot”").input_value()
    await page.keyboard.press("Escape")
    anna.api.token = secret
    status, me = await anna.api.ask("GET", "/v1/me")
    assert status == 200
    assert me["scopes"] == ["chat", "memory"]
    assert secret not in await page.content()
    await page.get_by_role("button", name="Revoke Anna's bot").click()
    await anna.confirm("Revoke")
    await expect(page.get_by_role("button", name="Revoke Anna's bot")).to_have_count(0)
    status, _ = await anna.api.ask("GET", "/v1/me")
    assert status == 401


async def test_a_member_who_knows_the_address_sees_nothing(visit: Arrive) -> None:
    bob = await visit("Bob")
    await bob.page.goto(f"{bob.api.url}/#/admin")
    await expect(bob.page.get_by_role("alert")).to_contain_text("Only an admin")
    assert not bob.refusals
