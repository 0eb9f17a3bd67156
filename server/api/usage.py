"""What models cost: one's own, and for those with the scope `admin` everyone's, by day, tier, model and user."""

from collections.abc import Mapping
from datetime import date
from typing import Literal, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.accounts.principal import Principal
from server.api.auth import acting_user, principal
from server.api.body import read_query
from server.api.keys import ACCOUNTS
from server.api.respond import json_response
from server.api.routes import Route
from server.api.services import MONEY
from server.errors import Forbidden, NotFound
from server.ids import check_slug
from server.routing.ledger.usage import KEPT_DAYS, Gauge, Sum, Usage
from server.routing.types import Payer

TAG = "Usage"
SHOWN_DAYS = 30
KEPT = f"Kept for {KEPT_DAYS} days; a day is one of UTC. Amounts are whole micro-dollars: 1,000,000 are one US dollar."


class Period(BaseModel):
    """Days, both included, such as `2026-11-27`. Unset: up to today, and the 30 days that end there."""

    model_config = ConfigDict(extra="forbid")

    since: date | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise ValueError("since is after until")
        return self


class UsageQuery(Period):
    user_id: str | None = Field(None, description="Whose, where the credential may say so.")


class AdminQuery(Period):
    user_id: str | None = Field(None, description="Only this person's.")
    tenant: str | None = Field(None, description="Only this tenant's; the owner's to choose, who else sees them all.")


class Amounts(BaseModel):
    """What settled attempts came to."""

    attempts: int
    cost_microdollars: int
    prompt_tokens: int
    completion_tokens: int


class DayAmounts(Amounts):
    day: date


class ModelAmounts(Amounts):
    model: str


class TierAmounts(Amounts):
    tier: str


class Spender(BaseModel):
    """`user_id` is null for somebody who was deleted."""

    tenant: str
    user_id: str | None
    pseudonym: str
    cost_microdollars: int


class Ceiling(BaseModel):
    """Where a ceiling stands today. `held`: put aside for what is under way or whose cost is not known yet.

    `ceiling_microdollars` null: there is none. `name`: the tenant's or user's; null for the whole server.
    """

    scope: Literal["user", "tenant", "global"]
    name: str | None
    spent_microdollars: int
    held_microdollars: int
    ceiling_microdollars: int | None


class UsageOut(BaseModel):
    user_id: str
    since: date
    until: date
    today: Ceiling
    total: Amounts
    days: list[DayAmounts]
    models: list[ModelAmounts]


class AdminUsageOut(BaseModel):
    """`users`: the hundred who cost most. `tenants`: those in the sums."""

    since: date
    until: date
    tenants: list[str]
    today: list[Ceiling]
    total: Amounts
    days: list[DayAmounts]
    tiers: list[TierAmounts]
    models: list[ModelAmounts]
    users: list[Spender]


async def own(request: web.Request) -> web.StreamResponse:
    query = read_query(request, UsageQuery)
    who, usage = principal(request), request.app[MONEY].usage
    user = acting_user(request)
    first, last = await usage.period(query.since, query.until, days=SHOWN_DAYS)
    found = await usage.of_user(who.tenant, user, first, last)
    gauge = await usage.gauge(Payer(who.tenant, user, await _tier(request, who, user)))
    return json_response(
        UsageOut(
            user_id=user,
            since=first,
            until=last,
            today=_ceiling(gauge),
            total=Amounts(**amounts(found.total)),
            days=_days(found),
            models=_models(found),
        )
    )


async def everyones(request: web.Request) -> web.StreamResponse:
    query = read_query(request, AdminQuery)
    who, usage = principal(request), request.app[MONEY].usage
    first, last = await usage.period(query.since, query.until, days=SHOWN_DAYS)
    seen = await tenants_seen(request, who, query.tenant, first, last)
    if query.user_id is not None:
        check_slug(query.user_id, "user_id")
        found = await usage.of_user(query.tenant or who.tenant, query.user_id, first, last)
        users = []
    else:
        found = await usage.of_tenants(seen, first, last)
        users = await usage.spenders(seen, first, last)
    gauges = await usage.gauges(seen, everyone=who.role == "owner")
    return json_response(
        AdminUsageOut(
            since=first,
            until=last,
            tenants=seen,
            today=[_ceiling(gauge) for gauge in gauges],
            total=Amounts(**amounts(found.total)),
            days=_days(found),
            tiers=[TierAmounts(tier=tier, **amounts(each)) for tier, each in dearest(found.tiers)],
            models=_models(found),
            users=[
                Spender(tenant=each.tenant, user_id=each.user, pseudonym=each.pseudonym, cost_microdollars=each.cost)
                for each in users
            ],
        )
    )


async def tenants_seen(request: web.Request, who: Principal, asked: str | None, first: date, last: date) -> list[str]:
    """Whose spending they see: the owner everyone's, an admin their tenant's.

    Raises:
        Forbidden: another tenant is named, and somebody else than the owner asks.
    """
    if asked is not None:
        check_slug(asked, "tenant")
        if asked != who.tenant and who.role != "owner":
            raise Forbidden("Only the owner sees what other tenants spend.", field="tenant")
        return [asked]
    if who.role != "owner":
        return [who.tenant]
    return sorted({who.tenant, *await request.app[MONEY].usage.tenants(first, last)})


async def _tier(request: web.Request, who: Principal, user: str) -> str:
    """The plan that a person's turns are paid on, as far as this credential knows."""
    if user == who.user:
        return who.tier
    try:
        return (await request.app[ACCOUNTS].user(who.tenant, user)).tier
    except NotFound:
        return who.tier


def amounts(each: Sum) -> dict[str, int]:
    return {
        "attempts": each.attempts,
        "cost_microdollars": each.cost,
        "prompt_tokens": each.prompt_tokens,
        "completion_tokens": each.completion_tokens,
    }


def _days(found: Usage) -> list[DayAmounts]:
    return [DayAmounts(day=day, **amounts(each)) for day, each in sorted(found.days.items())]


def _models(found: Usage) -> list[ModelAmounts]:
    return [ModelAmounts(model=model, **amounts(each)) for model, each in dearest(found.models)]


def dearest(sums: Mapping[str, Sum]) -> list[tuple[str, Sum]]:
    return sorted(sums.items(), key=lambda item: (-item[1].cost, item[0]))


def _ceiling(gauge: Gauge) -> Ceiling:
    return Ceiling(
        scope=gauge.scope,
        name=gauge.name,
        spent_microdollars=gauge.spent,
        held_microdollars=gauge.held,
        ceiling_microdollars=gauge.ceiling,
    )


def routes() -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/usage",
            own,
            "chat",
            "What one's own conversations cost",
            TAG,
            KEPT,
            query=UsageQuery,
            response=UsageOut,
        ),
        Route(
            "GET",
            "/v1/admin/usage",
            everyones,
            "admin",
            "What conversations cost, by day, tier, model and user",
            TAG,
            f"Those of the tenant; the owner sees all, and the whole server's ceiling. {KEPT}",
            query=AdminQuery,
            response=AdminUsageOut,
        ),
    ]
