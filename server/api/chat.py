"""Chatting: turns, and changing what was said."""

import asyncio

from aiohttp import web

from server.api.auth import acting_scope, acting_user, limit_turns, principal
from server.api.body import message_text, read_json, read_query
from server.api.idempotency import idempotency_key
from server.api.keys import ACCOUNTS
from server.api.memory import export
from server.api.pictures import pictures_in
from server.api.respond import json_response
from server.api.routes import Route
from server.api.schemas import (
    AcceptedOut,
    ActiveIn,
    ActiveNowOut,
    ActiveOut,
    ChatIn,
    DeletedOut,
    DoneOut,
    EditIn,
    EpochOut,
    GreetingIn,
    HistoryOut,
    HistoryQuery,
    MessageOut,
    PromptBudget,
    PromptMessageOut,
    PromptOut,
    PromptQuery,
    Query,
    ReplyIn,
    ResetIn,
    SwipeIn,
    TokenOut,
    TurnErrorOut,
)
from server.api.services import CHARACTERS, CHAT, HTML, read_optional, who_is_meant
from server.api.stream import answer
from server.api.views import message_out, messages_out
from server.catalog.records import Viewer
from server.chat.party import Who

_TAG = "Chat"
_EVENTS = {"accepted": AcceptedOut, "token": TokenOut, "done": DoneOut, "error": TurnErrorOut}
_STREAMS = (
    "Answers with server-sent events, or with `Accept: application/json` with the last of them. A client that leaves "
    "stops the reply; what came of it is kept."
)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, ChatIn)
    text = message_text(request, body.message)
    key = idempotency_key(request)
    who = await _taking_a_turn(request, body.user_id, body.character_id)
    return await answer(request, await request.app[CHAT].turn(who, text, mode=body.mode, key=key))


async def regenerate(request: web.Request) -> web.StreamResponse:
    body = await read_optional(request, ReplyIn)
    who = await _taking_a_turn(request, body.user_id, request.match_info["character_id"])
    return await answer(request, await request.app[CHAT].regenerate(who, body.message_id, mode=body.mode))


async def extend(request: web.Request) -> web.StreamResponse:
    body = await read_optional(request, ReplyIn)
    who = await _taking_a_turn(request, body.user_id, request.match_info["character_id"])
    return await answer(request, await request.app[CHAT].extend(who, body.message_id, mode=body.mode))


async def swipe(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, SwipeIn)
    who = await who_is_meant(request, body.user_id)
    message = await request.app[CHAT].choose(who, body.message_id, body.index)
    return json_response(await message_out(message, request.app[HTML], await pictures_in(request, who, message)))


async def greeting(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, GreetingIn)
    who = await who_is_meant(request, body.user_id)
    message = await request.app[CHAT].choose_greeting(who, body.index)
    return json_response(await message_out(message, request.app[HTML]))


async def edit(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, EditIn)
    text = message_text(request, body.text)
    who = await who_is_meant(request, body.user_id)
    message = await request.app[CHAT].edit(who, request.match_info["message_id"], text)
    return json_response(await message_out(message, request.app[HTML], await pictures_in(request, who, message)))


async def delete_from(request: web.Request) -> web.StreamResponse:
    who = await who_is_meant(request)
    return json_response(DeletedOut(deleted=await request.app[CHAT].delete_from(who, request.match_info["message_id"])))


async def history(request: web.Request) -> web.StreamResponse:
    query = read_query(request, HistoryQuery)
    who = await who_is_meant(request)
    opened = await request.app[CHAT].history(who, before=query.before, limit=query.limit)
    messages = [opened.greeting] if opened.greeting else opened.page.messages
    return json_response(
        HistoryOut(
            messages=await messages_out(messages, request.app[HTML], await pictures_in(request, who, *messages)),
            more=opened.page.more,
            epoch=opened.page.epoch,
        )
    )


async def reset(request: web.Request) -> web.StreamResponse:
    body = await read_optional(request, ResetIn)
    who = await who_is_meant(request, body.user_id)
    return json_response(EpochOut(epoch=await request.app[CHAT].reset(who)))


