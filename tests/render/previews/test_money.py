"""A new picture costs budget: put aside before there is a job, taken once, given back where nothing was rendered."""

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from server.api.services import MONEY
from server.errors import InvalidId
from server.ids import check_slug
from server.render.previews import purse
from server.routing.ledger.renders import NOBODY
from server.routing.ledger.usage import Gauge
from server.routing.types import Payer
from server.settings import Plan
from tests.harness import Server, until
from tests.render.previews.studio import LOOK, MakeSettings, Studio, studio

CENT = 10_000
PRICE: dict[str, Any] = {"render_cost": Decimal("0.05")}


async def gauge(s: Studio, who: Server) -> Gauge:
    return await s.server.app[MONEY].usage.gauge(Payer("home", who.made["user"], "free"))


async def settled(s: Studio, who: Server, cents: int) -> None:
    """Returns once the person has spent so much and nothing is put aside any more."""

    async def so() -> bool:
        now = await gauge(s, who)
        return (now.spent, now.held) == (cents * CENT, 0)

    await until(so)


def test_no_person_can_be_who_pays_for_what_nobody_ordered() -> None:
    with pytest.raises(InvalidId):
        check_slug(NOBODY, "user_id")


async def test_who_asks_first_pays_once_and_a_ceiling_holds(make_settings: MakeSettings) -> None:
    plans = {"free": Plan(turns_per_minute=1_000, daily_budget=Decimal("0.12"))}
    async with studio(make_settings, plans=plans, comfy={"pause": 0.1}, **PRICE) as s:
        anna, ben = await s.server.as_user("anna"), await s.server.as_user("ben")
        item = await s.item()
        answers = await asyncio.gather(*(s.ask(item, server=anna) for _ in range(10)))
        await s.ask(item, server=ben)
        assert (await gauge(s, anna)).held == 5 * CENT
        await s.finished(answers[0])
        await settled(s, anna, 5)
        await settled(s, ben, 0)
        await s.ask(item, status=200, server=anna)  # what is there costs nothing

        await s.finished(await s.ask(await s.item(), server=anna))
        refused = await s.ask(await s.item(), status=402, server=anna)
        assert refused["error"]["code"] == "budget_exceeded"
        assert refused["error"]["message"].startswith("Your spending limit for today is reached")
        await settled(s, anna, 10)
        rows = [row async for page in s.server.app[MONEY].usage.rows(["home"], *await period(s)) for row in page]
        assert [(row.fields["status"], row.fields["cost"], row.facts["purpose"]) for row in rows] == [
            ("done", str(5 * CENT), "picture"),
            ("done", str(5 * CENT), "picture"),
        ]


async def period(s: Studio) -> tuple[date, date]:
    return await s.server.app[MONEY].usage.period(None, None, days=1)


async def test_nothing_is_paid_for_what_no_host_began(make_settings: MakeSettings) -> None:
    async with studio(make_settings, worker=False, **PRICE) as s:
        anna = await s.server.as_user("anna")
        asked = await s.ask(await s.item(), server=anna)
        assert (await gauge(s, anna)).held == 5 * CENT
        await anna.ask("DELETE", f"/v1/jobs/{asked['job']['id']}")
        await settled(s, anna, 0)


async def test_what_was_begun_and_cancelled_is_paid_for(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"pause": 0.3, "steps": 30}, **PRICE) as s:
        anna = await s.server.as_user("anna")
        asked = await s.ask(await s.item(), server=anna)

        async def begun() -> bool:
            return (await s.job(asked["job"]["id"]))["share"] > 0

        await until(begun)
        await anna.ask("DELETE", f"/v1/jobs/{asked['job']['id']}")
        await settled(s, anna, 5)


async def test_jobs_that_wait_do_not_hide_money_that_never_got_one(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with studio(make_settings, worker=False, **PRICE) as s:
        anna = await s.server.as_user("anna")
        for _ in range(3):
            await s.ask(await s.item(), server=anna)
        await s.pictures.previews.purse.reserve(s.person(anna), "job-never")
        monkeypatch.setattr(purse, "ORPHAN_MS", 0)
        monkeypatch.setattr(purse, "AT_ONCE", 2)

        async def taken_back() -> bool:
            await s.pictures.previews.purse.settle_all()
            return (await gauge(s, anna)).held == 3 * 5 * CENT

        await until(taken_back)


@pytest.mark.parametrize("dies", ["before the job", "after the job", "before it is struck off"])
async def test_a_death_at_any_step_neither_charges_twice_nor_keeps_money_for_ever(
    make_settings: MakeSettings, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purse, "ORPHAN_MS", 300)
    async with studio(make_settings, worker=dies != "before the job", **PRICE) as s:
        anna = await s.server.as_user("anna")
        if dies == "before the job":
            person = s.person(anna)
            await s.pictures.previews.purse.reserve(person, "job-never")
            assert (await gauge(s, anna)).held == 5 * CENT
            await settled(s, anna, 0)
            return
        if dies == "before it is struck off":  # the ledger has it, and the note of it is still there
            asked = await s.ask(await s.item(), server=anna)
            await s.finished(asked)
            await settled(s, anna, 5)
            note = f"{asked['job']['id']}|done|{5 * CENT}"
            await s.jobs.scripts.state.zadd("vestige:{render}:unsettled", {note: 1})
            await s.pictures.previews.purse.settle_all()
        else:
            asked = await s.ask(await s.item(), server=anna)
            await asyncio.sleep(0.6)  # longer than an orphan is left alone: this one has a job
            await s.finished(asked)
        await settled(s, anna, 5)


async def test_the_content_policy_is_asked_before_anything_is_spent(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    async with studio(make_settings, policy=policy, **PRICE) as s:
        anna = await s.server.as_user("anna")
        refused = await s.ask(await s.item(), status=403, scene="undressed on the bed", server=anna)
        assert refused["error"]["code"] == "declined"
        assert refused["error"]["details"] == {"kind": "declined", "level": "explicit", "plan": "plus"}
        assert (await gauge(s, anna)).held == 0 and sum((await s.jobs.counts()).values()) == 0
        hinted = await s.item(owner=anna.made["user"], prompt_hint="undressed on the bed")
        assert (await s.ask(hinted, status=403, server=anna))["error"]["code"] == "declined"
        await s.finished(await s.ask(await s.item(), scene="in the rain", server=anna))
        # nor do the words of a look that somebody with another plan wrote come to somebody without
        seen = f"/v1/previews?character={s.character}"
        assert (await anna.ask("GET", seen))[1]["previews"]
        await s.look(s.character, scene=LOOK.scene.model_copy(update={"prompt": "undressed on the bed"}))
        assert (await s.ask(await s.item(), status=403, server=anna))["error"]["code"] == "declined"
        assert (await anna.ask("GET", seen))[1]["previews"] == []


POLICY = """
levels = ["tame", "explicit"]
[plans]
free = "tame"
plus = "explicit"
[examples]
explicit = ["undressed on the bed"]
"""
