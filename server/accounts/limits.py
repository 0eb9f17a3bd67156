"""How often: turns per minute by plan, and wrong credentials per address. Counted in Redis, so also across servers."""

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis

from server.errors import RateLimited

WRONG_PER_MINUTE = 30
_PREFIX = "vestige:accounts:limit"


class Limits:
    """Sliding windows of a minute over the state Redis' own connections."""

    def __init__(self, state: Redis) -> None:
        # the address is not used: the pool says where to connect
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=_PREFIX,
            connection_pool=state.connection_pool,  # type: ignore[arg-type]
        )
        self._state = state
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def turn(self, tenant: str, user: str, per_minute: int) -> None:
        """Counts one turn of a user.

        Raises:
            RateLimited: the minute's turns are used up.
        """
        seconds = await self._hit(RateLimitItemPerMinute(per_minute), "turn", tenant, user)
        if seconds:
            raise RateLimited(
                f"That is more than {per_minute} messages in a minute: try again in {seconds} s.", retry_after=seconds
            )

    async def forget(self, tenant: str, user: str) -> None:
        """Takes a user out of what is counted. Both names are slugs, so nothing in them is a pattern."""
        async for name in self._state.scan_iter(match=f"{_PREFIX}*/turn/{tenant}/{user}/*", count=1_000):
            await self._state.delete(name)

    async def wrong_credential(self, remote: str) -> None:
        """Counts one wrong credential from an address. A good one is never turned away for it.

        Raises:
            RateLimited: there were too many in this minute.
        """
        seconds = await self._hit(RateLimitItemPerMinute(WRONG_PER_MINUTE), "wrong", network(remote))
        if seconds:
            raise RateLimited(
                f"Too many wrong credentials came from your address: try again in {seconds} s.", retry_after=seconds
            )

    async def _hit(self, item: RateLimitItemPerMinute, *names: str) -> int:
        """0 where there was room, else seconds until there may be."""
        if await self._limiter.hit(item, *names):
            return 0
        reset, _ = await self._limiter.get_window_stats(item, *names)
        return max(1, math.ceil(reset - time.time()))


def network(remote: str) -> str:
    """Whom an address stands for: itself, or for IPv6 its /64, which one customer has whole."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((address, 64), strict=False).network_address)
