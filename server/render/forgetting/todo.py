"""Each host's list of things to forget, in the state Redis beside the jobs.

A job's end and the note that its host is to forget it are one step: `leave_hosts` in `jobs/lua/_shared.lua`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from server.render.jobs.scripts import STORE, Scripts, key
from server.stores.errors import store_errors

__all__ = ["GONE_SECONDS", "MOST", "Taken", "Todo"]

LEASE_SECONDS = 120.0
"""As long as any round at a host takes: what a server took that died is taken again after that."""
GONE_SECONDS = 3_600.0
"""A host that no server has in its settings for so long is not coming back: servers are restarted one by one."""
MOST = 100_000
"""Things of one host; beyond that the oldest are given up."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Things taken from a list. `stamp` tells whether one was asked for again since. `given_up`: too many to keep."""

    stamp: str
    things: tuple[str, ...]
    given_up: int


class Todo:
    """Every method raises `StoreUnavailable` where Redis does not answer."""

    def __init__(self, state: Redis) -> None:
        self._state = state
        self._scripts = Scripts(state)

    async def add(self, host: str, things: Collection[str]) -> None:
        """Notes what a host is to forget; the same twice is once."""
        if things:
            await self._scripts.run("forget", host, *things)

    async def take(self, host: str, most: int) -> Taken:
        """What is due, held from others until it is given back or the lease runs out."""
        stamp, given_up, *things = await self._scripts.run("forgetting", host, most, round(LEASE_SECONDS * 1000), MOST)
        return Taken(str(stamp), tuple(map(str, things)), int(given_up))

    async def done(self, host: str, taken: Taken, things: Collection[str]) -> None:
        """Strikes things off, but for those that were asked for again meanwhile."""
        if things:
            await self._scripts.run("forgotten", host, taken.stamp, "", "", *things)

    async def later(self, host: str, taken: Taken, things: Collection[str], seconds: float, why: str) -> None:
        """Puts things off. `why`: one sentence for people."""
        if things:
            await self._scripts.run("forgotten", host, taken.stamp, round(seconds * 1000), why, *things)

    async def freed(self, host: str, seconds: float) -> None:
        """Notes that its memory was freed, and is not to be for so long."""
        with store_errors(STORE):
            await self._state.set(key("forget-freed", host), "1", px=round(seconds * 1000))

    async def freed_for(self, host: str) -> float:
        """For how many seconds its memory is not to be freed again."""
        with store_errors(STORE):
            return max(0, await self._state.pttl(key("forget-freed", host))) / 1000

    async def left(self) -> Mapping[str, list[str]]:
        """Everything that hosts have still to forget, by host."""
        with store_errors(STORE):
            hosts = sorted(str(one) for one in await self._state.smembers(key("forget-hosts")))
            async with self._state.pipeline(transaction=False) as pipe:
                for host in hosts:
                    pipe.zrange(key("forget", host), 0, -1)
                lists = await pipe.execute() if hosts else []
        return {host: [str(one) for one in found] for host, found in zip(hosts, lists, strict=True) if found}

    async def still(self, things: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Those of these, by host, that are not forgotten yet."""
        there = {host: list(texts) for host, texts in things.items() if texts}
        with store_errors(STORE):
            async with self._state.pipeline(transaction=False) as pipe:
                for host, texts in there.items():
                    pipe.zmscore(key("forget", host), texts)
                scores = await pipe.execute() if there else []
        left = {
            host: [text for text, score in zip(texts, found, strict=True) if score is not None]
            for (host, texts), found in zip(there.items(), scores, strict=True)
        }
        return {host: texts for host, texts in left.items() if texts}

    async def counts(self) -> Mapping[str, int]:
        """How much it is, by host."""
        with store_errors(STORE):
            hosts = sorted(str(one) for one in await self._state.smembers(key("forget-hosts")))
            async with self._state.pipeline(transaction=False) as pipe:
                for host in hosts:
                    pipe.zcard(key("forget", host))
                found = await pipe.execute() if hosts else []
        return dict(zip(hosts, map(int, found), strict=True))

    async def why(self) -> Mapping[str, str]:
        """Why a host's things could not be forgotten when that was last tried, by host."""
        with store_errors(STORE):
            found = cast(Mapping[str, str], await self._state.hgetall(key("forget-why")))
        return {str(host): str(why) for host, why in found.items()}

    async def drop_strangers(self, names: Collection[str], seconds: float = GONE_SECONDS) -> Mapping[str, int]:
        """Drops the lists of hosts that no server has had in its settings for so long; how much that was, by host."""
        found = await self._scripts.run("forget_strangers", round(seconds * 1000), *names)
        pairs = iter(found)
        return {str(host): int(count) for host, count in zip(pairs, pairs, strict=True)}
