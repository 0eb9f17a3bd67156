"""How well models answer, for admins."""

from dataclasses import asdict
from datetime import datetime

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.api.body import read_query
from server.api.respond import json_response
from server.api.routes import Route
from server.api.services import ROUTING


class RoutingQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hours: int = Field(24, ge=1, le=840)


class RoutingTotals(BaseModel):
    """`turns` are requests; `fallbacks` were answered by another model than the first, `unanswered` by none.

    `attempts` are calls; `refused` came back without a visible word, `failed` in any other way.
    """

    turns: int
    fallbacks: int
    unanswered: int
    attempts: int
    refused: int
    failed: int


class RoutingHour(RoutingTotals):
    """`at`: when the hour begins."""

    at: datetime


class RoutingModel(BaseModel):
    """`first_token_ms`: to the first visible token, on average; `cooling_until`: the model rests until then."""

    model: str
    mode: str | None
    attempts: int
    refused: int
    failed: int
    first_token_ms: int | None
    cooling_until: datetime | None


class RoutingOut(BaseModel):
    total: RoutingTotals
    buckets: list[RoutingHour]
    models: list[RoutingModel]


async def routing(request: web.Request) -> web.StreamResponse:
    query = read_query(request, RoutingQuery)
    found = await request.app[ROUTING].report(query.hours)
    return json_response(
        RoutingOut(
            total=RoutingTotals(**asdict(found.total)),
            buckets=[RoutingHour(at=one.at, **asdict(one.totals)) for one in found.buckets],
            models=[RoutingModel(**asdict(one)) for one in found.models],
        )
    )


def routes() -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/admin/routing",
            routing,
            "admin",
            "How well models answer",
            "Administration",
            "Counted over all servers, by the hour; the models of every tenant.",
            query=RoutingQuery,
            response=RoutingOut,
        )
    ]