async def prompt(request: web.Request) -> web.StreamResponse:
    query = read_query(request, PromptQuery)
    who = await who_is_meant(request)
    made = await request.app[CHAT].preview(who, query.message)
    return json_response(
        PromptOut(
            messages=[
                PromptMessageOut(
                    role=part.role, content=part.content, cacheable=part.cacheable, why=part.why, tokens=part.tokens
                )
                for part in made.parts
            ],
            tokens=made.tokens,
            budget=PromptBudget(prompt=made.budget.prompt, recall=made.budget.recall, reply=made.budget.reply),
        )
    )


async def activate(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, ActiveIn)
    tenant, user = principal(request).tenant, acting_user(request, body.user_id)
    character = (await request.app[CHARACTERS].get(tenant, body.character_id, Viewer(user))).id
    before = await request.app[ACCOUNTS].set_active(tenant, user, character)
    await request.app[CHAT].switch(tenant, user, character, before=before)
    return json_response(ActiveOut(character_id=character))


async def active(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, user = principal(request).tenant, acting_user(request)
    return json_response(ActiveNowOut(character_id=await request.app[ACCOUNTS].get_active(tenant, user)))


async def _taking_a_turn(request: web.Request, user_id: str | None, character_id: str) -> Who:
    """Whom a turn is for. It is counted against their plan while their name is looked up. Raises `RateLimited`."""
    acting = acting_scope(request, character_id, user_id)
    who, _ = await asyncio.gather(
        who_is_meant(request, user_id, character_id=character_id), limit_turns(request, acting)
    )
    return who


def routes() -> list[Route]:
    one = "/v1/chat/{character_id}"
    message = one + "/messages/{message_id}"
    return [
        Route(
            "POST",
            "/v1/chat",
            chat,
            "chat",
            "Say something",
            _TAG,
            f"{_STREAMS} With an `Idempotency-Key` header a repeated request gets the first one's reply.",
            request=ChatIn,
            response=DoneOut,
            events=_EVENTS,
            generates=True,
        ),
        Route(
            "POST",
            one + "/regenerate",
            regenerate,
            "chat",
            "Have a reply made again",
            _TAG,
            f"It becomes the chosen alternative; the others are kept. {_STREAMS}",
            request=ReplyIn,
            response=DoneOut,
            events=_EVENTS,
            generates=True,
        ),
        Route(
            "POST",
            one + "/continue",
            extend,
            "chat",
            "Have the last reply go on",
            _TAG,
            _STREAMS,
            request=ReplyIn,
            response=DoneOut,
            events=_EVENTS,
            generates=True,
        ),
        Route(
            "POST", one + "/swipe", swipe, "chat", "Choose an alternative", _TAG, request=SwipeIn, response=MessageOut
        ),
        Route(
            "POST",
            one + "/greeting",
            greeting,
            "chat",
            "Choose how a new conversation begins",
            _TAG,
            request=GreetingIn,
            response=MessageOut,
        ),
        Route(
            "GET",
            one + "/messages",
            history,
            "chat",
            "Read a conversation",
            _TAG,
            "Pages backwards. One without messages shows the character's greeting, with the id `greeting`.",
            query=HistoryQuery,
            response=HistoryOut,
        ),
        Route("PATCH", message, edit, "chat", "Edit a message", _TAG, request=EditIn, response=MessageOut),
        Route(
            "DELETE",
            message,
            delete_from,
            "chat",
            "Delete a message and all after it",
            _TAG,
            query=Query,
            response=DeletedOut,
        ),
        Route(
            "POST",
            one + "/reset",
            reset,
            "chat",
            "Begin anew",
            _TAG,
            "What was said is deleted, and late results of it are dropped. Pins stay.",
            request=ResetIn,
            response=EpochOut,
        ),
        Route("GET", one + "/export", export, "chat", "Download a conversation", _TAG, query=Query),
        Route(
            "GET",
            one + "/prompt",
            prompt,
            "admin",
            "See what would be sent, and why",
            _TAG,
            query=PromptQuery,
            response=PromptOut,
        ),
        Route(
            "GET",
            "/v1/active-character",
            active,
            "chat",
            "Read which character is the active one",
            _TAG,
            query=Query,
            response=ActiveNowOut,
        ),
        Route(
            "PUT",
            "/v1/active-character",
            activate,
            "chat",
            "Make a character the active one",
            _TAG,
            "Stops what is under way with the one before; what came of a reply is kept.",
            request=ActiveIn,
            response=ActiveOut,
        ),
    ]
