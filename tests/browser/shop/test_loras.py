"""LoRAs on the page for admins: which version is live, going back, two versions side by side."""

import hashlib

from playwright.async_api import expect

from tests.browser.shop.counter import LOOK
from tests.browser.visitor import Arrive
from tests.harness import Server
from tests.loras import lora_files as made

FILE = {"Content-Type": "application/octet-stream"}


async def add(server: Server, name: str, seeds: range) -> None:
    for seed in seeds:
        data = made.lora(made.KOHYA, made.KOHYA_SAYS, fill=hashlib.sha256(f"{name}{seed}".encode()).digest())
        status, sent = await server.ask("POST", "/v1/admin/lora-files", data=data, headers=FILE)
        assert status == 201, sent
        body = {"sha256": sent["sha256"]}
        assert (await server.ask("POST", f"/v1/admin/loras/{name}/versions", json=body))[0] == 201


async def test_a_version_is_made_live_and_taken_back(visit: Arrive, server: Server) -> None:
    olga = await visit("Olga", role="admin", meets={})
    page = olga.page
    await add(server, "bianca", range(2))
    await page.goto(f"{olga.api.url}/#/studio")
    row = page.get_by_role("listitem").filter(has_text="bianca")
    await expect(row).to_contain_text("v1 is live")
    await expect(row).to_contain_text("2 versions · pony, dim 32, alpha 16, 740 steps")
    await page.get_by_role("button", name="Versions of bianca").click()
    await page.get_by_role("button", name="Make v2 live").click()
    await expect(row).to_contain_text("v2 is live")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Go back from v2 of bianca").click()
    await expect(row).to_contain_text("v1 is live")
    await page.get_by_role("button", name="Go back from v1 of bianca").click()
    await expect(page.get_by_text("No other version of bianca was live before v1")).to_be_visible()


async def test_somebody_else_moved_it_meanwhile(visit: Arrive, server: Server) -> None:
    olga = await visit("Olga", role="admin", meets={})
    page = olga.page
    await add(server, "carla", range(3))
    await page.goto(f"{olga.api.url}/#/studio")
    await page.get_by_role("button", name="Versions of carla").click()
    await expect(page.get_by_role("button", name="Make v2 live")).to_be_visible()
    await server.ask("PUT", "/v1/admin/loras/carla/live", json={"version": 3})
    await page.get_by_role("button", name="Make v2 live").click()
    await expect(page.get_by_text("v3 of carla is live meanwhile")).to_be_visible()
    await expect(page.get_by_role("button", name="Make v3 live")).to_have_count(0)  # it shows what is so now


async def test_two_versions_are_compared(visit: Arrive, server: Server) -> None:
    olga = await visit("Olga", role="admin", meets={"name": "Dana"})
    page = olga.page
    await add(server, "mira", range(3))
    look = f"/v1/characters/{olga.character}/look"
    assert (await server.ask("PUT", look, json={**LOOK, "lora": "mira"}))[0] in (200, 201)
    await server.ask("PUT", "/v1/admin/loras/mira/live", json={"version": 3})
    await page.goto(f"{olga.api.url}/#/studio")
    await page.get_by_role("button", name="Versions of mira").click()
    await page.get_by_role("button", name="Compare v2 with v3").click()
    dialog = page.get_by_role("dialog").last
    await expect(dialog).to_contain_text("v2 beside v3 of mira")
    await expect(dialog.get_by_role("alert")).to_contain_text("mira")  # the host has v3 alone, and takes none from us
