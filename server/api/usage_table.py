"""What models cost as CSV: a line for every attempt, or for every day, tier, model or user."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

from aiohttp import web
from pydantic import Field

from server.api.auth import principal
from server.api.body import read_query
from server.api.respond import attachment
from server.api.routes import Route
from server.api.services import MONEY
from server.api.usage import KEPT, SHOWN_DAYS, TAG, AdminQuery, Amounts, amounts, dearest, tenants_seen
from server.ids import check_slug
from server.routing.ledger.usage import Row, Sum


class CsvQuery(AdminQuery):
    by: Literal["attempt", "day", "tier", "model", "user"] = Field("attempt", description="A line for each of these.")


async def table(request: web.Request) -> web.StreamResponse:
    query = read_query(request, CsvQuery)
    who, usage = principal(request), request.app[MONEY].usage
    first, last = await usage.period(query.since, query.until, days=SHOWN_DAYS)
    seen = await tenants_seen(request, who, query.tenant, first, last)
    if query.user_id is not None:
        check_slug(query.user_id, "user_id")
        seen = [query.tenant or who.tenant]
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": attachment(f"vestige-usage-by-{query.by}-{first}-{last}.csv"),
        }
    )
    if query.by == "attempt":
        pages = usage.rows(seen, first, last)
        first_page = await anext(pages, [])  # a store that is away is a 503, not half a file
        await response.prepare(request)
        await response.write(_csv([ATTEMPT_COLUMNS]))
        await response.write(_csv(_lines(first_page, query.user_id)))
        async for page in pages:
            await response.write(_csv(_lines(page, query.user_id)))
    else:
        lines = await _sums(request, query, seen, first, last)
        await response.prepare(request)
        await response.write(_csv(lines))
    await response.write_eof()
    return response


_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
ATTEMPT_COLUMNS = (
    "started",
    "ended",
    "attempt",
    "generation_id",
    "turn",
    "rung",
    "tenant",
    "user_id",
    "pseudonym",
    "tier",
    "model",
    "provider",
    "mode",
    "purpose",
    "status",
    "basis",
    "attempts",
    "cost_microdollars",
    "reserved_microdollars",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
)


def _lines(rows: Iterable[Row], user: str | None) -> Iterable[Sequence[object]]:
    for row in rows:
        if user is not None and row.user != user:
            continue
        fields, facts = row.fields, row.facts
        yield (
            row.started.isoformat(timespec="milliseconds"),
            row.ended.isoformat(timespec="milliseconds"),
            fields["attempt"],
            fields["generation"],
            facts["turn"],
            facts["rung"],
            row.tenant,
            row.user,
            fields["person"],
            fields["tier"],
            fields["model"],
            facts["provider"],
            facts["mode"],
            facts["purpose"],
            fields["status"],
            fields["basis"],
            fields["count"],
            fields["cost"],
            fields["reserved"],
            fields["prompt"],
            fields["completion"],
            fields["cached"],
            fields["reasoning"],
        )


async def _sums(
    request: web.Request, query: CsvQuery, tenants: Sequence[str], first: date, last: date
) -> list[Sequence[object]]:
    usage = request.app[MONEY].usage
    if query.by == "user":
        spenders = await usage.spenders(tenants, first, last)
        lines = [(each.tenant, each.user, each.pseudonym, each.cost) for each in spenders]
        return [("tenant", "user_id", "pseudonym", "cost_microdollars"), *lines]
    if query.user_id is not None:
        found = await usage.of_user(tenants[0], query.user_id, first, last)
    else:
        found = await usage.of_tenants(tenants, first, last)
    groups: Iterable[tuple[object, Sum]] = {
        "day": sorted(found.days.items()),
        "tier": dearest(found.tiers),
        "model": dearest(found.models),
    }[query.by]
    return [(query.by, *Amounts.model_fields), *((name, *amounts(each).values()) for name, each in groups)]


def _csv(lines: Iterable[Sequence[object]]) -> bytes:
    """Lines of CSV. A name that a spreadsheet would run as a formula is led by an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    for line in lines:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell for cell in line])
    return out.getvalue().encode()


def routes() -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/admin/usage.csv",
            table,
            "admin",
            "The same as CSV",
            TAG,
            f"Every attempt, or sums. A line with `attempts` 0 corrects one before it. {KEPT}",
            query=CsvQuery,
            produces=("text/csv",),
        ),
    ]
