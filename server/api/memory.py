"""What is remembered: to look at, to correct, to forget."""

from aiohttp import web

from server.api.auth import acting_user, principal, require
from server.api.body import message_text, read_json, read_query
from server.api.erased import DeletedCountsOut, DeletedUserOut, HostLeft
from server.api.keys import ACCOUNTS, ERASE
from server.api.respond import attachment, json_response, no_content
from server.api.routes import Route
from server.api.schemas import (
    DeleteQuery,
    FactsIn,
    ForgetIn,
    ForgottenOut,
    PinEdit,
    PinIn,
    PinOut,
    PinsOut,
    Query,
    RecentOut,
    RecentQuery,
    SearchOut,
    SearchQuery,
    SummaryIn,
    SummaryOut,
    WindowOut,
    WindowsOut,
    WindowsQuery,
)
from server.api.services import CATALOG, CHARACTERS, CHAT, HTML, MEMORY, MONEY, PICTURES, who_is_meant
from server.api.views import messages_out, pin_out, spans_out, window_out
from server.catalog.records import Viewer
from server.errors import InvalidCard, NotFound
from server.memory.views import Speakers, Summary

_TAG = "Memory"


async def recent(request: web.Request) -> web.StreamResponse:
    query = read_query(request, RecentQuery)
    who = await who_is_meant(request)
    messages = await request.app[MEMORY].recent(who.scope, max_tokens=query.tokens)
    return json_response(RecentOut(messages=await messages_out(messages, request.app[HTML])))


