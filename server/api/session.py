"""Signing in and out, and who one is."""

from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server import __version__
from server.accounts.principal import Principal
from server.api.auth import cookie_name, drop_cookie, has_own_origin, principal, set_cookie
from server.api.body import read_json
from server.api.clients import client_address
from server.api.keys import ACCOUNTS, MODEL, SETTINGS
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.errors import Forbidden
from server.routing.types import ModelInfo

_TAG = "Session"


class SignIn(BaseModel):
    """The token of a sign-in link."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=512)


class Person(BaseModel):
    id: str
    name: str


class Model(BaseModel):
    """The language model that answers. `banner`: what people should know about it, if anything."""

    name: str
    provider: str
    bundled: bool
    banner: str | None


class MessageLimits(BaseModel):
    message_bytes: int = Field(description="The longest message, in bytes of UTF-8.")


class Me(BaseModel):
    """Who is asking. `user` is null for an API key that is not bound to one."""

    user: Person | None
    tenant: str
    role: Literal["owner", "admin", "member", "service"]
    scopes: list[str]
    tier: str
    active_character: str | None
    model: Model
    limits: MessageLimits
    disclose_ai: bool = Field(description="Whether a client should say that characters are an AI.")
    version: str


async def sign_in(request: web.Request) -> web.StreamResponse:
    token = (await read_json(request, SignIn, limit=4_096)).token
    accounts = request.app[ACCOUNTS]
    session, who = await accounts.sign_in(token, remote=client_address(request))
    former = request.cookies.get(cookie_name(request))
    if former:
        await accounts.sign_out(former)
    response = json_response(await _me(request, who))
    set_cookie(request, response, session)
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    session = request.cookies.get(cookie_name(request))
    response = no_content()
    if session:
        if not has_own_origin(request):
            raise Forbidden("A signed-in page may only be used from its own origin.", reason="origin")
        await request.app[ACCOUNTS].sign_out(session)
        drop_cookie(request, response)
    return response


async def me(request: web.Request) -> web.StreamResponse:
    who = principal(request)
    response = json_response(await _me(request, who))
    session = request.cookies.get(cookie_name(request))
    if who.kind == "session" and session:
        # each use puts the session's end off; the browser's copy must live as long
        set_cookie(request, response, session)
    return response


async def _me(request: web.Request, who: Principal) -> Me:
    app = request.app
    active = None if who.user is None else await app[ACCOUNTS].get_active(who.tenant, who.user)
    return Me(
        user=None if who.user is None else Person(id=who.user, name=who.name),
        tenant=who.tenant,
        role=who.role,
        scopes=sorted(who.scopes),
        tier=who.tier,
        active_character=active,
        model=_model(app[MODEL].info),
        limits=MessageLimits(message_bytes=app[SETTINGS].message_bytes),
        disclose_ai=app[SETTINGS].disclose_ai,
        version=__version__,
    )


def _model(info: ModelInfo) -> Model:
    return Model(name=info.name, provider=info.provider, bundled=info.bundled, banner=info.banner)


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/session",
            sign_in,
            "open",
            "Sign in",
            _TAG,
            "Exchanges the token of a sign-in link for a session cookie. A token works once.",
            request=SignIn,
            response=Me,
        ),
        Route("DELETE", "/v1/session", sign_out, "open", "Sign out", _TAG, status=204),
        Route("GET", "/v1/me", me, "any", "Who one is, and what answers", _TAG, response=Me),
    ]
