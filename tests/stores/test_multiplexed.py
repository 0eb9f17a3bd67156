"""Many commands on one connection: each has its own answer, and what breaks the connection is heard by all of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
from redis.asyncio import UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from server.stores import redis as redis_module
from server.stores.multiplexed import MultiplexedRedis
from server.stores.redis import RedisPair

MANY = 400


@pytest.fixture
def client(redis_pair: RedisPair) -> MultiplexedRedis:
    assert isinstance(redis_pair.busy, MultiplexedRedis)
    return redis_pair.busy


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator["Scripted"]:
    """A server of ours in Redis' place, with a client before it."""
    server = Scripted()
    async with await asyncio.start_unix_server(server.serve, tmp_path / "s"):
        pool = redis_module.make_client(
            {"connection_class": UnixDomainSocketConnection, "path": str(tmp_path / "s")}
        ).connection_pool
        server.client = MultiplexedRedis(pool, seconds=0.2)
        yield server
        await server.client.aclose()
        await pool.aclose()


class Scripted:
    """Answers the handshake and `GET`s; hangs up at `INCRBY`; silent at `LLEN`, and to `TTL` it says too much."""

    client: MultiplexedRedis

    def __init__(self) -> None:
        self.increments = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        asked = hiredis.Reader()  # commands have the form of answers
        while data := await reader.read(65_536):
            asked.feed(data)
            commands = [command[0] for command in iter(asked.gets, False)]
            self.increments += commands.count(b"INCRBY")
            if b"INCRBY" in commands:
                break
            if b"LLEN" in commands:
                continue
            answers = {b"GET": b"$1\r\nx\r\n", b"TTL": b":1\r\n:2\r\n"}
            writer.write(b"".join(answers.get(command, b"+OK\r\n") for command in commands))
            await writer.drain()
        writer.close()


async def test_each_gets_its_own_answer_in_its_own_form(client: MultiplexedRedis) -> None:
    await asyncio.gather(*(client.set(f"key-{number}", number) for number in range(MANY)))
    assert await asyncio.gather(*(client.get(f"key-{number}") for number in range(MANY))) == [
        str(number) for number in range(MANY)
    ]
    await client.hset("hash", mapping={"a": "ä", "b": 1.5})
    assert await asyncio.gather(client.hgetall("hash"), client.exists("hash"), client.ttl("hash")) == [
        {"a": "ä", "b": "1.5"},
        1,
        -1,
    ]


