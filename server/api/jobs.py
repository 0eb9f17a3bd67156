"""Render jobs: how one goes, following it, cancelling it; for admins all of them, and pictures made ahead."""

import base64
import re

from aiohttp import web

from server.accounts.principal import HOME
from server.api.auth import principal
from server.api.body import read_json, read_query
from server.api.events import event_stream
from server.api.presence import while_there
from server.api.preview_schemas import (
    CollectedOut,
    CollectQuery,
    EstimateOut,
    FrameOut,
    JobEventOut,
    JobOut,
    JobsOut,
    JobsQuery,
    PlanOut,
    PlansOut,
    PrerenderIn,
    PrerenderOut,
    PrerenderQuery,
    PreviewOut,
)
from server.api.previews import person
from server.api.respond import json_bytes, json_response
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import PICTURES
from server.errors import Forbidden, InvalidRequest
from server.ids import check_slug
from server.render.jobs.jobs import Jobs
from server.render.jobs.types import Job, JobEvent
from server.render.previews.ahead import Plan
from server.render.previews.types import Person

_TAG = "Pictures"
_ADMIN = "Administration"
_EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")


async def get(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who = person(request)
    return _job(request, await request.app[PICTURES].previews.job(who, _id(request)))


async def events(request: web.Request) -> web.StreamResponse:
    """Until the job ends or the client leaves, which changes nothing for the job."""
    read_query(request, Query)
    previews, who, id = request.app[PICTURES].previews, person(request), _id(request)
    await previews.job(who, id)
    after = _last_event(request)
    with previews.following(who):
        async with while_there(request), event_stream(request) as out:
            async for event in previews.follow(who, id, after):
                name, body = await _event(request, who, event)
                await out.send(name, json_bytes(body), id=event.id)
    return out.response


async def cancel(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    return _job(request, await request.app[PICTURES].previews.cancel(person(request), _id(request)))


async def listing(request: web.Request) -> web.StreamResponse:
    query = read_query(request, JobsQuery)
    jobs = request.app[PICTURES].previews.jobs
    found = await jobs.listing(query.state, tenant=principal(request).tenant, limit=query.limit)
    counts = {} if principal(request).tenant != HOME else await _counts(jobs)
    return json_response(JobsOut(jobs=[JobOut.of(job, admin=True) for job in found], counts=counts))


async def _counts(jobs: Jobs) -> dict[str, int]:
    """Of all tenants together."""
    found = await jobs.counts()
    return {f"{state}.{line}" if state == "waiting" else state: number for (line, state), number in found.items()}


async def replay(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    previews = request.app[PICTURES].previews
    job = await previews.job(_admin(request), _id(request))
    return _job(request, await previews.jobs.replay(job.id, job.user))


async def end(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    return _job(request, await request.app[PICTURES].previews.cancel(_admin(request), _id(request), anyway=True))


async def prerender(request: web.Request) -> web.StreamResponse:
    query = read_query(request, PrerenderQuery)
    body = await read_json(request, PrerenderIn)
    if body.character_id is None and body.item_id is None:
        raise InvalidRequest("Name a character, an item, or both.", field="character_id")
    ahead, who = request.app[PICTURES].ahead, _admin(request)
    found = await ahead.estimate(who, body.character_id, body.item_id)
    plan = None
    if not query.estimate:
        plan = await ahead.order(who, body.character_id, body.item_id, previews=found.previews)
    out = PrerenderOut(estimate=EstimateOut.of(found), plan=None if plan is None else _plan(plan))
    return json_response(out, status=200 if plan is None else 202)


async def plans(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    found = await request.app[PICTURES].ahead.plans(principal(request).tenant)
    return json_response(PlansOut(plans=[_plan(one) for one in found]))


async def stop_plan(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    id = check_slug(request.match_info["plan_id"], "plan_id")
    return json_response(_plan(await request.app[PICTURES].ahead.stop(principal(request).tenant, id)))


async def collect(request: web.Request) -> web.StreamResponse:
    query = read_query(request, CollectQuery)
    if principal(request).tenant != HOME:
        raise Forbidden("Pictures of all tenants are collected together: that is for this server's own admins.")
    found = await request.app[PICTURES].collector.collect(dry_run=query.dry_run)
    return json_response(
        CollectedOut(looked_at=found.looked_at, unused=found.unused, bytes=found.bytes, deleted=not query.dry_run)
    )


async def _event(request: web.Request, who: Person, event: JobEvent) -> tuple[str, FrameOut | JobEventOut]:
    if event.frame is not None:
        return event.kind, FrameOut(image=base64.b64encode(event.frame).decode())
    admin, preview = who.admin, None
    if event.kind != "job":
        found = await request.app[PICTURES].previews.states(who, [event.job.key])
        preview = PreviewOut.of(found[event.job.key], admin=admin) if event.job.key in found else None
    return event.kind, JobEventOut(job=JobOut.of(event.job, admin=admin), preview=preview)


def _admin(request: web.Request) -> Person:
    """An admin, for the tenant rather than for themselves."""
    who = principal(request)
    return Person(who.tenant, who.user, who.tier, who.name, admin=True)


def _id(request: web.Request) -> str:
    return check_slug(request.match_info["job_id"], "job_id")


def _last_event(request: web.Request) -> str | None:
    """Where to go on, as the client says; nothing that no event of ours has ever had as its id."""
    sent = request.headers.get("Last-Event-ID", "")
    return sent if _EVENT_ID.fullmatch(sent) else None


def _job(request: web.Request, job: Job) -> web.StreamResponse:
    return json_response(JobOut.of(job, admin=principal(request).is_admin))


def _plan(plan: Plan) -> PlanOut:
    return PlanOut(
        id=plan.id,
        character_id=plan.character,
        item_id=plan.item,
        previews=plan.previews,
        asked=plan.asked,
        state=plan.state,
        stopped=plan.stopped,
        created=plan.created,
    )


def routes() -> list[Route]:
    one, admin = "/v1/jobs/{job_id}", "/v1/admin/jobs/{job_id}"
    return [
        Route("GET", one, get, "catalog", "How a render goes", _TAG, query=Query, response=JobOut),
        Route(
            "GET",
            one + "/events",
            events,
            "catalog",
            "Follow a render",
            _TAG,
            "Server-sent events to its end: progress, place in line, live previews. `Last-Event-ID` resumes.",
            query=Query,
            events={
                "job": JobEventOut,
                "frame": FrameOut,
                "done": JobEventOut,
                "failed": JobEventOut,
                "cancelled": JobEventOut,
            },
            produces=(),
        ),
        Route(
            "DELETE",
            one,
            cancel,
            "catalog",
            "Not wait for a render any more",
            _TAG,
            "Whoever else waits for it keeps it; the last one's leaving ends it.",
            query=Query,
            response=JobOut,
        ),
        Route("GET", "/v1/admin/jobs", listing, "admin", "List renders", _ADMIN, query=JobsQuery, response=JobsOut),
        Route(
            "POST",
            admin + "/replay",
            replay,
            "admin",
            "Try a failed render again",
            _ADMIN,
            query=Query,
            response=JobOut,
        ),
        Route(
            "DELETE",
            admin,
            end,
            "admin",
            "End a render whoever waits for it",
            _ADMIN,
            query=Query,
            response=JobOut,
        ),
        Route(
            "POST",
            "/v1/admin/prerender",
            prerender,
            "admin",
            "Make pictures ahead",
            _ADMIN,
            "A character with every item of the shop, an item on every shared character, or one of both. Behind "
            "everybody who waits. With `estimate=true` it only says what that comes to.",
            request=PrerenderIn,
            query=PrerenderQuery,
            response=PrerenderOut,
            status=202,
        ),
        Route(
            "GET",
            "/v1/admin/prerender",
            plans,
            "admin",
            "Pictures being made ahead",
            _ADMIN,
            query=Query,
            response=PlansOut,
        ),
        Route(
            "DELETE",
            "/v1/admin/prerender/{plan_id}",
            stop_plan,
            "admin",
            "Make no more of them",
            _ADMIN,
            query=Query,
            response=PlanOut,
        ),
        Route(
            "POST",
            "/v1/admin/previews/collect",
            collect,
            "admin",
            "Delete pictures that nothing points to",
            _ADMIN,
            "A dry run unless `dry_run=false`.",
            query=CollectQuery,
            response=CollectedOut,
        ),
    ]
