"""Many tasks share few connections: everyone gets one in turn."""

import asyncio

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from server.stores.redis import RedisPair


async def test_those_who_wait_are_served_before_those_who_ask_again(redis_pair: RedisPair) -> None:
    done = [0] * 300
    over = asyncio.Event()

    async def greedy(number: int) -> None:
        while not over.is_set():
            await redis_pair.state.ping()
            done[number] += 1
            if sum(done) > 6_000:
                over.set()

    await asyncio.gather(*(greedy(number) for number in range(len(done))))
    assert max(done) <= min(done) + 8


async def test_a_task_that_is_cancelled_while_it_waits_takes_no_place(redis_pair: RedisPair) -> None:
    client = redis_pair.state
    held = [await client.connection_pool.get_connection() for _ in range(64)]
    waiting = [asyncio.ensure_future(client.ping()) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:10]:
        task.cancel()
    for connection in held:
        await client.connection_pool.release(connection)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in answers] == [True] * 10 + [False] * 10
    again = [await client.connection_pool.get_connection() for _ in range(64)]
    for connection in again:
        await client.connection_pool.release(connection)


async def test_waiting_ends_with_an_error_and_not_never(redis_pair: RedisPair, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = redis_pair.state.connection_pool
    monkeypatch.setattr(pool, "_wait_seconds", 0.05)
    held = [await pool.get_connection() for _ in range(64)]
    with pytest.raises(RedisTimeoutError):
        await redis_pair.state.ping()
    for connection in held:
        await pool.release(connection)
    assert await redis_pair.state.ping()
