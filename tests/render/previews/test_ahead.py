"""The server makes pictures of what is new, a plan goes on where it was, and people overtake it."""

from decimal import Decimal

import pytest

from server.render.jobs.types import Line
from server.render.previews.subject import Subject
from server.render.previews.types import Person, Preview
from server.settings import Plan
from tests.harness import until
from tests.render.previews.studio import SCENE, MakeSettings, Studio, studio

OWNER = Person("home", "owner", "free", "Owner", admin=True)


async def plans(s: Studio) -> list[str]:
    return [plan.state for plan in await s.pictures.ahead.plans("home")]


async def test_what_is_new_is_made_ahead(make_settings: MakeSettings) -> None:
    async with studio(make_settings, prerender=True) as s:
        item = await s.item()

        async def ready() -> bool:
            status, page = await s.server.ask("GET", f"/v1/previews?character={s.character}")
            return status == 200 and [one["state"] for one in page["previews"]] == ["ready"]

        await until(ready)
        assert s.renders == 1
        assert [plan.item for plan in await s.pictures.ahead.plans("home")].count(item.id) == 1
        await s.look(s.character, scene=SCENE.model_copy(update={"seed": 9}))
        await until(ready)
        assert s.renders == 2
        await s.ask(item, status=200)


async def test_a_plan_goes_on_after_a_restart_and_behind_everybody(make_settings: MakeSettings) -> None:
    async with studio(make_settings, worker=False) as s:
        items = [await s.item() for _ in range(3)]
        status, ordered = await s.server.ask("POST", "/v1/admin/prerender", json={"character_id": s.character})
        assert status == 202 and ordered["estimate"]["renders"] == 3

        async def in_line() -> bool:
            return sum((await s.jobs.counts()).values()) == 3

        await until(in_line)
        asked = await s.ask(items[0])
        assert (asked["job"]["line"], asked["job"]["position"]) == ("user", 0)
        async with s.working():
            for item in items:
                await s.finished(await s.ask(item))
        assert s.renders == 3


async def test_old_plans_are_forgotten_once_they_are_over(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.render.previews.ahead.PLANS_KEPT", 1)
    monkeypatch.setattr("server.render.previews.ahead.BACKLOG", 0)  # so none gets any further
    async with studio(make_settings, worker=False) as s:
        ahead = s.pictures.ahead
        first, second, third = [await ahead.order(OWNER, s.character, None) for _ in range(3)]
        assert {plan.id for plan in await ahead.plans("home")} == {first.id, second.id, third.id}
        for plan in (first, second):
            await ahead.stop("home", plan.id)
        fourth = await ahead.order(OWNER, s.character, None)
        assert {plan.id for plan in await ahead.plans("home")} == {third.id, fourth.id, second.id}


async def test_what_an_admin_stops_while_it_goes_on_stays_stopped(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with studio(make_settings, worker=False) as s:
        ahead = s.pictures.ahead
        items = [await s.item() for _ in range(2)]
        asked = ahead._previews.ask_for

        async def stopped_then_asked(subject: Subject, person: Person, line: Line = "user") -> Preview:
            (plan,) = await ahead.plans("home")
            await ahead.stop("home", plan.id)
            return await asked(subject, person, line)

        monkeypatch.setattr(ahead._previews, "ask_for", stopped_then_asked)
        await ahead.order(OWNER, s.character, None, previews=len(items))

        async def in_line() -> bool:
            return sum((await s.jobs.counts()).values()) == len(items)

        await until(in_line)
        await ahead.step()
        assert await plans(s) == ["stopped"]


async def test_a_plan_that_costs_more_than_is_left_stops_and_says_why(make_settings: MakeSettings) -> None:
    plan = Plan(turns_per_minute=1_000, daily_budget=Decimal("0.10"))
    async with studio(make_settings, plans={"free": plan}, render_cost="0.05", worker=False) as s:
        for _ in range(4):
            await s.item()
        status, told = await s.server.ask("POST", "/v1/admin/prerender", json={"character_id": s.character})
        assert status == 202 and told["estimate"]["cost"] == 4 * 50_000

        async def stopped() -> bool:
            return await plans(s) == ["stopped"]

        await until(stopped)
        (listed,) = (await s.server.ask("GET", "/v1/admin/prerender"))[1]["plans"]
        assert "spending limit" in listed["stopped"]
        assert sum((await s.jobs.counts()).values()) == 2
