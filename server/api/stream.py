"""A turn as a client gets it: server-sent events, or one JSON answer."""

from aiohttp import web
from aiohttp_sse import EventSourceResponse
from pydantic import BaseModel

from server.api.picture_views import Pictures
from server.api.respond import json_bytes, json_response
from server.api.schemas import TokenOut
from server.api.services import CHAT_PICTURES, HTML
from server.api.views import accepted_out, done_out, failed_out
from server.chat.events import Accepted, Done, Event, Failed, TokenEvent
from server.chat.live import Follower
from server.ids import Scope
from server.memory.messages import Message
from server.render.previews.types import Person

PING_SECONDS = 15
WATCH_SECONDS = 0.5
"""How often it is looked whether the client is still there while nothing is sent."""
SEND_SECONDS = 60.0
"""A client that takes nothing for so long has gone."""


def wants_json(request: web.Request) -> bool:
    """Whether the client asks for one JSON answer. Events are the default, also for `*/*`."""
    accept = request.headers.get("Accept", "").lower()
    return "application/json" in accept and "text/event-stream" not in accept


async def answer(request: web.Request, follower: Follower) -> web.StreamResponse:
    """Follows a turn to its end, or until the client leaves: then the turn is told.

    Raises:
        VestigeError: how the turn failed, for a client that asked for JSON; details.message_id is the message kept.
    """
    try:
        return await (_as_json(request, follower) if wants_json(request) else _as_events(request, follower))
    finally:
        follower.leave()


async def _as_json(request: web.Request, follower: Follower) -> web.StreamResponse:
    while True:
        match await follower.next(WATCH_SECONDS):
            case Done() as done:
                pictures = await _pictures(request, follower.scope, done.reply)
                return json_response(await done_out(done, request.app[HTML], pictures))
            case Failed() as failed:
                out = await failed_out(failed, request.app[HTML])
                return json_response({"error": out.error}, status=failed.error.status)
            case None if _gone(request):
                raise ConnectionResetError("the client left")


async def _as_events(request: web.Request, follower: Follower) -> web.StreamResponse:
    response = EventSourceResponse(
        sep="\n", allow_all_methods=True, ping_interval=PING_SECONDS, send_timeout=SEND_SECONDS
    )
    await response.prepare(request)
    async with response:
        while True:
            event = await follower.next(WATCH_SECONDS)
            if event is not None:
                name, data = await _event(request, follower.scope, event)
                try:
                    await response.send(json_bytes(data).decode(), event=name)
                except TimeoutError:
                    raise ConnectionResetError("the client takes nothing any more") from None
                if isinstance(event, Done | Failed):
                    return response
            elif _gone(request):
                raise ConnectionResetError("the client left")


async def _event(request: web.Request, scope: Scope, event: Event) -> tuple[str, BaseModel]:
    html = request.app[HTML]
    match event:
        case Accepted():
            return "accepted", await accepted_out(event, html)
        case TokenEvent(text):
            return "token", TokenOut(text=text)
        case Done():
            return "done", await done_out(event, html, await _pictures(request, scope, event.reply))
        case Failed():
            return "error", await failed_out(event, html, await _pictures(request, scope, event.reply))


async def _pictures(request: web.Request, scope: Scope, reply: Message | None) -> Pictures:
    """How the pictures among a reply's alternatives stand; most replies have none."""
    if reply is None or all(one.picture is None for one in reply.alternatives):
        return {}
    return await request.app[CHAT_PICTURES].states(Person(scope.tenant, scope.user, "", ""), [reply])


def _gone(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()
