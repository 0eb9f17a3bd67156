"""How accounts lie in Redis: names of keys, and times as text."""

from datetime import UTC, datetime
from typing import cast

from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

Fields = dict[FieldT, EncodableT]

_PREFIX = "vestige:accounts:"

TOUCH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if tonumber(ARGV[1]) > 0 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1
"""
"""Sets fields of a record that exists: ARGV is a time to live (seconds, 0 to leave it), then fields and values.

A plain HSET would bring half a record back to life that somebody deleted in between.
"""


def key(*parts: str) -> str:
    """The Redis key of a record or an index. Parts are ids or digests, never what a person typed."""
    return _PREFIX + ":".join(parts)


# The client answers in str (decode_responses), which its types cannot say: said here, once.


async def read_hash(state: Redis, name: str) -> dict[str, str]:
    return cast(dict[str, str], await state.hgetall(name))


async def read_ordered(state: Redis, name: str) -> list[str]:
    """The members of a sorted set, lowest score first."""
    return cast(list[str], await state.zrange(name, 0, -1))


async def read_set(state: Redis, name: str) -> set[str]:
    return cast(set[str], await state.smembers(name))


async def read_hashes(state: Redis, names: list[str]) -> list[dict[str, str]]:
    """Many records in one round trip."""
    async with state.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(name)
        return cast(list[dict[str, str]], await pipe.execute())


def write_time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def utc_now() -> datetime:
    return datetime.now(UTC)
