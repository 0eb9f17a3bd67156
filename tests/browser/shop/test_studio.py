"""The page for admins: hosts, renders, looks, items."""

from playwright.async_api import expect

from tests.browser.shop.conftest import give_look
from tests.browser.shop.counter import LOOK, Shop, file
from tests.browser.test_layout import FAINT, NO_ROOM, PHONE, SMALL
from tests.browser.visitor import Arrive
from tests.fakes.comfyui import FakeComfy
from tests.harness import Server


async def test_members_are_told_that_it_is_not_theirs(visit: Arrive) -> None:
    nora = await visit("Nora", meets={})
    await nora.page.goto(f"{nora.api.url}/#/studio")
    await expect(nora.page.get_by_role("alert")).to_contain_text("Only an admin")


async def test_a_host_is_drained_and_takes_work_again(visit: Arrive) -> None:
    olga = await visit("Olga", role="admin", meets={})
    await olga.page.goto(f"{olga.api.url}/#/studio")
    row = olga.page.get_by_role("listitem").filter(has_text="gpu1")
    await expect(row).to_contain_text("at work")
    drain = olga.page.get_by_role("button", name="Let gpu1 run empty")
    await drain.click()
    await expect(row).to_contain_text("empty")
    await expect(drain).to_have_attribute("aria-pressed", "true")
    await drain.click()
    await expect(row).to_contain_text("at work")


async def test_a_look_is_given_and_its_pictures_say_how_they_were_made(visit: Arrive) -> None:
    olga = await visit("Olga", role="admin", meets={"name": "Vera"})
    page, character = olga.page, olga.character
    await page.goto(f"{olga.api.url}/#/studio")
    await page.get_by_role("button", name="Give the look of Vera").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(f"datalist option[value='{LOOK['checkpoint']}']")).to_be_attached()
    await dialog.get_by_label("Checkpoint, as the hosts list it").fill(LOOK["checkpoint"])
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Change the look of Vera")).to_be_visible()
    shop = Shop(olga, character)
    await shop.open()
    await shop.upload("Red dress")
    await shop.button("Preview", "Red dress").click()
    await shop.is_shown("Red dress")
    await page.goto(f"{olga.api.url}/#/studio")
    await page.get_by_role("button", name="Pictures of Vera").click()
    await page.get_by_role("dialog").get_by_role("button", name="How it was made").first.click()
    await expect(page.get_by_role("dialog").last).to_contain_text("gpu1")


async def test_an_item_is_added_changed_handed_out_and_deleted(visit: Arrive) -> None:
    petra = await visit("Petra", role="admin", meets={})
    page = petra.page
    await page.goto(f"{petra.api.url}/#/studio")
    await page.get_by_role("button", name="Add an item").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("A picture of it").set_input_files(file())
    await dialog.get_by_label("What it is called").fill("Velvet cape")
    await expect(dialog.locator(".upload__found")).to_contain_text("pixels")
    await dialog.get_by_role("button", name="Add it").click()
    actions = page.get_by_role("button", name="Actions for Velvet cape")
    await petra.menu(actions, "Change")
    await dialog.get_by_label("What it is called").fill("Silk cape")
    await dialog.get_by_label("Price tag").fill('{"label": "€ 30"}')
    await dialog.get_by_role("button", name="Save").click()
    actions = page.get_by_role("button", name="Actions for Silk cape")
    await petra.menu(actions, "Hand it to someone")
    await dialog.get_by_label("Who has it from now on").select_option(label="Petra")
    await dialog.get_by_role("button", name="Hand it out").click()
    await expect(dialog).to_be_hidden()
    _, owned = await petra.api.ask("GET", "/v1/inventory")
    assert [one["item"]["title"] for one in owned["owned"]] == ["Silk cape"]
    await petra.menu(actions, "Delete")
    await petra.confirm("Delete")
    await expect(actions).to_be_hidden()


async def test_a_host_that_is_gone_is_named_and_what_waits_is_made_when_it_is_back(
    visit: Arrive, server: Server, comfy: FakeComfy
) -> None:
    olga = await visit("Olga", role="admin", meets={})
    await give_look(server, olga.character)
    shop = Shop(olga, olga.character)
    await shop.open()
    await shop.upload("Red dress")
    comfy.broken = True
    try:
        await olga.page.goto(f"{olga.api.url}/#/studio")
        row = olga.page.get_by_role("listitem").filter(has_text="gpu1")
        await expect(row).to_contain_text("no answer", timeout=40_000)
        await shop.open()
        await shop.button("Preview", "Red dress").click()
        await expect(shop.tile("Red dress")).to_contain_text("No picture host is running right now")
    finally:
        comfy.broken = False
    await expect(shop.picture("Red dress")).to_be_visible(timeout=60_000)
    await shop.is_shown("Red dress")


async def test_it_fits_a_phone_in_both_colours(visit: Arrive) -> None:
    for colours in ("light", "dark"):
        olga = await visit("Olga", role="admin", meets={}, color_scheme=colours, **PHONE)
        await olga.page.goto(f"{olga.api.url}/#/studio")
        await expect(olga.page.get_by_role("listitem").filter(has_text="gpu1")).to_contain_text("at work")
        assert await olga.page.evaluate(NO_ROOM) == [False]
        assert await olga.page.evaluate(FAINT) == []
        assert await olga.page.evaluate(SMALL) == []


async def test_what_waits_is_listed_by_name_and_can_be_ended(visit: Arrive, server: Server) -> None:
    olga = await visit("Olga", role="admin", meets={"name": "Ada"})
    await give_look(server, olga.character)
    shop = Shop(olga, olga.character)
    await shop.open()
    await shop.upload("Straw hat")
    assert (await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": True}))[0] == 200
    try:
        await shop.button("Preview", "Straw hat").click()
        await expect(shop.button("Cancel", "Straw hat")).to_be_visible()
        await olga.page.goto(f"{olga.api.url}/#/studio")
        row = olga.page.get_by_role("listitem").filter(has_text="Ada in Straw hat")
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_have_count(0)
    finally:
        await server.ask("POST", "/v1/admin/hosts/gpu1/drain", json={"on": False})


async def test_what_failed_says_why_and_is_tried_again(visit: Arrive, server: Server, comfy: FakeComfy) -> None:
    olga = await visit("Olga", role="admin", meets={"name": "Ines"})
    await give_look(server, olga.character)
    shop = Shop(olga, olga.character)
    await shop.open()
    await shop.upload("Velvet glove")
    why = {"type": "invalid_prompt", "message": "The cloth is torn", "details": "", "extra_info": {}}
    comfy.reject = {"error": why, "node_errors": {}}
    try:
        await shop.button("Preview", "Velvet glove").click()
        await expect(shop.tile("Velvet glove")).to_contain_text("The cloth is torn")
        await expect(shop.button("Try again", "Velvet glove")).to_be_visible()
    finally:
        comfy.reject = None
    await olga.page.goto(f"{olga.api.url}/#/studio")
    await olga.page.get_by_role("button", name="Failed", exact=True).click()
    row = olga.page.get_by_role("listitem").filter(has_text="Ines in Velvet glove")
    await expect(row).to_contain_text("The cloth is torn")
    await row.get_by_role("button", name="Try again").click()
    await expect(row).to_have_count(0)
    await shop.open()
    await shop.is_shown("Velvet glove")
