"""Commands that come together go out together, and each has its own answer."""

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError

from server.stores.coalescing import MAX_BATCH, CoalescingRedis
from server.stores.redis import RedisPair


@pytest.fixture
def client(redis_pair: RedisPair) -> CoalescingRedis:
    return CoalescingRedis(redis_pair.state.connection_pool)


async def test_each_gets_its_own_answer_in_its_own_form(client: CoalescingRedis) -> None:
    count = MAX_BATCH + 50
    await asyncio.gather(*(client.set(f"key-{number}", number) for number in range(count)))
    assert await asyncio.gather(*(client.get(f"key-{number}") for number in range(count))) == [
        str(number) for number in range(count)
    ]
    await client.hset("hash", mapping={"a": "1"})
    assert await asyncio.gather(client.hgetall("hash"), client.exists("hash"), client.ttl("hash")) == [
        {"a": "1"},
        1,
        -1,
    ]


async def test_one_that_fails_does_not_fail_its_neighbours(client: CoalescingRedis) -> None:
    await client.set("text", "x")
    found = await asyncio.gather(client.get("text"), client.incr("text"), client.get("text"), return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == ("x", ResponseError, "x")


async def test_scripts_are_loaded_on_their_first_call(client: CoalescingRedis) -> None:
    script = client.register_script("return {KEYS[1], ARGV[1]}")
    await client.script_flush()
    answers = await asyncio.gather(*(script(keys=["k"], args=[number]) for number in range(20)))
    assert answers == [["k", str(number)] for number in range(20)]


async def test_fifty_at_once_are_few_round_trips(client: CoalescingRedis, redis_pair: RedisPair) -> None:
    await client.ping()
    before = (await redis_pair.state.info("stats"))["total_reads_processed"]
    await asyncio.gather(*(client.get(f"key-{number}") for number in range(50)))
    assert (await redis_pair.state.info("stats"))["total_reads_processed"] - before <= 5


async def test_a_caller_that_gives_up_harms_nobody(client: CoalescingRedis) -> None:
    given_up, other = asyncio.ensure_future(client.set("one", "1")), asyncio.ensure_future(client.set("two", "2"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other is True
    assert await asyncio.gather(client.get("one"), client.get("two")) == ["1", "2"]
    assert given_up.cancelled()


async def test_a_store_that_is_gone_is_an_error_for_each(
    client: CoalescingRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RedisError("gone")

    with monkeypatch.context() as gone:
        gone.setattr(client.connection_pool, "get_connection", refuse)
        found = await asyncio.gather(*(client.get("x") for _ in range(5)), return_exceptions=True)
        assert [str(error) for error in found] == ["gone"] * 5
        assert len({id(error) for error in found}) == 5
    assert await client.get("x") is None
