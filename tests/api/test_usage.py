"""What conversations cost, over HTTP: one's own, the admin's view, and CSV."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from server.api.services import MONEY
from server.routing.ledger.ledger import Ledger
from server.routing.spending import Attempt, Outcome
from server.routing.types import Payer, Usage
from server.settings import Plan
from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = datetime.now(UTC).date()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    plans = {"free": Plan(daily_budget=0.5), "plus": Plan()}  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("usage") / "data"
    async with shared_server(folder, plans=plans, daily_budget=2, tenant_daily_budgets={"acme": 1}) as running:
        ledger = running.app[MONEY].ledger
        await spend(ledger, Payer("home", "owner", "free"), "vendor/small", 1_000)
        await spend(ledger, Payer("home", "owner", "free"), "vendor/large", 20_000)
        await spend(ledger, Payer("home", "anna", "plus"), "vendor/large", 300_000)
        await spend(ledger, Payer("acme", "zoe", "free"), "=cmd|' /C calc'!A0", 4_000)
        await ledger.reserve(Payer("home", "anna", "plus"), attempt("vendor/large"), 50_000)
        yield running


def attempt(model: str) -> Attempt:
    return Attempt("turn-1", 2, model, "openrouter.ai", None, "chat")


async def spend(ledger: Ledger, payer: Payer, model: str, cost: int) -> None:
    hold = await ledger.reserve(payer, attempt(model), 2 * cost)
    await hold.settle(Outcome("done", cost, Usage(100, 10)))


async def get(server: Server, path: str) -> Json:
    status, body = await server.ask("GET", path)
    assert status == 200, body
    return body


async def lines(server: Server, query: str = "") -> list[dict[str, str]]:
    status, body = await server.ask("GET", f"/v1/admin/usage.csv{query}")
    assert status == 200
    return list(csv.DictReader(io.StringIO(body.decode())))


async def test_what_is_ones_own(server: Server) -> None:
    usage = await get(server, "/v1/usage")
    assert usage["user_id"] == "owner"
    assert usage["until"] == TODAY.isoformat()
    assert usage["total"] == {
        "attempts": 2,
        "cost_microdollars": 21_000,
        "prompt_tokens": 200,
        "completion_tokens": 20,
    }
    assert usage["days"] == [{"day": TODAY.isoformat(), **usage["total"]}]
    assert [each["model"] for each in usage["models"]] == ["vendor/large", "vendor/small"]
    assert usage["today"] == {
        "scope": "user",
        "name": "owner",
        "spent_microdollars": 21_000,
        "held_microdollars": 0,
        "ceiling_microdollars": 500_000,
    }


async def test_somebody_who_never_spent(server: Server) -> None:
    usage = await get(server, "/v1/usage?user_id=nobody")
    assert (usage["days"], usage["models"], usage["total"]["attempts"]) == ([], [], 0)
    assert usage["today"]["spent_microdollars"] == 0


async def test_the_owner_sees_everyone(server: Server) -> None:
    usage = await get(server, "/v1/admin/usage")
    assert usage["tenants"] == ["acme", "home"]
    assert usage["total"]["cost_microdollars"] == 325_000
    assert [(each["scope"], each["name"]) for each in usage["today"]] == [
        ("global", None),
        ("tenant", "acme"),
        ("tenant", "home"),
    ]
    everyone, acme, home = usage["today"]
    assert (everyone["spent_microdollars"], everyone["held_microdollars"]) == (325_000, 50_000)
    assert everyone["ceiling_microdollars"] == 2_000_000
    assert (acme["ceiling_microdollars"], home["ceiling_microdollars"]) == (1_000_000, None)
    assert {each["tier"]: each["cost_microdollars"] for each in usage["tiers"]} == {"plus": 300_000, "free": 25_000}
    assert [(each["tenant"], each["user_id"], each["cost_microdollars"]) for each in usage["users"]] == [
        ("home", "anna", 300_000),
        ("home", "owner", 21_000),
        ("acme", "zoe", 4_000),
    ]


async def test_one_tenant_or_one_person(server: Server) -> None:
    assert (await get(server, "/v1/admin/usage?tenant=acme"))["total"]["cost_microdollars"] == 4_000
    assert (await get(server, "/v1/admin/usage?user_id=anna"))["total"]["cost_microdollars"] == 300_000
    assert (await get(server, "/v1/admin/usage?tenant=acme&user_id=zoe"))["total"]["cost_microdollars"] == 4_000
    assert (await get(server, "/v1/admin/usage?tenant=none"))["total"]["attempts"] == 0


async def test_an_admin_sees_their_own_tenant_alone(server: Server) -> None:
    _, made = await server.ask(
        "POST", "/v1/admin/keys", json={"name": "acme's", "scopes": ["admin", "chat"], "tenant": "acme"}
    )
    headers = {"Authorization": f"Bearer {made['secret']}"}
    status, usage = await server.ask("GET", "/v1/admin/usage", headers=headers)
    assert (status, usage["tenants"], usage["total"]["cost_microdollars"]) == (200, ["acme"], 4_000)
    assert [each["scope"] for each in usage["today"]] == ["tenant"]
    for path in ("/v1/admin/usage?tenant=home", "/v1/admin/usage.csv?tenant=home"):
        status, refused = await server.ask("GET", path, headers=headers)
        assert (status, refused["error"]["code"]) == (403, "forbidden")
    status, body = await server.ask("GET", "/v1/admin/usage.csv?user_id=anna", headers=headers)
    assert len(body.splitlines()) == 1
    status, usage = await server.ask("GET", "/v1/usage?user_id=zoe", headers=headers)
    assert (status, usage["total"]["cost_microdollars"]) == (200, 4_000)


async def test_a_member_sees_nobody_elses(server: Server) -> None:
    _, made = await server.ask("POST", "/v1/admin/users", json={"name": "Ben"})
    ben = made["user"]["id"]
    _, key = await server.ask("POST", "/v1/admin/keys", json={"name": "ben's", "scopes": ["chat"], "user_id": ben})
    headers = {"Authorization": f"Bearer {key['secret']}"}
    status, usage = await server.ask("GET", "/v1/usage", headers=headers)
    assert (status, usage["user_id"], usage["total"]["attempts"]) == (200, ben, 0)
    for path in ("/v1/usage?user_id=anna", "/v1/admin/usage", "/v1/admin/usage.csv"):
        assert (await server.ask("GET", path, headers=headers))[0] == 403


async def test_every_attempt_as_csv(server: Server) -> None:
    rows = await lines(server)
    assert sum(int(row["cost_microdollars"]) for row in rows) == 325_000
    (zoe,) = [row for row in rows if row["user_id"] == "zoe"]
    assert zoe["model"].startswith("'=cmd")  # not a formula in anybody's spreadsheet
    assert (zoe["tenant"], zoe["rung"], zoe["status"], zoe["basis"]) == ("acme", "2", "done", "told")
    assert (zoe["reserved_microdollars"], zoe["prompt_tokens"], zoe["attempts"]) == ("8000", "100", "1")
    assert (zoe["generation_id"], zoe["mode"], zoe["provider"]) == ("", "", "openrouter.ai")
    assert datetime.fromisoformat(zoe["started"]).date() == TODAY
    assert [row["user_id"] for row in await lines(server, "?user_id=anna")] == ["anna"]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("day", [TODAY.isoformat()]),
        ("tier", ["plus", "free"]),
        ("model", ["vendor/large", "'=cmd/' /C calc'!A0", "vendor/small"]),
    ],
)
async def test_sums_as_csv(server: Server, by: str, names: list[str]) -> None:
    rows = await lines(server, f"?by={by}")
    assert [row[by] for row in rows] == names
    assert sum(int(row["cost_microdollars"]) for row in rows) == 325_000


async def test_people_as_csv(server: Server) -> None:
    rows = await lines(server, "?by=user")
    assert [(row["user_id"], row["cost_microdollars"]) for row in rows][:2] == [("anna", "300000"), ("owner", "21000")]


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-11-27&until=2026-11-26",
        "until=2026-02-30",
        "by=colour",
        "user_id=../x",
        "tenant=A%20B",
        "from=2026-11-01",
    ],
)
@pytest.mark.parametrize("path", ["/v1/usage", "/v1/admin/usage", "/v1/admin/usage.csv"])
async def test_a_query_that_is_none(server: Server, path: str, query: str) -> None:
    status, refused = await server.ask("GET", f"{path}?{query}")
    assert (status, refused["error"]["code"]) in ((400, "invalid_request"), (400, "invalid_id"))


async def test_periods_stay_within_what_is_kept(server: Server) -> None:
    usage = await get(server, "/v1/usage?since=0001-01-01&until=9999-12-31")
    assert (usage["since"], usage["until"]) == ((TODAY - timedelta(days=35)).isoformat(), TODAY.isoformat())
    assert (await get(server, "/v1/usage?since=0001-01-01&until=0001-01-02"))["days"] == []
    ahead = await get(server, "/v1/admin/usage?since=9999-12-30")
    assert (ahead["days"], ahead["users"]) == ([], [])


async def test_a_deleted_person_is_a_pseudonym(server: Server) -> None:
    ledger = server.app[MONEY].ledger
    status, made = await server.ask("POST", "/v1/admin/users", json={"name": "Cleo"})
    cleo = made["user"]["id"]
    await spend(ledger, Payer("home", cleo, "free"), "vendor/small", 5)
    assert cleo in str(await get(server, "/v1/admin/usage"))
    status, _ = await server.ask("DELETE", f"/v1/admin/users/{cleo}")
    assert status == 200
    await spend(ledger, Payer("home", "somebody-else", "free"), "vendor/small", 5)
    status, _ = await server.ask("DELETE", "/v1/memory?user_id=somebody-else")
    assert status == 200
    seen = await get(server, "/v1/admin/usage")
    assert cleo not in str(seen) and "somebody-else" not in str(seen)
    assert [each["cost_microdollars"] for each in seen["users"] if each["user_id"] is None] == [5, 5]