async def summary(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who = await who_is_meant(request)
    return await _summary(request, await request.app[MEMORY].summary(who.scope))


async def set_summary(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, SummaryIn)
    text = message_text(request, body.text)
    who = await who_is_meant(request, body.user_id)
    return await _summary(request, await request.app[MEMORY].set_summary(who.scope, text))


async def remove_summary(request: web.Request) -> web.StreamResponse:
    who = await who_is_meant(request)
    await request.app[MEMORY].remove_summary(who.scope)
    return no_content()


async def search(request: web.Request) -> web.StreamResponse:
    query = read_query(request, SearchQuery)
    who = await who_is_meant(request)
    try:
        found = await request.app[CHARACTERS].get(who.scope.tenant, who.scope.character, Viewer(who.scope.user))
        name = found.card.char
    except (NotFound, InvalidCard):  # deleted or damaged: what was said with it can still be searched
        name = who.scope.character
    recall = await request.app[MEMORY].recall(
        who.scope, query.q, speakers=Speakers(who.user_name, name), budget_tokens=query.tokens
    )
    return json_response(SearchOut(spans=spans_out(recall.spans), tokens=recall.tokens))


async def windows(request: web.Request) -> web.StreamResponse:
    query = read_query(request, WindowsQuery)
    who = await who_is_meant(request)
    page = await request.app[MEMORY].windows(who.scope, before=query.before, limit=query.limit)
    return json_response(WindowsOut(windows=list(map(window_out, page.windows)), more=page.more, total=page.total))


async def set_facts(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, FactsIn)
    who = await who_is_meant(request, body.user_id)
    window = await request.app[MEMORY].set_facts(who.scope, request.match_info["window_id"], body.facts)
    return json_response(window_out(window))


async def pins(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who = await who_is_meant(request)
    return json_response(PinsOut(pins=list(map(pin_out, await request.app[MEMORY].pins(who.scope)))))


async def pin(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, PinIn)
    text = None if body.text is None else message_text(request, body.text)
    who = await who_is_meant(request, body.user_id)
    made = await request.app[MEMORY].pin(who.scope, text=text, message_id=body.message_id)
    return json_response(pin_out(made), status=201)


async def edit_pin(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, PinEdit)
    text = message_text(request, body.text)
    who = await who_is_meant(request, body.user_id)
    return json_response(pin_out(await request.app[MEMORY].edit_pin(who.scope, request.match_info["pin_id"], text)))


async def unpin(request: web.Request) -> web.StreamResponse:
    who = await who_is_meant(request)
    await request.app[MEMORY].unpin(who.scope, request.match_info["pin_id"])
    return no_content()


async def forget(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, ForgetIn)
    who = await who_is_meant(request, body.user_id)
    return json_response(ForgottenOut(forgotten=await request.app[CHAT].forget(who, body.message_ids)))


async def export(request: web.Request) -> web.StreamResponse:
    who = await who_is_meant(request)
    exported = await request.app[MEMORY].export(who.scope)
    name = attachment(f"vestige-{who.scope.character}.json")
    return json_response(exported, headers={"Content-Disposition": name})


async def clear(request: web.Request) -> web.StreamResponse:
    who = await who_is_meant(request)
    await request.app[CHAT].clear(who)
    return no_content()


async def export_all(request: web.Request) -> web.StreamResponse:
    tenant, user = principal(request).tenant, acting_user(request)
    exported = await request.app[MEMORY].export_user(tenant, user)
    characters = await request.app[CHARACTERS].owned(tenant, user)
    catalog = await request.app[CATALOG].export(tenant, user)
    previews = await request.app[PICTURES].previews.export(tenant, user)
    cards = [{"id": each.id, "card": each.card.document} for each in characters]
    body = {**exported, "characters": cards, **catalog, "previews": previews}
    return json_response(body, headers={"Content-Disposition": attachment(f"vestige-{user}.json")})


async def delete_all(request: web.Request) -> web.StreamResponse:
    query = read_query(request, DeleteQuery)
    tenant, user = principal(request).tenant, acting_user(request)
    if query.account:
        if user != principal(request).user:
            require(request, "admin")
        accounts = request.app[ACCOUNTS]
        await accounts.lock_out(tenant, user)
        erased = await request.app[ERASE](tenant, user)
        await accounts.delete_user(tenant, user)
        counts, hosts = dict(erased.counts), HostLeft.of(erased.hosts)
    else:
        await _forget_payer(request, tenant, user)
        deleted = await request.app[CHAT].delete_user(tenant, user)
        await _forget_payer(request, tenant, user)  # a reply that was under way may have made an attempt since
        counts, hosts = {"conversations": deleted.conversations, "messages": deleted.messages}, []
    return json_response(DeletedUserOut(deleted=DeletedCountsOut(**counts), hosts=hosts))


async def _forget_payer(request: web.Request, tenant: str, user: str) -> None:
    """Cuts the name of somebody without an account off the ledger; with one, that goes with the account."""
    try:
        await request.app[ACCOUNTS].user(tenant, user)
    except NotFound:
        await request.app[MONEY].ledger.forget(tenant, user)


async def _summary(request: web.Request, found: Summary | None) -> web.StreamResponse:
    if found is None:
        return json_response(SummaryOut(text=None, html=None, updated=None, windows=0, by=None))
    html = await request.app[HTML].render([found.text])
    return json_response(
        SummaryOut(
            text=found.text,
            html=html[found.text],
            updated=found.updated,
            windows=found.windows,
            by="user" if found.by == "user" else "model",
        )
    )


def routes() -> list[Route]:
    one = "/v1/memory/{character_id}"
    return [
        Route("GET", "/v1/memory/export", export_all, "memory", "Download everything of a person", _TAG, query=Query),
        Route(
            "DELETE",
            "/v1/memory",
            delete_all,
            "memory",
            "Delete everything of a person",
            _TAG,
            "All conversations and what came from them, also from the files on disk. With `account=true` the account "
            "and the person's own characters too.",
            query=DeleteQuery,
            response=DeletedUserOut,
        ),
        Route(
            "GET",
            one + "/recent",
            recent,
            "memory",
            "The newest messages",
            _TAG,
            "Those that a turn would take as they are.",
            query=RecentQuery,
            response=RecentOut,
        ),
        Route(
            "GET", one + "/summary", summary, "memory", "The rolling summary", _TAG, query=Query, response=SummaryOut
        ),
        Route(
            "PUT",
            one + "/summary",
            set_summary,
            "memory",
            "Correct the summary",
            _TAG,
            "It stands until more windows close; what is written then takes the correction into account.",
            request=SummaryIn,
            response=SummaryOut,
        ),
        Route("DELETE", one + "/summary", remove_summary, "memory", "Drop the summary", _TAG, query=Query, status=204),
        Route(
            "GET",
            one + "/search",
            search,
            "memory",
            "Search what was said",
            _TAG,
            "The same recall that a turn uses: dated spans with the ids of their messages.",
            query=SearchQuery,
            response=SearchOut,
        ),
        Route(
            "GET",
            one + "/windows",
            windows,
            "memory",
            "Closed windows",
            _TAG,
            query=WindowsQuery,
            response=WindowsOut,
        ),
        Route(
            "PUT",
            one + "/windows/{window_id}/facts",
            set_facts,
            "memory",
            "Correct a window's facts",
            _TAG,
            "The window has a new id afterwards.",
            request=FactsIn,
            response=WindowOut,
        ),
        Route("GET", one + "/pins", pins, "memory", "Pins", _TAG, query=Query, response=PinsOut),
        Route(
            "POST",
            one + "/pins",
            pin,
            "memory",
            "Pin a note or a message",
            _TAG,
            request=PinIn,
            response=PinOut,
            status=201,
        ),
        Route(
            "PATCH", one + "/pins/{pin_id}", edit_pin, "memory", "Edit a pin", _TAG, request=PinEdit, response=PinOut
        ),
        Route("DELETE", one + "/pins/{pin_id}", unpin, "memory", "Take a pin out", _TAG, query=Query, status=204),
        Route(
            "POST",
            one + "/forget",
            forget,
            "memory",
            "Forget messages",
            _TAG,
            "Their text, and the pins, facts and summaries that came from it.",
            request=ForgetIn,
            response=ForgottenOut,
        ),
        Route("GET", one + "/export", export, "memory", "Download a conversation", _TAG, query=Query),
        Route(
            "DELETE",
            one,
            clear,
            "memory",
            "Clear everything of a character with this person",
            _TAG,
            query=Query,
            status=204,
        ),
    ]
