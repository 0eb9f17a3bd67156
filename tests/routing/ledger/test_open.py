"""The ledger as the server opens it: everything in the background runs, and stops."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from server.routing.ledger.open import open_money
from server.routing.ledger.upkeep import Upkeep
from server.routing.spending import Outcome
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.routing.ledger.conftest import ANNA, ATTEMPT, Books, Records

Make = Callable[..., Settings]


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, asyncio.Queue[dict]]]:
    """An address, and what was sent there."""
    told: asyncio.Queue[dict] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        told.put_nowait(await request.json())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/budget", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/budget")), told


async def test_what_is_lost_is_asked_for_and_the_operator_is_told(
    redis_pair: RedisPair,
    make_settings: Make,
    receiver: tuple[str, asyncio.Queue[dict]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.routing.ledger.ledger.ASK_AFTER_MS", 0)
    monkeypatch.setattr("server.routing.ledger.upkeep.ASK_EVERY_SECONDS", 0.02)
    monkeypatch.setattr("server.routing.ledger.upkeep.TELL_EVERY_SECONDS", 0.02)
    url, told = receiver
    secret = "a-secret-of-the-operator-0123456789"
    settings = make_settings(daily_budget="0.001", budget_webhook_url=url, budget_webhook_secret=secret)
    records, registry = Records({"gen-1": [600]}), CollectorRegistry()
    async with open_money(
        settings, redis_pair.state, registry, metered=[ATTEMPT.provider], generations=records
    ) as money:
        hold = await money.ledger.reserve(ANNA, ATTEMPT, 1_000)
        await hold.identified("gen-1")
        await hold.settle(Outcome("cut", None))
        async with asyncio.timeout(10):
            assert (await told.get())["data"]["percent"] == 50
        today = await money.usage.today()
        assert (await money.usage.of_user("home", "anna", today, today)).total.cost == 600
    assert registry.get_sample_value("vestige_ledger_settled_total", {"basis": "asked"}) == 1


async def test_a_server_with_a_store_of_its_own_settles_at_its_start_what_it_left(
    books: Callable[..., Books], redis_pair: RedisPair, make_settings: Make
) -> None:
    kept = books()
    await Upkeep(killed := kept.ledger("killed"), None).beat()
    await killed.reserve(ANNA, ATTEMPT, 5_000)
    async with open_money(make_settings(redis_url=None), redis_pair.state, CollectorRegistry()):
        assert (await kept.spent(), (await kept.gauge()).held) == (5_000, 0)


@pytest.mark.parametrize(
    ("metered", "budget", "warns"), [(["openrouter"], None, True), (["openrouter"], "1", False), ([], None, False)]
)
async def test_a_provider_that_bills_and_no_ceiling_is_worth_a_warning(
    redis_pair: RedisPair, make_settings: Make, metered: list[str], budget: str | None, warns: bool
) -> None:
    with capture_logs() as logs:
        async with open_money(
            make_settings(daily_budget=budget), redis_pair.state, CollectorRegistry(), metered=metered
        ):
            pass
    assert any(line["event"] == "no_daily_budget" for line in logs) is warns
