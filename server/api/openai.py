"""The part of OpenAI's API that chat clients speak: each character is a model, and remembers. See docs/clients.md."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web

from server.api.auth import Acting, acting_user, limit_turns, principal
from server.api.body import read_json, read_query
from server.api.events import EventStream, event_stream
from server.api.idempotency import idempotency_key
from server.api.keys import SETTINGS
from server.api.openai_wire import (
    FINISHES,
    Choice,
    ChunkChoice,
    ChunkOut,
    CompletionIn,
    CompletionOut,
    ModelOut,
    ModelsOut,
    ReplyMessage,
    UsageOut,
    error_body,
)
from server.api.presence import while_there
from server.api.respond import json_bytes, json_response
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import ASIDE, CHARACTERS, CHAT, RECONCILER, who_is_meant
from server.catalog.records import CharacterRecord, Viewer
from server.chat.aside import Aside
from server.chat.events import Done, Failed, TokenEvent
from server.chat.frontend import Frontend
from server.chat.live import Follower
from server.chat.party import Party, Who
from server.chat.reconcile.answering import Call
from server.chat.reconcile.sent import Line, Sent, read_sent
from server.chat.reconcile.tasks import is_task
from server.chat.replies import idempotency
from server.errors import Forbidden, InvalidId, InvalidRequest, ModelRefused, NotFound, VestigeError
from server.ids import check_slug, new_id
from server.memory.messages import Alternative, Role
from server.memory.tokens import estimate_tokens
from server.routing.types import PromptMessage, Token

_TAG = "OpenAI-compatible"
_MEMORY = "X-Vestige-Memory"
_RETRIES = "X-Stainless-Retry-Count"  # what OpenAI's own libraries send


@dataclass(frozen=True, slots=True)
class _End:
    """How a reply ended."""

    finish: str
    prompt_tokens: int
    completion_tokens: int

    def usage(self) -> UsageOut:
        total = self.prompt_tokens + self.completion_tokens
        return UsageOut(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens, total_tokens=total)


_Pieces = AsyncGenerator[str | _End, None]


async def completions(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, CompletionIn, limit=request.app[SETTINGS].body_bytes)
    _check(body)
    who = await _who(request, body)
    party = await request.app[CHAT].party(who, body.mode)
    sent = _sent(request, body, party)
    key, remembered = idempotency_key(request), _remembered(request)
    await limit_turns(request, Acting(who.scope, who.tier))
    async with while_there(request):
        pieces = await _reply(request, body, party, sent, key) if remembered and not is_task(sent) else None
        if pieces is None:
            pieces = _aside(request.app[ASIDE], body, who)
        async with aclosing(pieces):
            return await (_as_events if body.stream else _as_json)(request, body, pieces)


async def models(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, viewer = _viewer(request)
    records = await request.app[CHARACTERS].list(tenant, viewer)
    return json_response(ModelsOut(data=[_model(record) for record in records if record.damaged is None]))


async def model(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, viewer = _viewer(request)
    return json_response(_model(await request.app[CHARACTERS].get(tenant, request.match_info["character_id"], viewer)))


def _check(body: CompletionIn) -> None:
    """Raises:
    InvalidRequest: it asks for what a character does not do, and would be misled by a plain reply.
    """
    if body.n not in (None, 1):
        raise InvalidRequest("One reply is made at a time: send the same request again for another.", field="n")
    if isinstance(body.tool_choice, dict) or body.tool_choice == "required":
        raise InvalidRequest("Characters call no tools: leave tool_choice out.", field="tool_choice")
    kind = body.response_format.get("type") if isinstance(body.response_format, dict) else None
    if kind not in (None, "text"):
        raise InvalidRequest("Characters answer in plain text: leave response_format out.", field="response_format")
    if any(one.role in ("tool", "function") for one in body.messages):
        raise InvalidRequest("Characters call no tools, so there are no results of tools.", field="messages")


async def _who(request: web.Request, body: CompletionIn) -> Who:
    """Whose conversation it is. `user`, where a client sends it, must be whom the credential may act for."""
    asking = principal(request)
    if body.user is not None and asking.user not in (None, body.user) and not asking.is_admin:
        raise Forbidden("This credential may only act for its own user.", field="user")
    if body.user is None and asking.user is None and "user_id" not in request.query:
        raise InvalidRequest(
            "This API key is not bound to a user: name one in 'user'.", field="user", reason="user_needed"
        )
    try:
        check_slug(body.model, "model")
    except InvalidId:
        raise NotFound("There is no such model: GET /v1/models lists the characters.", field="model") from None
    return await who_is_meant(request, body.user, character_id=body.model)


def _sent(request: web.Request, body: CompletionIn, party: Party) -> Sent:
    names = [(Role.USER, party.who.user_name), (Role.ASSISTANT, party.card.char), (Role.ASSISTANT, party.card.name)]
    lines = [Line("system" if one.role == "developer" else one.role, one.plain(), one.name) for one in body.messages]
    return read_sent(lines, names=names, limit=request.app[SETTINGS].message_bytes)


def _remembered(request: web.Request) -> bool:
    said = request.headers.get(_MEMORY, "on").strip().lower()
    if said not in ("on", "off"):
        raise InvalidRequest(f"{_MEMORY} is 'on' or 'off'.", field=_MEMORY)
    return said == "on"


async def _reply(request: web.Request, body: CompletionIn, party: Party, sent: Sent, key: str | None) -> _Pieces | None:
    """The character's reply, remembered; None where the request has no place in what is stored."""
    frontend = Frontend(sent.before, sent.after, _most(body), body.temperature)
    claim = None
    if key is not None:
        claim = idempotency(key, [body.model, body.mode, *(f"{one.role}:{one.text}" for one in sent.said)])
    retry = request.headers.get(_RETRIES, "0") not in ("", "0")
    follower = await request.app[RECONCILER].answer(party, Call(sent, frontend, body.mode, claim, retry))
    return None if follower is None else _followed(follower)


