"""The ComfyUI hosts, for admins: how they do, which are drained, and a look at one now."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from server.accounts.principal import HOME
from server.api.auth import principal
from server.api.body import read_json, read_query
from server.api.respond import json_response
from server.api.routes import Route
from server.api.services import FLEET, PICTURES
from server.errors import Forbidden
from server.render.fleet.types import HostState

_TAG = "Administration"


class HostOut(BaseModel):
    """A ComfyUI host.

    `healthy`: it answered when it was last looked at. `usable`: new renders go there; `why` not, in one sentence.
    `opened`: Vestige's pack there takes our token. `warm`: what the work there loads last, by content. `queue`: renders
    there that are ours, `strangers` those that are not, `claims` places given out. `seconds`: a render with warm
    models, `swap_seconds` how much longer with another checkpoint; null before they were measured. `failures`: rests
    in a row. `problems`: what is to be put right there.
    """

    name: str
    healthy: bool
    usable: bool
    why: str | None
    version: str | None
    pack: Literal["vestige", "ipadapter_plus", "none"]
    opened: bool
    devices: list[str]
    warm: list[str]
    queue: int
    strangers: int
    claims: int
    drained: bool
    benched_until: datetime | None
    failures: int
    seconds: float | None
    swap_seconds: float | None
    problems: list[str]
    seen: datetime | None

    @classmethod
    def of(cls, state: HostState) -> Self:
        moments = {name: _moment(getattr(state, name)) for name in ("benched_until", "seen")}
        return cls.model_validate(state.to_json() | moments)


class HostList(BaseModel):
    """`checkpoints`: what any of them lists, for whoever gives a character its look."""

    hosts: list[HostOut]
    checkpoints: list[str]


class HostsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DrainIn(BaseModel):
    """`on`: nothing new goes there, and what it has is finished; off: it is used again."""

    model_config = ConfigDict(extra="forbid")

    on: bool


async def hosts(request: web.Request) -> web.StreamResponse:
    read_query(request, HostsQuery)
    fleet = request.app[FLEET]
    stuck = await request.app[PICTURES].forgetting.stuck()
    states = [
        replace(state, problems=(*state.problems, stuck[state.name])) if state.name in stuck else state
        for state in await fleet.look()
    ]
    found = [HostOut.of(state) for state in states]
    return json_response(HostList(hosts=found, checkpoints=await fleet.checkpoints()))


async def drain(request: web.Request) -> web.StreamResponse:
    change, name = await read_json(request, DrainIn), _name(request)
    return json_response(HostOut.of(await request.app[FLEET].drain(name, change.on)))


async def probe(request: web.Request) -> web.StreamResponse:
    return json_response(HostOut.of(await request.app[FLEET].probe(_name(request))))


def _name(request: web.Request) -> str:
    """Raises `Forbidden` for admins of another tenant: the hosts are everybody's."""
    if principal(request).tenant != HOME:
        raise Forbidden("The hosts serve every tenant: only this server's own admins change them.", field="name")
    return request.match_info["name"]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def routes() -> list[Route]:
    one = "/v1/admin/hosts/{name}"
    return [
        Route(
            "GET",
            "/v1/admin/hosts",
            hosts,
            "admin",
            "How the ComfyUI hosts do",
            _TAG,
            "As the health check saw them, at most some seconds ago; the same from every server.",
            query=HostsQuery,
            response=HostList,
        ),
        Route(
            "POST",
            f"{one}/drain",
            drain,
            "admin",
            "Drain a host, or use it again",
            _TAG,
            "For an update or a restart: drain it, wait until `claims` and `queue` are 0, and use it again afterwards.",
            request=DrainIn,
            response=HostOut,
        ),
        Route(
            "POST",
            f"{one}/probe",
            probe,
            "admin",
            "Look at a host now",
            _TAG,
            "At its files too. Where it is well, its rest after a failure is over.",
            response=HostOut,
        ),
    ]
