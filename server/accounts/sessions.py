"""Sign-in links, which are good once, and the sessions they are exchanged for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis

from server.accounts.records import TOUCH, key, read_hash, read_ordered, read_set
from server.accounts.tokens import digest, new_secret

LINK_LIFE = timedelta(days=7)
_RENEW_AFTER = timedelta(hours=1)

_EXCHANGE = """
local who = redis.call('GETDEL', KEYS[1])
if not who or redis.call('EXISTS', ARGV[1] .. who) == 0 then return false end
redis.call('HSET', KEYS[2], 'who', who, 'expires', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('SREM', ARGV[2] .. who, KEYS[1])
redis.call('ZADD', ARGV[3] .. who, ARGV[4], KEYS[2])
return who
"""
"""Link → session in one step: of two with the same link exactly one gets in, and no link is used up for nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """Whose session it is. Role and tier are not in it: they are the record's, at every request anew."""

    tenant: str
    user: str


class Sessions:
    """Links and sessions in the state Redis; of both only the sha256 is kept. `life`: how long one lives unused."""

    def __init__(self, state: Redis, *, life: timedelta, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._life = life
        self._clock = clock
        self._touch = state.register_script(TOUCH)
        self._exchange = state.register_script(_EXCHANGE)

    async def new_link(self, tenant: str, user: str) -> str:
        """A token that signs `user` in, once, within seven days."""
        token, who = f"vsl_{new_secret()}", f"{tenant}/{user}"
        record, index = key("link", digest(token)), key("links", who)
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.set(record, who, ex=LINK_LIFE)
            pipe.sadd(index, record)
            pipe.expire(index, LINK_LIFE)
            await pipe.execute()
        return token

    async def exchange(self, link: str) -> tuple[str, Session] | None:
        """`(session token, session)` for a link's token; None where it is wrong, expired or used."""
        token = new_secret()
        who: str | None = await self._exchange(
            keys=[key("link", digest(link)), key("session", digest(token))],
            args=[key("user", ""), key("links", ""), key("sessions", ""), self._expiry(), self._seconds],
        )
        return None if who is None else (token, _session(who))

    async def start(self, tenant: str, user: str) -> str:
        """A session without a link; its token."""
        token, who = new_secret(), f"{tenant}/{user}"
        record, index, now = key("session", digest(token)), key("sessions", who), self._clock().timestamp()
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.hset(record, mapping={"who": who, "expires": self._expiry()})
            pipe.expire(record, self._seconds)
            pipe.zremrangebyscore(index, "-inf", now)
            pipe.zadd(index, {record: self._expiry()})
            await pipe.execute()
        return token

    async def find(self, token: str) -> Session | None:
        """The session of a cookie; each use puts its end off. None where it is unknown or over."""
        record = key("session", digest(token))
        fields = await read_hash(self._state, record)
        if "who" not in fields or (left := float(fields["expires"]) - self._clock().timestamp()) <= 0:
            return None
        if self._life.total_seconds() - left > _RENEW_AFTER.total_seconds():
            await self._touch(keys=[record], args=[self._seconds, "expires", self._expiry()])
        return _session(fields["who"])

    async def end(self, token: str) -> None:
        """Signs one browser out."""
        record = key("session", digest(token))
        who = (await read_hash(self._state, record)).get("who")
        if who is not None:
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.delete(record)
                pipe.zrem(key("sessions", who), record)
                await pipe.execute()

    async def end_all(self, tenant: str, user: str) -> None:
        """Signs a user out everywhere, and makes their unused links worthless."""
        who = f"{tenant}/{user}"
        sessions = await read_ordered(self._state, key("sessions", who))
        links = await read_set(self._state, key("links", who))
        await self._state.delete(*sessions, *links, key("sessions", who), key("links", who))

    @property
    def _seconds(self) -> int:
        return int(self._life.total_seconds())

    def _expiry(self) -> float:
        return (self._clock() + self._life).timestamp()


def _session(who: str) -> Session:
    tenant, _, user = who.partition("/")
    return Session(tenant, user)
