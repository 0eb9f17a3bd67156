"""Keys of the state store as plain values, and back. No dump format of one store's version is in between."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from server.stores.errors import store_errors

__all__ = ["MINE", "keys_of", "load", "read", "scope_keys"]

MINE = "vestige:*"
_TRANSIENT = ("vestige:{fleet}:", "vestige:routing:breaker:", "vestige:accounts:limit")
"""What is true of a moment only: which hosts and models rest, how many requests came this minute."""
_CACHED = ("}:hot", "}:summary")
"""What the cache holds, where it is the same store."""
_BATCH = 200


async def keys_of(state: Redis) -> list[str]:
    """Every key that is worth keeping, those of conversations first."""
    found: list[str] = []
    with store_errors("memory"):
        async for key in state.scan_iter(match=MINE, count=1_000):
            if not key.startswith(_TRANSIENT) and not key.endswith(_CACHED):
                found.append(key)
    return sorted(set(found), key=lambda key: (not _is_scope(key), key))


def scope_keys(keys: Iterable[str]) -> dict[str, list[str]]:
    """The keys of each conversation, by its scope; all others under ""."""
    found: dict[str, list[str]] = {}
    for key in keys:
        scope = key.partition("{")[2].partition("}")[0] if _is_scope(key) else ""
        found.setdefault(scope, []).append(key)
    return found


async def read(state: Redis, keys: Sequence[str]) -> list[dict[str, Any]]:
    """These keys at one moment; those that are gone are left out."""
    with store_errors("memory"):
        types = await _pipe(state, [("type", key) for key in keys])
        asked = [(key, kind) for key, kind in zip(keys, types, strict=True) if kind != "none"]
        async with state.pipeline(transaction=True) as pipe:
            for key, kind in asked:
                _ask(pipe, kind, key)
                pipe.pttl(key)
            answers = await pipe.execute(raise_on_error=False)
    rows: list[dict[str, Any]] = []
    for at, (key, kind) in enumerate(asked):
        value, ttl = answers[2 * at], answers[2 * at + 1]
        if isinstance(value, Exception):  # it became another type in between: whoever wants it asks again
            raise value
        if ttl == -2 or value is None or value in ([], {}, set()):
            continue
        rows.append({"key": key, "type": kind, "value": _plain(kind, value), "ttl_ms": ttl if ttl > 0 else None})
    return rows


async def load(state: Redis, rows: AsyncIterator[dict[str, Any]]) -> int:
    """Writes keys into a store that has none of them; how many."""
    count = 0
    with store_errors("memory"):
        pipe = state.pipeline(transaction=False)
        async for row in rows:
            _write(pipe, row)
            count += 1
            if len(pipe) >= _BATCH:
                await pipe.execute()
        if len(pipe):
            await pipe.execute()
    return count


def _is_scope(key: str) -> bool:
    """Whether it is of a conversation: `vestige:{tenant/user/character}:…`."""
    return key.startswith("vestige:{") and key.partition("}")[0].count("/") == 2


async def _pipe(state: Redis, commands: Sequence[tuple[str, str]]) -> list[Any]:
    async with state.pipeline(transaction=False) as pipe:
        for name, key in commands:
            getattr(pipe, name)(key)
        return await pipe.execute()


def _ask(pipe: Any, kind: str, key: str) -> None:
    match kind:
        case "string":
            pipe.get(key)
        case "hash":
            pipe.hgetall(key)
        case "list":
            pipe.lrange(key, 0, -1)
        case "set":
            pipe.smembers(key)
        case "zset":
            pipe.zrange(key, 0, -1, withscores=True)
        case "stream":
            pipe.xrange(key)
        case _:
            raise ValueError(f"the store holds a {kind}, which nothing here writes")


def _plain(kind: str, value: Any) -> Any:
    match kind:
        case "set":
            return sorted(value)
        case "zset":
            return [[member, repr(float(score))] for member, score in value]
        case "stream":
            return [[id, fields] for id, fields in value]
    return value


def _write(pipe: Any, row: dict[str, Any]) -> None:
    key, value = row["key"], row["value"]
    match row["type"]:
        case "string":
            pipe.set(key, value)
        case "hash":
            pipe.hset(key, mapping=value)
        case "list":
            pipe.rpush(key, *value)
        case "set":
            pipe.sadd(key, *value)
        case "zset":
            pipe.zadd(key, {member: float(score) for member, score in value})
        case "stream":
            for id, fields in value:
                pipe.xadd(key, fields, id=id)
    if row["ttl_ms"] is not None:
        pipe.pexpire(key, row["ttl_ms"])