async def _followed(follower: Follower) -> _Pieces:
    try:
        async for event in follower:
            match event:
                case TokenEvent(text):
                    yield text
                case Failed(error, reply=reply):
                    if not isinstance(error, ModelRefused) or reply is None or not reply.text:
                        raise error
                    yield _End("content_filter", 0, reply.said.completion_tokens or 0)
                case Done() as done:
                    said = done.reply.said
                    if said.notice is not None and said.notice.text:
                        yield f"\n\n{said.notice.text}"  # for a person who may be in danger: clients show nothing else
                    yield _End(_finish(said, done.finish), done.prompt_tokens, done.completion_tokens)
    finally:
        follower.leave()


async def _aside(aside: Aside, body: CompletionIn, who: Who) -> _Pieces:
    """A reply to the messages as they are, which nobody remembers."""
    asked = [
        PromptMessage("system" if one.role == "developer" else one.role, one.plain())  # type: ignore[arg-type]
        for one in body.messages
        if one.plain().strip()
    ]
    said: list[str] = []
    stream = aside.answer(who, asked, mode=body.mode, max_tokens=_most(body), temperature=body.temperature)
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Token):
                said.append(event.text)
                yield event.text
                continue
            if event.usage is not None:
                counts = event.usage.prompt_tokens, event.usage.completion_tokens
            else:
                counts = sum(estimate_tokens(one.content) for one in asked), estimate_tokens("".join(said))
            yield _End(event.reason if event.reason in FINISHES else "stop", *counts)


async def _as_json(request: web.Request, body: CompletionIn, pieces: _Pieces) -> web.StreamResponse:
    said: list[str] = []
    end = _End("stop", 0, 0)
    async for piece in pieces:
        if isinstance(piece, str):
            said.append(piece)
        else:
            end = piece
    choice = Choice(message=ReplyMessage(content="".join(said)), finish_reason=end.finish)
    id, created = new_id("chatcmpl"), int(time.time())
    return json_response(CompletionOut(id=id, created=created, model=body.model, choices=[choice], usage=end.usage()))


async def _as_events(request: web.Request, body: CompletionIn, pieces: _Pieces) -> web.StreamResponse:
    """Chunks as they come. What fails before the first of them has its own status."""
    first = await anext(pieces)
    async with event_stream(request) as out:
        try:
            await _send(out, body, first, pieces)
        except VestigeError as error:
            await out.data(json_bytes(error_body(error)))
        await out.data(b"[DONE]")
    return out.response


async def _send(out: EventStream, body: CompletionIn, first: str | _End, pieces: _Pieces) -> None:
    id, created = new_id("chatcmpl"), int(time.time())
    with_usage = bool(body.stream_options and body.stream_options.include_usage)

    async def chunk(*choices: ChunkChoice, usage: UsageOut | None = None) -> None:
        made = ChunkOut(id=id, created=created, model=body.model, choices=choices, usage=usage)
        await out.data(json_bytes(made if with_usage else made.model_dump(exclude={"usage"})))

    await chunk(ChunkChoice(delta={"role": "assistant", "content": ""}))
    piece = first
    while isinstance(piece, str):
        await chunk(ChunkChoice(delta={"content": piece}))
        piece = await anext(pieces)
    await chunk(ChunkChoice(delta={}, finish_reason=piece.finish))
    if with_usage:
        await chunk(usage=piece.usage())


def _most(body: CompletionIn) -> int | None:
    given = [most for most in (body.max_tokens, body.max_completion_tokens) if most is not None]
    return min(given, default=None)


def _finish(said: Alternative, reason: str) -> str:
    if said.notice is not None and said.notice.kind == "declined":
        return "content_filter"
    return reason if reason in FINISHES else "stop"


def _viewer(request: web.Request) -> tuple[str, Viewer]:
    """The tenant, and whose characters are listed. A key that belongs to nobody and names no one sees shared ones."""
    who = principal(request)
    if who.user is None and "user_id" not in request.query:
        return who.tenant, Viewer(None)
    return who.tenant, Viewer(acting_user(request))


def _model(record: CharacterRecord) -> ModelOut:
    return ModelOut(id=record.id, created=int(record.created.timestamp()), name=record.card.name)


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/chat/completions",
            completions,
            "chat",
            "Talk with a character as OpenAI's clients do",
            _TAG,
            "The client's own history is made out against what is stored, by content (docs/clients.md). With an "
            "`Idempotency-Key` header a repeated request gets the first one's reply; with `X-Vestige-Memory: off` the "
            "messages are answered alone and nothing is stored.",
            request=CompletionIn,
            response=CompletionOut,
            events={"data": ChunkOut},
            errors=error_body,
            generates=True,
        ),
        Route(
            "GET",
            "/v1/models",
            models,
            "chat",
            "List characters as models",
            _TAG,
            query=Query,
            response=ModelsOut,
            errors=error_body,
        ),
        Route(
            "GET",
            "/v1/models/{character_id}",
            model,
            "chat",
            "Read a character as a model",
            _TAG,
            query=Query,
            response=ModelOut,
            errors=error_body,
        ),
    ]
