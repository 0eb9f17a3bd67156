"""The content policy on the page: what another plan has, whom to call, and that an AI answers."""

from pathlib import Path

from playwright.async_api import Browser, expect

from server.settings import Plan
from tests.browser.conftest import WAIT_MS, browser_settings
from tests.browser.visitor import arrive
from tests.fakes.openai_server import FakeOpenAI, echo
from tests.harness import running

POLICY = """
levels = ["general", "romance"]
shipped = false
[plans]
free = "general"
plus = "romance"
[examples]
general = ["Hello, how are you?"]
romance = ["Kiss me under the stars."]
self_harm = ["I do not want to live anymore."]
[decline]
above = ["*smiles* Not tonight, {user}."]
[self_harm]
message = "Please talk to somebody:\\n\\n{resources}"
resources = ["call 112"]
"""


async def test_a_declined_reply_names_the_plan_and_danger_the_people_to_call(
    browser: Browser, model: FakeOpenAI, tmp_path: Path, _clean_environment: None
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    model.respond = echo
    plan = Plan(turns_per_minute=10_000)
    settings = browser_settings(
        tmp_path / "data", model, policy=tmp_path / "policy.toml", plans={"free": plan, "plus": plan}
    )
    context = await browser.new_context()
    context.set_default_timeout(WAIT_MS)
    async with running(settings, model) as server:
        nora = await arrive(server, context, "Nora", meets={"first_mes": "Good *evening*."})
        await expect(nora.page.get_by_text("Mira is an AI, not a person.")).to_be_visible()

        await nora.talk("Kiss me under the stars.")
        await expect(nora.replies.last).to_contain_text("Not tonight, Nora.")
        await expect(nora.replies.last.get_by_text("“romance” is part of the plan “plus”.")).to_be_visible()
        await expect(nora.replies.last.get_by_role("button", name="Continue this reply")).to_have_count(0)

        await nora.talk("I do not want to live anymore.")
        await expect(nora.replies.last.get_by_role("listitem")).to_have_text("call 112")
        await expect(nora.replies.last).to_contain_text("This is not Mira speaking, but the service.")
        await nora.page.screenshot(path=tmp_path / "policy.png")

        await nora.page.reload()
        await nora.is_with(nora.character)
        await expect(nora.page.get_by_text("“romance” is part of the plan “plus”.")).to_be_visible()
        await expect(nora.page.get_by_text("This is not Mira speaking, but the service.")).to_be_visible()

        await nora.talk("Hello, how are you?")
        await expect(nora.replies.last.locator(".upsell, .care")).to_have_count(0)
        assert nora.unexpected() == []
        await context.close()
