"""`POST /v1/complete`: one reply to given messages, by the routing policy. Nothing is remembered."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.api.auth import Acting, acting_user, limit_turns, principal
from server.api.body import read_json
from server.api.events import EventStream, event_stream
from server.api.keys import MODEL, SETTINGS
from server.api.presence import while_there
from server.api.respond import json_bytes, json_response
from server.api.routes import Route
from server.api.schemas import Body, Mode, NoticeOut, TokenOut, Upsell
from server.api.services import GATE
from server.chat.aside import intent_of_messages
from server.errors import Forbidden, InvalidRequest, TooLarge, VestigeError
from server.ids import Scope
from server.memory.tokens import weigh
from server.policy.gate import Asker, Decision
from server.routing.types import AttemptOutcome, Finished, ModelRequest, Payer, PromptMessage, Token
from server.settings import Plan, Settings
from server.text import clean_text

_TAG = "Routing"
_NO_CHARACTER = "complete"
_ADMINS = ("primary", "chain", "tier")
BYTES_PER_TOKEN = 24  # four characters, each of which may be escaped in six
_ModelName = Annotated[str, Field(min_length=1, max_length=200)]


class MessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class CompleteIn(Body):
    """`primary` and `chain` name models, by name in the routing file or by id; they and `tier` are an admin's."""

    messages: list[MessageIn] = Field(min_length=1, max_length=1_000)
    mode: Mode | None = None
    primary: _ModelName | None = None
    chain: list[_ModelName] | None = Field(None, min_length=1, max_length=8)
    tier: str | None = None


class AttemptOut(BaseModel):
    """A model of the chain and how it went. `status` is the HTTP status where it was one; times in milliseconds."""

    rung: int
    model: str
    provider: str
    outcome: AttemptOutcome
    status: int | None
    first_token_ms: int | None
    total_ms: int | None


class CompleteOut(BaseModel):
    """The reply. `attempt`: the number of the rung that gave it, 1 being the primary; `model`: as its server says.

    A reply of the content policy's own, `finish_reason` `declined` or `safety`, has no model, and `attempt` is 0.
    """

    content: str
    model: str | None
    attempt: int
    used_fallback: bool
    attempts: list[AttemptOut]
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    notice: NoticeOut | None = None
    upsell: Upsell | None = None


class CompleteError(BaseModel):
    """How it failed after the stream had begun."""

    error: dict[str, object]


async def complete(request: web.Request) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    body = await read_json(request, CompleteIn, limit=_body_bytes(settings))
    who = principal(request)
    _check_rights(body, admin=who.is_admin)
    if body.tier is not None and body.tier not in settings.plans:
        raise InvalidRequest(f"There is no such tier: there is {', '.join(settings.plans)}.", field="tier")
    user, tier = acting_user(request, body.user_id), body.tier or who.tier
    plan = settings.plan(tier)
    asked = ModelRequest(
        _messages(body.messages, plan, settings.body_bytes),
        tier=tier,
        mode=body.mode,
        max_tokens=plan.reply_tokens,
        session=hashlib.sha256(f"complete {who.tenant} {user}".encode()).hexdigest()[:32],
        payer=Payer(who.tenant, user, who.tier),
        primary=body.primary,
        chain=tuple(body.chain or ()),
    )
    await limit_turns(request, Acting(Scope(who.tenant, user, _NO_CHARACTER), who.tier))
    async with while_there(request):
        decision = await request.app[GATE].judge(
            intent_of_messages(asked.messages), Asker(tier, body.mode, "", who.name)
        )
        if _wants_events(request):
            return await _as_events(request, asked, decision)
        if not decision.generate:
            return json_response(_spoken(decision))
        text, finished = await request.app[MODEL].complete(asked)
    return json_response(_out(text, finished, decision))


async def _as_events(request: web.Request, asked: ModelRequest, decision: Decision) -> web.StreamResponse:
    """Tokens as they come. What fails before the first of them has its own status."""
    source = request.app[MODEL].stream(asked) if decision.generate else _said(decision)
    async with aclosing(source) as events:
        first = await anext(events)
        async with event_stream(request) as out:
            try:
                await _send_all(out, first, events, decision)
            except VestigeError as error:
                await out.send("error", json_bytes(CompleteError(**error.payload())))
    return out.response