async def test_one_that_fails_does_not_fail_its_neighbours(client: MultiplexedRedis) -> None:
    await client.set("text", "x")
    found = await asyncio.gather(client.get("text"), client.incr("text"), client.get("text"), return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == ("x", ResponseError, "x")


async def test_scripts_are_loaded_on_their_first_call(client: MultiplexedRedis) -> None:
    script = client.register_script("return {KEYS[1], ARGV[1]}")
    await client.script_flush()
    answers = await asyncio.gather(*(script(keys=["k"], args=[number]) for number in range(20)))
    assert answers == [["k", str(number)] for number in range(20)]


async def test_fifty_at_once_are_few_reads_and_one_connection(client: MultiplexedRedis, redis_pair: RedisPair) -> None:
    await client.ping()
    before = await redis_pair.state.info()
    await asyncio.gather(*(client.get(f"key-{number}") for number in range(50)))
    after = await redis_pair.state.info()
    assert after["total_reads_processed"] - before["total_reads_processed"] <= 5
    assert after["connected_clients"] == before["connected_clients"]


async def test_they_are_carried_out_in_the_order_in_which_they_were_asked(client: MultiplexedRedis) -> None:
    await asyncio.gather(*(client.rpush("list", number) for number in range(50)))
    assert await client.lrange("list", 0, -1) == [str(number) for number in range(50)]


async def test_a_caller_that_gives_up_harms_nobody(client: MultiplexedRedis) -> None:
    await client.ping()
    given_up, other = asyncio.ensure_future(client.set("one", "1")), asyncio.ensure_future(client.set("two", "2"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other is True
    assert await asyncio.gather(client.get("one"), client.get("two")) == ["1", "2"]
    assert given_up.cancelled()


async def test_what_may_take_its_time_holds_nobody_up(client: MultiplexedRedis) -> None:
    popped = asyncio.ensure_future(client.blpop(["list"], timeout=5))
    await asyncio.sleep(0)
    assert await client.rpush("list", "x") == 1
    assert await popped == ("list", "x")


async def test_an_answer_longer_than_one_read(client: MultiplexedRedis) -> None:
    long = "ä" * 400_000
    await client.set("long", long)
    assert await asyncio.gather(client.get("long"), client.get("none"), client.get("long")) == [long, None, long]


async def test_a_store_that_is_gone_is_an_error_for_each(
    client: MultiplexedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RedisError("gone")

    await client.aclose()
    with monkeypatch.context() as gone:
        gone.setattr(client.connection_pool, "get_connection", refuse)
        found = await asyncio.gather(*(client.get("x") for _ in range(5)), return_exceptions=True)
        assert [str(error) for error in found] == ["gone"] * 5
        assert len({id(error) for error in found}) == 5
    assert await client.get("x") is None


async def test_a_connection_that_breaks_fails_all_on_it_and_nothing_is_sent_again(scripted: Scripted) -> None:
    client = scripted.client
    assert await client.get("b") == "x"
    before = scripted.connections
    found = await asyncio.gather(client.incr("a"), client.get("b"), client.incr("c"), return_exceptions=True)
    assert [type(error) for error in found] == [RedisConnectionError] * 3
    assert len({id(error) for error in found}) == 3
    assert scripted.increments == 2
    assert await client.get("b") == "x"
    assert scripted.connections == before + 1


async def test_a_socket_that_fails_is_a_connection_error(
    client: MultiplexedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed")

    await client.ping()
    with monkeypatch.context() as broken:
        broken.setattr("asyncio.selector_events._SelectorSocketTransport.write", closed)
        with pytest.raises(RedisConnectionError, match="handler is closed"):
            await client.get("x")
    assert await client.get("x") is None


async def test_commands_that_the_socket_has_no_room_for_wait_their_turn(client: MultiplexedRedis) -> None:
    long = "x" * 300_000
    first = asyncio.gather(*(client.set(f"key-{number}", long) for number in range(20)))
    await asyncio.sleep(0.001)
    await client.set("last", "1")
    await first
    assert await asyncio.gather(client.get("last"), client.strlen("key-19")) == ["1", len(long)]


async def test_a_store_that_does_not_answer_is_waited_for_once(scripted: Scripted) -> None:
    client, began = scripted.client, time.monotonic()
    found = await asyncio.gather(client.llen("a"), client.get("b"), return_exceptions=True)
    assert [type(error) for error in found] == [RedisTimeoutError] * 2
    assert time.monotonic() - began < 2
    assert await client.get("b") == "x"


async def test_an_answer_to_nothing_ends_the_connection(scripted: Scripted) -> None:
    """Else every later answer would be somebody else's."""
    client = scripted.client
    assert await client.ttl("a") == 1
    before = scripted.connections
    await asyncio.sleep(0.01)
    assert await client.get("b") == "x"
    assert scripted.connections == before + 1


async def test_the_connection_goes_back_to_the_pool(client: MultiplexedRedis) -> None:
    await client.ping()
    await client.aclose()
    pool = client.connection_pool
    held = [await pool.get_connection() for _ in range(64)]
    assert all(connection.socket_timeout for connection in held)
    for connection in held:
        await pool.release(connection)
    assert await client.ping()


async def test_a_pool_that_is_closed_first_waits_for_nothing(client: MultiplexedRedis) -> None:
    await client.ping()
    async with asyncio.timeout(1):
        await client.connection_pool.disconnect()
    assert await client.ping()
