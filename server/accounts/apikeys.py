"""API keys: what programs show. Bound to a tenant, limited to scopes, revocable at once."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis

from server.accounts.limits import UNCOUNTED, Counted, Limits, Quota, requests_of_key
from server.accounts.records import (
    TOUCH,
    Fields,
    key,
    read_hash,
    read_hashes,
    read_ordered,
    read_set,
    read_time,
    write_time,
)
from server.accounts.tokens import digest, matches, new_secret, short_id
from server.text import clean_name

_USED_EVERY = timedelta(minutes=1)
_FORM = re.compile(r"vst_([a-z0-9]{10})_([A-Za-z0-9_-]{43})")
_TENANTS = "tenants-with-keys"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's record, without its secret. `user_id` None: the key names a user in every request.

    `tier` None: the tier of the user it is bound to, or the default one. `last_used` is exact to a minute.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    tier: str | None
    user_id: str | None
    created: datetime
    last_used: datetime | None

    @property
    def prefix(self) -> str:
        """How the key begins: enough to recognise it by."""
        return f"vst_{self.id}_"


class ApiKeys:
    """Keys in the state Redis; of the secret only the sha256 is kept. `per_minute`: requests of each."""

    def __init__(self, state: Redis, limits: Limits, *, per_minute: int, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._limits = limits
        self._per_minute = per_minute
        self._clock = clock
        self._touch = state.register_script(TOUCH)

    async def create(
        self, tenant: str, name: str, scopes: Collection[str], *, tier: str | None = None, user_id: str | None = None
    ) -> tuple[ApiKey, str]:
        """`(record, key)`; the key cannot be had again."""
        made = ApiKey(
            short_id(10), tenant, clean_name(name), frozenset(scopes), tier, user_id, self._clock(), last_used=None
        )
        secret = new_secret()
        fields: Fields = {
            "tenant": tenant,
            "name": made.name,
            "secret": digest(secret),
            "scopes": " ".join(sorted(made.scopes)),
            "tier": tier or "",
            "user_id": user_id or "",
            "created": write_time(made.created),
        }
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.hset(key("key", made.id), mapping=fields)
            pipe.zadd(key("keys", tenant), {made.id: made.created.timestamp()})
            pipe.sadd(key(_TENANTS), tenant)
            if user_id is not None:
                pipe.sadd(key("bound", f"{tenant}/{user_id}"), made.id)
            await pipe.execute()
        return made, made.prefix + secret

    async def enter(self, presented: str, quotas: Sequence[Quota]) -> tuple[ApiKey | None, Counted]:
        """The record of a key as a client presents it, None where there is none like it.

        Its request is counted against the key's own quota and `quotas`, in the same step; a wrong one against none.
        """
        match = _FORM.fullmatch(presented)
        if match is None:
            return None, UNCOUNTED
        id, secret = match.groups()
        own = requests_of_key(id, self._per_minute)
        fields, counted = await self._limits.count_bearer(key("key", id), digest(secret), [own, *quotas])
        found = _read(id, fields)
        return (found if matches(secret, fields.get("secret")) else None), counted

    async def used(self, found: ApiKey) -> None:
        """Notes that the key was used, at most once a minute."""
        now = self._clock()
        if found.last_used is None or now - found.last_used >= _USED_EVERY:
            await self._touch(keys=[key("key", found.id)], args=[0, "last_used", write_time(now)])

    async def list(self, tenant: str | None = None) -> "list[ApiKey]":
        """The keys of a tenant, oldest first; of all tenants where none is named."""
        tenants = sorted(await read_set(self._state, key(_TENANTS))) if tenant is None else [tenant]
        found: list[ApiKey] = []
        for name in tenants:
            ids = await read_ordered(self._state, key("keys", name))
            records = await read_hashes(self._state, [key("key", id) for id in ids])
            read = (_read(id, fields) for id, fields in zip(ids, records, strict=True))
            found.extend(record for record in read if record is not None)
        return found

    async def get(self, id: str) -> ApiKey | None:
        return _read(id, await read_hash(self._state, key("key", id)))

    async def revoke(self, found: ApiKey) -> None:
        """The key is worth nothing from the next request on."""
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.delete(key("key", found.id))
            pipe.zrem(key("keys", found.tenant), found.id)
            if found.user_id is not None:
                pipe.srem(key("bound", f"{found.tenant}/{found.user_id}"), found.id)
            await pipe.execute()

    async def revoke_bound(self, tenant: str, user: str) -> None:
        """Revokes every key bound to a user."""
        for id in await read_set(self._state, key("bound", f"{tenant}/{user}")):
            if (found := await self.get(id)) is not None:
                await self.revoke(found)


def _read(id: str, fields: dict[str, str]) -> ApiKey | None:
    created = read_time(fields.get("created"))
    if created is None:
        return None
    return ApiKey(
        id,
        fields["tenant"],
        fields["name"],
        frozenset(fields["scopes"].split()),
        fields["tier"] or None,
        fields["user_id"] or None,
        created,
        read_time(fields.get("last_used")),
    )