async def _send_all(
    out: EventStream,
    first: Token | Finished,
    events: AsyncGenerator[Token | Finished, None],
    decision: Decision,
) -> None:
    parts: list[str] = []
    event = first
    while isinstance(event, Token):
        parts.append(event.text)
        await out.send("token", json_bytes({"text": event.text}))
        event = await anext(events)
    whole = _out("".join(parts), event, decision) if decision.generate else _spoken(decision)
    await out.send("done", json_bytes(whole))


async def _said(decision: Decision) -> AsyncGenerator[Token | Finished, None]:
    """The policy's own words, as a model's would come."""
    yield Token(decision.text)
    yield Finished("", decision.kind or "", None)


def _spoken(decision: Decision) -> CompleteOut:
    return CompleteOut(
        content=decision.text,
        model=None,
        attempt=0,
        used_fallback=False,
        attempts=[],
        finish_reason=decision.kind or "",
        prompt_tokens=None,
        completion_tokens=None,
        notice=None if decision.kind is None else NoticeOut(kind=decision.kind),
        upsell=Upsell(level=decision.level, plan=decision.plan) if decision.level and decision.plan else None,
    )


def _body_bytes(settings: Settings) -> int:
    """Room for the largest plan's prompt and for the longest message, however they are escaped."""
    largest = max(plan.context_tokens for plan in settings.plans.values())
    return min(settings.body_bytes, 16_384 + max(BYTES_PER_TOKEN * largest, 6 * settings.message_bytes))


def _check_rights(body: CompleteIn, *, admin: bool) -> None:
    """Raises:
    Forbidden: somebody else than an admin chooses models or the tier.
    """
    for field in _ADMINS:
        if getattr(body, field) is not None and not admin:
            raise Forbidden(
                f"Only an admin may set '{field}': which model answers is the server's to say.", field=field
            )


def _messages(messages: list[MessageIn], plan: Plan, limit: int) -> list[PromptMessage]:
    """The messages, cleaned.

    Raises:
        InvalidRequest: one is empty or no text; none is a user's.
        TooLarge: together they are more than the plan's prompt.
    """
    made = [PromptMessage(one.role, clean_text(one.content, limit=limit, what="messages")) for one in messages]
    if not any(one.role == "user" for one in made):
        raise InvalidRequest("One of the messages must be the user's.", field="messages")
    room = plan.context_tokens - plan.reply_tokens
    tokens = round(sum(weigh(one.content) for one in made))
    if tokens > room:
        raise TooLarge(
            f"The messages are too long: about {tokens:,} tokens, and the plan has room for {room:,}.",
            field="messages",
            limit=room,
        )
    return made


def _wants_events(request: web.Request) -> bool:
    """Whether the client asks for events. One JSON answer is the default."""
    return "text/event-stream" in request.headers.get("Accept", "").lower()


def _out(text: str, finished: Finished, decision: Decision) -> CompleteOut:
    attempts = [
        AttemptOut(
            rung=tried.rung,
            model=tried.model,
            provider=tried.provider,
            outcome=tried.outcome,
            status=tried.status,
            first_token_ms=tried.first_token_ms,
            total_ms=tried.total_ms,
        )
        for tried in finished.attempts
    ]
    usage = finished.usage
    return CompleteOut(
        content=text,
        model=finished.model,
        attempt=finished.attempt,
        used_fallback=finished.used_fallback,
        attempts=attempts,
        finish_reason=finished.reason,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        notice=None if decision.kind is None else NoticeOut(kind=decision.kind, text=decision.text),
    )


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/complete",
            complete,
            "chat",
            "Have messages answered by the routing policy",
            _TAG,
            "Nothing is remembered. Answers with JSON, or with `Accept: text/event-stream` with server-sent events. "
            "A client that leaves stops the reply. `primary`, `chain` and `tier` are 403 for anybody but an admin.",
            request=CompleteIn,
            response=CompleteOut,
            events={"token": TokenOut, "done": CompleteOut, "error": CompleteError},
            generates=True,
        )
    ]
