"""The operator is told of 50, 80 and 100 % of a ceiling: once each, signed, and again until it was taken."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from server.errors import BudgetExceeded
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.webhook import Webhook, secret_bytes, signature
from server.routing.spending import Outcome
from tests.routing.ledger.conftest import ANNA, ATTEMPT, Books

Open = Callable[..., Books]
SECRET = "a-secret-of-the-operator-0123456789"
NEWS = "vestige:{money}:news"


@dataclass
class Operator:
    """Takes webhooks, `statuses` first; keeps what was signed rightly."""

    statuses: list[int] = field(default_factory=list)
    told: list[dict] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        id, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        expected = hmac.new(SECRET.encode(), f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
        assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
        self.ids.append(id)
        status = self.statuses.pop(0) if self.statuses else 204
        if status < 300:
            self.told.append(json.loads(body))
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    operator = Operator()
    app = web.Application()
    app.router.add_post("/budget", operator.take)
    async with TestServer(app) as server:
        operator.url = str(server.make_url("/budget"))
        yield operator


@pytest.fixture
async def webhook(operator: Operator, books: Open) -> AsyncIterator[Webhook]:
    async with aiohttp.ClientSession() as session:
        scripts, metrics = books().ledger().scripts, LedgerMetrics(CollectorRegistry())
        yield Webhook(session, scripts, metrics, url=operator.url, secret=SECRET)


async def spend(ledger: Ledger, cost: int) -> None:
    await (await ledger.reserve(ANNA, ATTEMPT, cost)).settle(Outcome("done", cost))


async def test_each_share_of_each_ceiling_is_told_once_a_day(books: Open, webhook: Webhook, operator: Operator) -> None:
    ledger = books(daily_budget=0.001, user=0.002).ledger(tells=True)
    for cost in (499, 1, 100, 199, 1, 200):
        await spend(ledger, cost)
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            await ledger.reserve(ANNA, ATTEMPT, 1)
    await webhook.tell()
    await webhook.tell()
    seen = [
        (told["data"]["scope"], told["data"]["percent"], told["data"]["spent_microdollars"]) for told in operator.told
    ]
    assert sorted(seen) == [("global", 50, 500), ("global", 80, 800), ("global", 100, 1_000), ("user", 50, 1_000)]
    assert len(set(operator.ids)) == 4
    (user,) = [told for told in operator.told if told["data"]["scope"] == "user"]
    assert (user["type"], user["data"]["tenant"], user["data"]["user_id"]) == ("budget.share_reached", "home", "anna")
    assert user["data"]["ceiling_microdollars"] == 2_000


async def test_all_of_a_ceiling_is_told_when_it_first_blocks(books: Open, webhook: Webhook, operator: Operator) -> None:
    ledger = books(tenant_daily_budget=0.001).ledger(tells=True)
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(ANNA, ATTEMPT, 1_001)
    await webhook.tell()
    (told,) = operator.told
    assert told["data"] | {"day": None} == {
        "day": None,
        "scope": "tenant",
        "tenant": "home",
        "user_id": None,
        "percent": 100,
        "spent_microdollars": 0,
        "ceiling_microdollars": 1_000,
    }


async def test_what_is_only_put_aside_is_not_spent(books: Open, webhook: Webhook, operator: Operator) -> None:
    ledger = books(daily_budget=0.001).ledger(tells=True)
    hold = await ledger.reserve(ANNA, ATTEMPT, 1_000)
    await hold.settle(Outcome("done", 10))
    await webhook.tell()
    assert operator.told == []


async def test_a_receiver_that_fails_is_told_again_with_the_same_id(
    books: Open, webhook: Webhook, operator: Operator
) -> None:
    kept = books(daily_budget=0.001)
    operator.statuses = [500, 302, 204]
    await spend(kept.ledger(tells=True), 500)
    for tries in (1, 2, 3):
        await webhook.tell()
        assert len(operator.ids) == tries
        await webhook.tell()  # not due again yet
        assert len(operator.ids) == tries
        for event in await kept.pair.state.zrange(NEWS, 0, -1):
            await kept.pair.state.zadd(NEWS, {str(event): 0})
    assert len(set(operator.ids)) == len(operator.told) == 1
    assert await kept.pair.state.zcard(NEWS) == 0


async def test_nobody_is_told_of_a_person_who_is_deleted(books: Open, webhook: Webhook, operator: Operator) -> None:
    kept = books(user=0.001)
    ledger = kept.ledger(tells=True)
    await spend(ledger, 500)
    await ledger.forget("home", "anna")
    await webhook.tell()
    assert (operator.told, await kept.pair.state.zcard(NEWS)) == ([], 0)


async def test_without_a_webhook_nothing_waits_to_be_told(books: Open) -> None:
    kept = books(daily_budget=0.001)
    await spend(kept.ledger(), 1_000)
    assert await kept.pair.state.zcard(NEWS) == 0


async def test_a_receiver_that_is_not_there_costs_nothing_but_a_try(books: Open) -> None:
    kept = books(daily_budget=0.001)
    await spend(kept.ledger(tells=True), 500)
    async with aiohttp.ClientSession() as session:
        scripts, metrics = kept.ledger().scripts, LedgerMetrics(CollectorRegistry())
        await Webhook(session, scripts, metrics, url="http://127.0.0.1:1/budget", secret=SECRET).tell()
    assert await kept.pair.state.zcard(NEWS) == 1


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["plain-secret-of-24-letters", "whsec_not base64 at all!"])
def test_a_secret_that_is_no_base64_is_taken_as_it_is(secret: str) -> None:
    assert secret_bytes(secret) == secret.encode()
