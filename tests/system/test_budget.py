"""Money through the whole server: streams that are cut, kill -9, and what the provider billed."""

import asyncio
import csv
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.openai_server import HangUp, Pause, Say, Stream
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import until
from tests.system.instance import Instance, start

pytestmark = pytest.mark.timeout(180)

POLICY = """
default_mode = "everyday"
[providers.fake]
base_url = "{base}"
speaks = "openrouter"
[models.one]
id = "alpha/one"
provider = "fake"
[modes.everyday]
first_token_seconds = 20
total_seconds = 60
[tiers.free]
everyday = ["one"]
"""
WORDS = 12


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenRouter]:
    async with FakeOpenRouter() as fake:
        fake.offer("alpha/one", prompt=3.0, completion=15.0)
        yield fake


@pytest.fixture
def routing(fake: FakeOpenRouter, tmp_path: Path) -> Path:
    path = tmp_path / "routing.toml"
    path.write_text(POLICY.replace("{base}", fake.base_url), encoding="utf-8")
    return path


def slow(chance: random.Random) -> Stream:
    """A reply that takes a while; one in five is cut in the middle of it."""
    steps = [step for i in range(WORDS) for step in (Say(f" word{i}"), Pause(chance.uniform(0, 0.04)))]
    if chance.random() < 0.2:
        return Stream((*steps[: chance.randrange(2, len(steps))], HangUp()))
    return Stream(tuple(steps))


async def complete(server: Instance) -> int:
    """One request; its status, 0 where the server went away."""
    body = {"messages": [{"role": "user", "content": "Tell me of the sea."}]}
    try:
        status, _ = await server.ask("POST", "/v1/complete", json=body)
    except (aiohttp.ClientError, OSError):
        return 0
    return status


async def rows(server: Instance) -> list[dict[str, str]]:
    _, body = await server.ask("GET", "/v1/admin/usage.csv")
    return list(csv.DictReader(io.StringIO(body.decode())))


async def today(server: Instance) -> dict[str, int]:
    _, usage = await server.ask("GET", "/v1/admin/usage")
    return usage["today"][0]


async def test_the_ledger_is_never_below_the_bill_and_equal_wherever_an_id_came(
    fake: FakeOpenRouter, routing: Path, tmp_path: Path
) -> None:
    chance = random.Random(4)
    fake.respond = lambda _: slow(chance)
    data = tmp_path / "data"
    async with start(data, None, routing=routing) as server:
        turns = [asyncio.create_task(complete(server)) for _ in range(20)]
        await asyncio.wait(turns[:1])
        turns += [asyncio.create_task(complete(server)) for _ in range(40)]

        async def under_way() -> bool:
            return len(fake.requests) >= 40

        await until(under_way)
        await server.kill()
        statuses = await asyncio.gather(*turns)
    assert 0 in statuses  # it was killed in the middle of something
    async with start(data, None, routing=routing) as server:

        async def settled() -> bool:
            return (await today(server))["held_microdollars"] == 0

        await until(settled, 30)
        listed = await rows(server)
        gauge = await today(server)
    spent = sum(int(row["cost_microdollars"]) for row in listed)
    assert gauge["spent_microdollars"] == spent >= fake.bill > 0
    named = [row for row in listed if row["generation_id"]]
    assert {row["generation_id"]: int(row["cost_microdollars"]) for row in named} == {
        row["generation_id"]: fake.generations[row["generation_id"]] for row in named
    }
    for row in listed:
        if not row["generation_id"]:
            assert row["cost_microdollars"] in ("0", row["reserved_microdollars"])
    assert {row["status"] for row in listed} >= {"cut", "lost"}
    assert {row["basis"] for row in named} <= {"told", "asked"}


async def test_a_ceiling_holds_for_many_at_once_and_the_refusal_says_until_when(
    fake: FakeOpenRouter, routing: Path, tmp_path: Path
) -> None:
    reply = Stream((Say("Short."), Pause(0.05)), usage={"cost": 0.01})
    fake.respond = lambda _: reply
    async with start(tmp_path / "data", None, routing=routing, daily_budget="0.1") as server:
        statuses = await asyncio.gather(*(complete(server) for _ in range(60)))
        gauge = await today(server)
        assert set(statuses) == {200, 402}
        assert gauge["spent_microdollars"] == statuses.count(200) * 10_000 == fake.bill <= 100_000
        assert gauge["held_microdollars"] == 0
        body = {"messages": [{"role": "user", "content": "word " * 3_000}]}
        async with server.session.post(server.url + "/v1/complete", json=body, headers=server.headers()) as refused:
            error = (await refused.json())["error"]
            assert (refused.status, error["code"], error["details"]["scope"]) == (402, "budget_exceeded", "global")
            assert int(refused.headers["Retry-After"]) == error["details"]["retry_after"] <= 86_400


async def test_a_turn_that_cannot_be_paid_for_keeps_the_message(
    fake: FakeOpenRouter, routing: Path, tmp_path: Path
) -> None:
    async with start(tmp_path / "data", None, routing=routing, daily_budget="0") as server:
        mira = await server.character()
        status, answer = await server.say(mira, "Are you there?")
        assert (status, answer["error"]["code"]) == (402, "budget_exceeded")
        user, reply = (await server.messages(mira))[-2:]
        assert (user["text"], user["status"]) == ("Are you there?", "complete")
        assert (reply["status"], reply["error"]) == ("failed", "budget_exceeded")
        assert fake.requests == []
