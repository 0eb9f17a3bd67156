"""Users and API keys, for those with the scope `admin`; each within their own tenant."""

from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.accounts.apikeys import ApiKey
from server.accounts.principal import Principal
from server.accounts.users import User
from server.api.auth import principal
from server.api.body import read_json
from server.api.erased import Erased, HostLeft
from server.api.hosts import came_by_https
from server.api.keys import ACCOUNTS, ERASE, SETTINGS
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.errors import Forbidden

_TAG = "Administration"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserDraft(_Body):
    name: str
    tier: str | None = None
    role: Literal["admin", "member"] = "member"


class UserChange(_Body):
    name: str | None = None
    tier: str | None = None
    role: Literal["owner", "admin", "member"] | None = None


class UserRecord(BaseModel):
    id: str
    name: str
    role: Literal["owner", "admin", "member", "service"]
    tier: str
    created: datetime
    last_seen: datetime | None


class UserList(BaseModel):
    users: list[UserRecord]


class Link(BaseModel):
    """An address that signs its user in: once, within seven days. It is shown here and never again."""

    link: str


class NewUser(Link):
    user: UserRecord


class KeyDraft(_Body):
    """`user_id` binds the key to one user; without it every request names a user. `tenant` is the owner's to choose."""

    name: str
    scopes: list[Literal["chat", "memory", "characters", "catalog", "recall", "remember", "admin"]] = Field(
        min_length=1, max_length=8
    )
    tier: str | None = None
    user_id: str | None = None
    tenant: str | None = None


class KeyRecord(BaseModel):
    id: str
    name: str
    scopes: list[str]
    tier: str | None
    user_id: str | None
    tenant: str
    created: datetime
    last_used: datetime | None
    prefix: str


class KeyList(BaseModel):
    keys: list[KeyRecord]


class NewKey(BaseModel):
    """`secret` is the whole key. It is shown here and never again."""

    key: KeyRecord
    secret: str


async def list_users(request: web.Request) -> web.StreamResponse:
    users = await request.app[ACCOUNTS].users(principal(request).tenant)
    return json_response(UserList(users=[_user(user) for user in users]))


async def add_user(request: web.Request) -> web.StreamResponse:
    draft, who, accounts = await read_json(request, UserDraft), principal(request), request.app[ACCOUNTS]
    user = await accounts.add_user(who.tenant, draft.name, role=draft.role, tier=draft.tier)
    token = await accounts.new_link(who.tenant, user.id, by=who)
    return json_response(NewUser(user=_user(user), link=_link(request, token)), status=201)


async def new_link(request: web.Request) -> web.StreamResponse:
    who = principal(request)
    token = await request.app[ACCOUNTS].new_link(who.tenant, request.match_info["user_id"], by=who)
    return json_response(Link(link=_link(request, token)))


async def change_user(request: web.Request) -> web.StreamResponse:
    change, who = await read_json(request, UserChange), principal(request)
    user = await request.app[ACCOUNTS].change_user(
        who.tenant,
        request.match_info["user_id"],
        by=who,
        name=change.name,
        tier=change.tier,
        role=change.role,
    )
    return json_response(_user(user))


async def delete_user(request: web.Request) -> web.StreamResponse:
    who, user, accounts = principal(request), request.match_info["user_id"], request.app[ACCOUNTS]
    await accounts.user(who.tenant, user)
    # what is theirs goes first: should that fail, the record is still there to try again with
    await accounts.lock_out(who.tenant, user)
    erased = await request.app[ERASE](who.tenant, user)
    await accounts.delete_user(who.tenant, user)
    return json_response(Erased(deleted=dict(erased.counts), hosts=HostLeft.of(erased.hosts)))


async def list_keys(request: web.Request) -> web.StreamResponse:
    keys = await request.app[ACCOUNTS].keys(_tenants(principal(request)))
    return json_response(KeyList(keys=[_key(key) for key in keys]))


async def create_key(request: web.Request) -> web.StreamResponse:
    draft, who = await read_json(request, KeyDraft), principal(request)
    tenant = who.tenant if draft.tenant is None else draft.tenant
    if tenant != who.tenant and who.role != "owner":
        raise Forbidden("Only the owner may make keys for another tenant.", field="tenant")
    made, secret = await request.app[ACCOUNTS].create_key(
        tenant, draft.name, draft.scopes, tier=draft.tier, user_id=draft.user_id
    )
    return json_response(NewKey(key=_key(made), secret=secret), status=201)


async def revoke_key(request: web.Request) -> web.StreamResponse:
    await request.app[ACCOUNTS].revoke_key(request.match_info["key_id"], tenant=_tenants(principal(request)))
    return no_content()


def _tenants(who: Principal) -> str | None:
    """Whose keys they see: the owner everyone's."""
    return None if who.role == "owner" else who.tenant


def _link(request: web.Request, token: str) -> str:
    public = request.app[SETTINGS].public_url
    base = (
        public.rstrip("/") if public else f"{'https' if came_by_https(request) else 'http'}://{request.headers['Host']}"
    )
    return f"{base}/?token={token}"


def _user(user: User) -> UserRecord:
    return UserRecord(
        id=user.id, name=user.name, role=user.role, tier=user.tier, created=user.created, last_seen=user.last_seen
    )


def _key(key: ApiKey) -> KeyRecord:
    return KeyRecord(
        id=key.id,
        name=key.name,
        scopes=sorted(key.scopes),
        tier=key.tier,
        user_id=key.user_id,
        tenant=key.tenant,
        created=key.created,
        last_used=key.last_used,
        prefix=key.prefix,
    )


def routes() -> list[Route]:
    users, keys = "/v1/admin/users", "/v1/admin/keys"
    one = users + "/{user_id}"
    return [
        Route("GET", users, list_users, "admin", "List users", _TAG, response=UserList),
        Route(
            "POST",
            users,
            add_user,
            "admin",
            "Add a user",
            _TAG,
            "Answers with the user's first sign-in link.",
            request=UserDraft,
            response=NewUser,
            status=201,
        ),
        Route("POST", one + "/link", new_link, "admin", "Make a sign-in link", _TAG, response=Link),
        Route(
            "PATCH",
            one,
            change_user,
            "admin",
            "Change a user",
            _TAG,
            "Name, tier and role; they count from the user's next request on.",
            request=UserChange,
            response=UserRecord,
        ),
        Route(
            "DELETE",
            one,
            delete_user,
            "admin",
            "Remove a user and everything that is theirs",
            _TAG,
            "Their sessions, links and keys end first; then what they said and made is removed, then the account.",
            response=Erased,
        ),
        Route(
            "GET",
            keys,
            list_keys,
            "admin",
            "List API keys",
            _TAG,
            "Those of the tenant; the owner sees all.",
            response=KeyList,
        ),
        Route(
            "POST", keys, create_key, "admin", "Create an API key", _TAG, request=KeyDraft, response=NewKey, status=201
        ),
        Route("DELETE", keys + "/{key_id}", revoke_key, "admin", "Revoke an API key", _TAG, status=204),
    ]
