"""What models cost, seen: the admin's page, and everyone's own usage."""

import csv
import io
from pathlib import Path

from playwright.async_api import expect

from server.api.services import MONEY
from server.routing.ledger.ledger import Ledger
from server.routing.spending import Attempt, Outcome
from server.routing.types import Payer, Usage
from tests.browser.visitor import Arrive

REPORT = {
    "since": "2026-11-26T18:00:00+00:00",
    "until": "2026-11-27T18:00:00+00:00",
    "bucket_seconds": 3600,
    "total": {"turns": 240, "fallbacks": 12, "unanswered": 1, "attempts": 260, "refused": 13, "failed": 7},
    "buckets": [
        {"at": f"2026-11-27T{hour:02}:00:00+00:00", "turns": 10, "fallbacks": hour % 3, "unanswered": 0, "attempts": 11,
         "refused": hour % 2}
        for hour in range(24)
    ],
    "models": [
        {"model": "vendor/large", "provider": "openrouter", "mode": None, "attempts": 200, "done": 180, "refused": 13,
         "failed": 7, "first_token_ms": 820, "total_ms": 4_000, "cooling_until": None},
        {"model": "vendor/small", "provider": "openrouter", "mode": "late", "attempts": 60, "done": 60, "refused": 0,
         "failed": 0, "first_token_ms": None, "total_ms": None, "cooling_until": "2026-11-27T18:05:00+00:00"},
    ],
}  # fmt: skip


async def spend(ledger: Ledger, user: str, cost: int, model: str = "vendor/large") -> None:
    attempt = Attempt("turn-1", 1, model, "openrouter", None, "chat")
    hold = await ledger.reserve(Payer("home", user, "free"), attempt, 2 * cost)
    await hold.settle(Outcome("done", cost, Usage(1_200, 340)))


async def test_an_admin_sees_what_it_costs_and_how_well_it_answers(visit: Arrive, tmp_path: Path) -> None:
    anna = await visit("Anna", "admin")
    page, user = anna.page, anna.api.made["user"]
    ledger = anna.api.app[MONEY].ledger
    await spend(ledger, user, 1_230_000)
    await spend(ledger, user, 420, "vendor/small")
    await page.route("**/v1/admin/routing", lambda route: route.fulfill(json=REPORT))
    await anna.menu(page.get_by_role("button", name="More", exact=True), "Models and money")
    await expect(anna.title).to_have_text("Models and money")
    await expect(page.get_by_text("$1.23 spent, no ceiling")).to_be_visible()
    await expect(page.get_by_role("row", name="vendor/large $1.23 1 1,200 340")).to_be_visible()
    await expect(page.get_by_role("row", name=f"{user} $1.23")).to_be_visible()
    await expect(page.get_by_text("5% answered by another model than the first")).to_be_visible()
    await expect(page.get_by_role("row", name="vendor/small late 60 0% 0%")).to_contain_text("rests until")
    await page.get_by_text("As a table").first.click()
    await expect(page.get_by_role("columnheader", name="Cost").first).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Every call as CSV").click()
    await (await download.value).save_as(tmp_path / "usage.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "usage.csv").read_text(encoding="utf-8"))))
    assert "1230000" in [row["cost_microdollars"] for row in rows]


async def test_everyone_sees_their_own(visit: Arrive) -> None:
    bob = await visit("Bob")
    await spend(bob.api.app[MONEY].ledger, bob.api.made["user"], 21_000)
    await bob.menu(bob.page.get_by_role("button", name="More", exact=True), "Your usage")
    dialog = bob.page.get_by_role("dialog", name="Your usage")
    await expect(dialog).to_contain_text("$0.02 spent, no ceiling")
    await expect(dialog).to_contain_text("$0.02 in 30 days, 1 call to a model")


async def test_a_member_who_knows_the_address_sees_nothing(visit: Arrive) -> None:
    bob = await visit("Bob")
    await bob.page.goto(f"{bob.api.url}/#/routing")
    await expect(bob.page.get_by_role("alert")).to_contain_text("Only an admin")
    assert not bob.refusals


async def test_a_turn_shows_in_what_an_admin_sees(visit: Arrive) -> None:
    nora = await visit("Nora", "admin", meets={"name": "Mira"})
    await nora.talk("Hello there")
    await nora.page.goto(f"{nora.api.url}/#/routing")
    await expect(nora.page.get_by_text("answered by another model than the first")).to_be_visible()
    await expect(nora.page.get_by_role("row", name="fake-model").last).to_contain_text("in use")
