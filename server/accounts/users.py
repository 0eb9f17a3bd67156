"""The people who share a server: a name, a role and a tier on record for each."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis

from server.accounts.principal import HOME, OWNER, Role
from server.accounts.records import TOUCH, Fields, key, read_hash, read_hashes, read_ordered, read_time, write_time
from server.accounts.tokens import short_id
from server.text import clean_name

_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class User:
    """A person's record. `last_seen` is exact to a minute; None before the first sign-in."""

    tenant: str
    id: str
    name: str
    role: Role
    tier: str
    created: datetime
    last_seen: datetime | None


class Users:
    """User records in the state Redis, by tenant and id."""

    def __init__(self, state: Redis, *, default_tier: str, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._default_tier = default_tier
        self._clock = clock
        self._touch = state.register_script(TOUCH)

    async def add(self, tenant: str, name: str, *, role: Role = "member", tier: str | None = None) -> User:
        """A new user with a new id: one that was used before would inherit what its last bearer left."""
        name = clean_name(name)
        return await self._write(User(tenant, _new_id(name), name, role, self._tier(tier), self._clock(), None))

    async def owner(self) -> User:
        """The owner's record, made where it is missing."""
        found = await self.get(HOME, OWNER)
        return found or await self._write(User(HOME, OWNER, "Owner", "owner", self._tier(None), self._clock(), None))

    async def get(self, tenant: str, id: str) -> User | None:
        return _read(tenant, id, await read_hash(self._state, _record(tenant, id)))

    async def list(self, tenant: str) -> "list[User]":
        """All users of a tenant, oldest first."""
        ids = await read_ordered(self._state, key("users", tenant))
        records = await read_hashes(self._state, [_record(tenant, id) for id in ids])
        users = (_read(tenant, id, fields) for id, fields in zip(ids, records, strict=True))
        return [user for user in users if user is not None]

    async def change(
        self, tenant: str, id: str, *, name: str | None = None, role: Role | None = None, tier: str | None = None
    ) -> User | None:
        """The changed record; None where there is no such user (any more)."""
        fields = {"name": None if name is None else clean_name(name), "role": role, "tier": tier}
        pairs = [item for field, value in fields.items() if value is not None for item in (field, value)]
        if pairs:
            await self._touch(keys=[_record(tenant, id)], args=[0, *pairs])
        return await self.get(tenant, id)

    async def seen(self, user: User) -> None:
        """Notes that the user was here, at most once a minute."""
        now = self._clock()
        if user.last_seen is None or now - user.last_seen >= _SEEN_EVERY:
            await self._touch(keys=[_record(user.tenant, user.id)], args=[0, "last_seen", write_time(now)])

    async def remove(self, tenant: str, id: str) -> bool:
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.delete(_record(tenant, id))
            pipe.zrem(key("users", tenant), id)
            removed, _ = await pipe.execute()
        return bool(removed)

    async def _write(self, user: User) -> User:
        fields: Fields = {"name": user.name, "role": user.role, "tier": user.tier, "created": write_time(user.created)}
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.hset(_record(user.tenant, user.id), mapping=fields)
            pipe.zadd(key("users", user.tenant), {user.id: user.created.timestamp()})
            await pipe.execute()
        return user

    def _tier(self, tier: str | None) -> str:
        return self._default_tier if tier is None else tier


def _record(tenant: str, id: str) -> str:
    return key("user", f"{tenant}/{id}")


def _read(tenant: str, id: str, fields: dict[str, str]) -> User | None:
    created = read_time(fields.get("created"))
    if created is None:
        return None
    role: Role = {"owner": "owner", "admin": "admin"}.get(fields["role"], "member")  # type: ignore[assignment]
    return User(tenant, id, fields["name"], role, fields["tier"], created, read_time(fields.get("last_seen")))


def _new_id(name: str) -> str:
    """`anna-7kq2m` for Anna: readable in a list, and never the same twice."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:24].strip("-")
    return f"{slug or 'user'}-{short_id(6)}"
