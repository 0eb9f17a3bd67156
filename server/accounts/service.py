"""Accounts: the one door to users, keys, sessions and rate limits."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal, NoReturn, cast

import structlog
from redis.asyncio import Redis

from server.accounts.apikeys import ApiKey, ApiKeys
from server.accounts.jwt import BadToken, Tokens
from server.accounts.limits import UNCOUNTED, Counted, Limits, Quota, requests_of_user, wrong_credentials
from server.accounts.principal import HOME, OWNER, SCOPES, Principal, Role, scopes_of
from server.accounts.records import key, utc_now
from server.accounts.sessions import Session, Sessions
from server.accounts.tokens import digest, matches, sign_in_token
from server.accounts.users import User, Users
from server.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from server.ids import check_slug
from server.settings import Settings
from server.stores.errors import store_errors
from server.stores.redis import purge_redis

_log = structlog.get_logger(__name__)

WRONG = "That credential is wrong, expired or revoked: open a new sign-in link, or use another API key."
NOT_FOR_US = "That token is wrong, expired or not for this server: sign in again where it came from."
WRONG_LINK = (
    "This sign-in link was used already, has expired, or is not complete. Ask whoever runs the server for a new one; "
    "the owner gets one with `vestige link`."
)
_STORE = "state"


class Accounts:
    """Who may do what. All of it lies in the state Redis but the owner's token, which lives as long as the process.

    `owner_token` is the credential of the command line and of scripts on the server's own machine. Every method raises
    StoreUnavailable where Redis does not answer.
    """

    def __init__(
        self, state: Redis, settings: Settings, *, owner_token: str, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._state = state
        self._tiers = frozenset(settings.plans)
        self._default_tier = settings.default_tier
        self._users = Users(state, default_tier=settings.default_tier, clock=clock)
        self._limits = Limits(state)
        self._keys = ApiKeys(state, self._limits, per_minute=settings.key_requests_per_minute, clock=clock)
        self._sessions = Sessions(state, life=timedelta(days=settings.session_days), clock=clock)
        self._tokens = Tokens.of(settings, clock)
        self._key_requests = settings.key_requests_per_minute
        self._owner_digest = digest(owner_token)
        self._sign_in_digest: str | None = digest(sign_in_token(owner_token))

    # credentials

    async def by_bearer(self, token: str, *, remote: str, quotas: Sequence[Quota] = ()) -> tuple[Principal, Counted]:
        """Whose API key or token this is, or the owner; the request is counted against `quotas` and the bearer's own.

        A key is looked up and its request counted in one step, from the record as it is then: one that was revoked is
        worth nothing from the next request on. Wrong credentials count against none of these.

        Raises:
            Unauthenticated: nobody's.
            RateLimited: nobody's, and `remote` sent too many like it.
        """
        with store_errors(_STORE):
            if matches(token, self._owner_digest):
                return _person(await self._users.owner(), "owner"), await self.count(*quotas)
            if self._tokens is not None and token.count(".") == 2:
                return await self._by_token(self._tokens, token, remote, quotas)
            found, counted = await self._keys.enter(token, quotas)
            who = None if found is None else await self._of_key(found)
            if found is None or who is None:
                return await self._refuse(remote, WRONG)
            await self._keys.used(found)
            return who, counted

    async def by_session(self, token: str, *, remote: str) -> Principal:
        """Who is signed in with this cookie; nothing is counted. Raises as `by_bearer` does."""
        with store_errors(_STORE):
            session = await self._sessions.find(token)
            user = None if session is None else await self._users.get(session.tenant, session.user)
            if user is None:
                return await self._refuse(remote, WRONG)
            await self._users.seen(user)
            return _person(user, "session")

    async def sign_in(self, token: str, *, remote: str) -> tuple[str, Principal]:
        """`(session token, who)` for a sign-in link's token, or for `sign_in_token(owner_token)`; each works once.

        Raises: as `by_bearer` does.
        """
        with store_errors(_STORE):
            exchanged = await self._owner_sign_in(token) or await self._sessions.exchange(token)
            user = None if exchanged is None else await self._users.get(exchanged[1].tenant, exchanged[1].user)
            if exchanged is None or user is None:
                return await self._refuse(remote, WRONG_LINK)
            await self._users.seen(user)
            _log.info("signed_in", tenant=user.tenant, user=user.id)
            return exchanged[0], _person(user, "session")

    async def sign_out(self, token: str) -> None:
        """Ends one session; unknown ones are no error."""
        with store_errors(_STORE):
            await self._sessions.end(token)

    # people

    async def ensure_owner(self) -> User:
        """The owner's record; the first start makes it."""
        with store_errors(_STORE):
            return await self._users.owner()

    async def users(self, tenant: str) -> list[User]:
        with store_errors(_STORE):
            return await self._users.list(tenant)

    async def user(self, tenant: str, id: str) -> User:
        """Raises:
        NotFound: there is no such user.
        """
        check_slug(id, "user_id")
        with store_errors(_STORE):
            return _there(await self._users.get(tenant, id))

    async def add_user(self, tenant: str, name: str, *, role: Role = "member", tier: str | None = None) -> User:
        """Raises:
        InvalidRequest: a name that is none, or an unknown tier or role.
        """
        self._check_tier(tier)
        _check_role(role)
        with store_errors(_STORE):
            user = await self._users.add(tenant, name, role=role, tier=tier)
        _log.info("user_added", tenant=tenant, user=user.id, role=role)
        return user

    async def change_user(
        self,
        tenant: str,
        id: str,
        *,
        by: Principal,
        name: str | None = None,
        role: Role | None = None,
        tier: str | None = None,
    ) -> User:
        """The changed record. It counts from the user's next request on: sessions carry no rights of their own.

        Raises:
            NotFound: there is no such user.
            Forbidden: it is the owner, and somebody else asks.
            Conflict: the owner would no longer be one.
        """
        self._check_tier(tier)
        current = await self.user(tenant, id)
        _guard_owner(current, by)
        if role is not None and role != current.role:
            if current.role == "owner":
                raise Conflict("The owner stays the owner: their role cannot be changed.", field="role")
            _check_role(role)
        else:
            role = None
        with store_errors(_STORE):
            changed = _there(await self._users.change(tenant, id, name=name, role=role, tier=tier))
        _log.info("user_changed", tenant=tenant, user=id, by=by.credential, role=changed.role)
        return changed

    async def new_link(self, tenant: str, id: str, *, by: Principal | None = None) -> str:
        """The token of a sign-in link: good once, for seven days. `by` None: the server itself asks.

        Raises:
            NotFound: there is no such user.
            Forbidden: it would be the owner's, and somebody else asks.
        """
        user = await self.user(tenant, id)
        if by is not None:
            _guard_owner(user, by)
        with store_errors(_STORE):
            token = await self._sessions.new_link(tenant, id)
        _log.info("link_made", tenant=tenant, user=id)
        return token

    async def lock_out(self, tenant: str, id: str) -> None:
        """Ends every credential of a user: sessions, unused links, the keys bound to it."""
        check_slug(id, "user_id")
        _guard_home_owner(tenant, id)
        with store_errors(_STORE):
            await self._sessions.end_all(tenant, id)
            await self._keys.revoke_bound(tenant, id)

    async def delete_user(self, tenant: str, id: str) -> bool:
        """Removes the account and its credentials; False where there was no record.

        What the user said and made is not here; who removes that calls `lock_out` first and this last. The store's
        file on disk forgets the account too.

        Raises:
            Conflict: the owner cannot be removed.
        """
        await self.lock_out(tenant, id)
        with store_errors(_STORE):
            removed = await self._users.remove(tenant, id)
            await self._state.delete(key("active", f"{tenant}/{id}"))
            await self._limits.forget(tenant, id)
        if removed:
            # once more: a sign-in between the two would have left its session behind (it opens nothing)
            await self.lock_out(tenant, id)
            _log.info("user_removed", tenant=tenant, user=id)
        await purge_redis(self._state)  # the name of the person, and those of their keys
        return removed

    # API keys

    async def create_key(
        self, tenant: str, name: str, scopes: Collection[str], *, tier: str | None = None, user_id: str | None = None
    ) -> tuple[ApiKey, str]:
        """`(record, the key itself)`. The key is shown here and never again.

        Raises:
            InvalidRequest: no scope or an unknown one, an unknown tier, a name that is none.
            NotFound: there is no such user to bind it to.
        """
        check_slug(tenant, "tenant")
        self._check_tier(tier)
        if not scopes or not SCOPES.issuperset(scopes):
            raise InvalidRequest(f"A key needs scopes, among {', '.join(sorted(SCOPES))}.", field="scopes")
        if user_id is not None:
            await self.user(tenant, user_id)
        with store_errors(_STORE):
            made, secret = await self._keys.create(tenant, name, scopes, tier=tier, user_id=user_id)
        _log.info("key_created", tenant=tenant, key=made.id, scopes=sorted(made.scopes), user=user_id)
        return made, secret

    async def keys(self, tenant: str | None) -> list[ApiKey]:
        """The keys of a tenant, or of all of them."""
        with store_errors(_STORE):
            return await self._keys.list(tenant)

    async def revoke_key(self, id: str, *, tenant: str | None) -> None:
        """Raises:
        NotFound: there is no such key in that tenant (None: in any).
        """
        with store_errors(_STORE):
            found = await self._keys.get(check_slug(id, "key"))
            if found is None or tenant not in (None, found.tenant):
                raise NotFound("There is no API key with this id.")
            await self._keys.revoke(found)
        _log.info("key_revoked", tenant=found.tenant, key=id)

    # what a turn asks

    async def count(self, *quotas: Quota) -> Counted:
        """Counts a request or a turn against all `quotas`, or against none where one of them is used up."""
        if not quotas:
            return UNCOUNTED
        with store_errors(_STORE):
            return await self._limits.count(*quotas)

    async def get_active(self, tenant: str, user: str) -> str | None:
        """The id of the user's active character."""
        with store_errors(_STORE):
            return cast(str | None, await self._state.get(key("active", f"{tenant}/{user}")))

    async def set_active(self, tenant: str, user: str, character: str | None) -> str | None:
        """Makes a character the active one, or none; returns which was before."""
        name = key("active", f"{check_slug(tenant, 'tenant')}/{check_slug(user, 'user_id')}")
        with store_errors(_STORE):
            if character is None:
                before = await self._state.getdel(name)
            else:
                before = await self._state.set(name, check_slug(character, "character_id"), get=True)
        return cast(str | None, before)

    async def _by_token(
        self, tokens: Tokens, token: str, remote: str, quotas: Sequence[Quota]
    ) -> tuple[Principal, Counted]:
        try:
            who = tokens.check(token)
        except BadToken as bad:
            _log.info("token_refused", why=bad.why)
            return await self._refuse(remote, NOT_FOR_US)
        return who, await self.count(*quotas, requests_of_user(who.tenant, who.acts_for(None), self._key_requests))

    async def _of_key(self, found: ApiKey) -> Principal | None:
        scopes, tier, user = found.scopes, found.tier, None
        if found.user_id is not None:
            user = await self._users.get(found.tenant, found.user_id)
            if user is None:
                return None
            # a key never gives its person more than their role does, also when that changes later
            scopes, tier = scopes & scopes_of(user.role), tier or user.tier
        return Principal(
            tenant=found.tenant,
            user=found.user_id,
            name=found.name if user is None else user.name,
            role="service",
            scopes=scopes,
            tier=tier or self._default_tier,
            kind="key",
            credential=f"key:{found.id}",
        )

    async def _owner_sign_in(self, token: str) -> tuple[str, Session] | None:
        """The owner's session, for the first who shows the token of the printed address (or the owner's own)."""
        expected = self._sign_in_digest
        if expected is None or not (matches(token, expected) | matches(token, self._owner_digest)):
            return None
        self._sign_in_digest = None
        try:
            owner = await self._users.owner()
            return await self._sessions.start(owner.tenant, owner.id), Session(owner.tenant, owner.id)
        except BaseException:
            # nobody got in: the address on the screen must not be used up
            self._sign_in_digest = expected
            raise

    async def _refuse(self, remote: str, message: str) -> NoReturn:
        _log.info("credential_refused", remote=remote)
        if refusal := (await self._limits.count(wrong_credentials(remote))).refusal:
            raise refusal
        raise Unauthenticated(message)

    def _check_tier(self, tier: str | None) -> None:
        if tier is not None and tier not in self._tiers:
            raise InvalidRequest(f"There is no such tier; there are {', '.join(sorted(self._tiers))}.", field="tier")


def _check_role(role: str) -> None:
    if role not in ("admin", "member"):
        raise InvalidRequest("A user's role is 'admin' or 'member'.", field="role")


def _guard_owner(user: User, by: Principal) -> None:
    if user.role == "owner" and by.role != "owner":
        raise Forbidden("Only the owner may change or sign in as the owner.")


def _guard_home_owner(tenant: str, id: str) -> None:
    if (tenant, id) == (HOME, OWNER):
        raise Conflict("The owner's account cannot be removed.")


def _there(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no user with this id.", field="user_id")
    return user


def _person(user: User, kind: Literal["owner", "session"]) -> Principal:
    return Principal(
        tenant=user.tenant,
        user=user.id,
        name=user.name,
        role=user.role,
        scopes=scopes_of(user.role),
        tier=user.tier,
        kind=kind,
        credential="owner" if kind == "owner" else f"session:{user.tenant}/{user.id}",
    )
