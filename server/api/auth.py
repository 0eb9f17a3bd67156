"""Who is asking: the credential of a request, and whom it acts for. The rules are DESIGN's "Who may do what"."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from server.accounts.limits import Counted, Quota, requests_from, turns
from server.accounts.principal import Principal
from server.api.clients import client_address, is_loopback
from server.api.hosts import came_by_https, has_own_origin, host_port
from server.api.keys import ACCOUNTS, METRICS, PRINCIPAL, SETTINGS, STALE_COOKIE, STANDINGS
from server.errors import Forbidden, GenerationDisabled, InvalidRequest, StoreUnavailable, Unauthenticated
from server.ids import Scope

__all__ = [
    "Acting",
    "acting_scope",
    "acting_user",
    "authenticate",
    "before_generating",
    "limit_turns",
    "principal",
    "require",
]

SAFE_METHODS = frozenset({"GET", "HEAD"})
_COOKIE = "vestige_session"
_MISSING = "This needs a credential: open a sign-in link, or send an API key or token as 'Authorization: Bearer …'."
_MALFORMED = "The Authorization header must be 'Bearer' and one API key."


@dataclass(frozen=True, slots=True)
class Acting:
    """The conversation a request is about, and the plan it runs on."""

    scope: Scope
    tier: str


async def authenticate(request: web.Request) -> Principal:
    """The request's credential, checked: the Authorization header where there is one, else the session cookie.

    The request is counted against the limits of its API key and, where it is not this machine's own, of its address.

    Raises:
        Unauthenticated: there is none, or it is wrong, expired or revoked.
        RateLimited: too many wrong ones came from this address; or the key's or the address' requests of this minute
            are used up.
        Forbidden: a cookie with an unsafe method, not sent by our own page.
    """
    if "Authorization" not in request.headers and not request.cookies.get(cookie_name(request)):
        raise Unauthenticated(_MISSING)
    try:
        who, counted = await _recognised(request)
    except Unauthenticated:
        request.app[METRICS].refused_credential()
        raise
    request[PRINCIPAL] = who
    _note(request, counted)
    return who


async def _recognised(request: web.Request) -> tuple[Principal, Counted]:
    accounts, remote = request.app[ACCOUNTS], client_address(request)
    quotas: list[Quota] = []
    if not is_loopback(remote):
        quotas.append(requests_from(remote, request.app[SETTINGS].address_requests_per_minute))
    if headers := request.headers.getall("Authorization", []):
        scheme, _, token = headers[0].partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer":
            raise Unauthenticated(_MALFORMED)
        return await accounts.by_bearer(token.strip(), remote=remote, quotas=quotas)
    request[STALE_COOKIE] = True
    who = await accounts.by_session(request.cookies[cookie_name(request)], remote=remote)
    request[STALE_COOKIE] = False
    if request.method not in SAFE_METHODS and not has_own_origin(request):
        raise Forbidden("A signed-in page may only be used from its own origin.", reason="origin")
    return who, await accounts.count(*quotas)


def principal(request: web.Request) -> Principal:
    """Who is asking, on a route that is not open."""
    return request[PRINCIPAL]


def require(request: web.Request, scope: str) -> Principal:
    """Who is asking, if they have `scope` beside the one the route takes.

    Raises:
        Forbidden: they have not.
    """
    who = principal(request)
    who.need(scope)
    return who


def acting_user(request: web.Request, user_id: str | None = None) -> str:
    """The user a request is about: `user_id` (from its body) or `?user_id=`, else the credential's own.

    Raises:
        InvalidRequest: body and query name different users, or an unbound API key names none.
        InvalidId: the name cannot be an id.
        Forbidden: somebody else, without a scope for it.
    """
    named = request.query.getall("user_id", [])
    names = {*named, *([] if user_id is None else [user_id])}
    if len(names) > 1:
        raise InvalidRequest("The request names more than one user_id.", field="user_id")
    return principal(request).acts_for(names.pop() if names else None)


def acting_scope(request: web.Request, character_id: str, user_id: str | None = None) -> Acting:
    """The conversation of `character_id` with the user the request is about.

    Raises:
        InvalidId: `character_id` cannot be an id; and all that `acting_user` raises.
    """
    who = principal(request)
    return Acting(Scope(who.tenant, acting_user(request, user_id), character_id), who.tier)


@contextmanager
def before_generating() -> Iterator[None]:
    """Around what must be known before a model may be asked: who it is for, and whether they may ask again.

    Raises:
        GenerationDisabled: the store that knows does not answer. It is the one that holds the ledger.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise GenerationDisabled(f"Nothing is generated now. {error.message}", **error.details) from error


async def limit_turns(request: web.Request, acting: Acting) -> None:
    """Counts one turn against the plan of the user it is for.

    Raises:
        RateLimited: the plan's turns per minute are used up; details.retry_after in seconds.
        GenerationDisabled: they cannot be counted.
    """
    plan = request.app[SETTINGS].plan(acting.tier)
    quota = turns(acting.scope.tenant, acting.scope.user, plan.turns_per_minute)
    with before_generating():
        counted = await request.app[ACCOUNTS].count(quota)
    _note(request, counted)


def _note(request: web.Request, counted: Counted) -> None:
    """Keeps what is left, for the answer's headers. Raises `RateLimited` where nothing is."""
    request[STANDINGS] = [*request.get(STANDINGS, ()), *counted.standings]
    if counted.refusal is not None:
        raise counted.refusal


def cookie_name(request: web.Request) -> str:
    """The session cookie's name, with the port people reach us by.

    Cookies do not know ports: without it two servers on one machine would sign each other's people out.
    """
    port = host_port(request)
    return _COOKIE if port is None else f"{_COOKIE}_{port}"


def set_cookie(request: web.Request, response: web.StreamResponse, session: str) -> None:
    """Hands the session to the browser: for our own pages only, and not for scripts."""
    response.set_cookie(
        cookie_name(request),
        session,
        max_age=request.app[SETTINGS].session_days * 86_400,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=came_by_https(request),
    )


def drop_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Takes the session cookie away from the browser."""
    response.del_cookie(cookie_name(request), path="/", httponly=True, samesite="Strict", secure=came_by_https(request))
