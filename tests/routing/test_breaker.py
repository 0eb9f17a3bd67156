"""When a failing model rests, and who may try it again."""

import asyncio
from collections.abc import Callable

import pytest

from server.routing.breaker import NoBreaker
from server.routing.breaker import shared as module
from server.routing.breaker.shared import RedisBreaker
from server.routing.policy.model import BreakerRules
from server.stores.redis import RedisPair
from tests.harness import until

MODEL = ("openrouter", "vendor/m")
Make = Callable[..., RedisBreaker]


@pytest.fixture
def make(redis_pair: RedisPair, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Breakers of several servers over one Redis; what was read is remembered for no time."""
    monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)

    def make(**rules: float) -> RedisBreaker:
        return RedisBreaker(redis_pair.cache, BreakerRules.model_validate({"failures": 3, "rest_seconds": 60, **rules}))

    return make


async def fail(breaker: RedisBreaker, times: int) -> None:
    for _ in range(times):
        await breaker.failed(*MODEL)


async def asks(breaker: RedisBreaker) -> bool:
    """Whether a request for the model would go out."""
    [rest] = await breaker.rests([MODEL])
    return rest == 0 and await breaker.admit(*MODEL) == 0


async def test_so_many_failures_in_a_row_rest_it_for_every_server(make: Make) -> None:
    ours, theirs = make(), make()
    await fail(ours, 2)
    assert await asks(theirs)
    await theirs.failed(*MODEL)
    assert not await asks(ours)
    [rest] = await theirs.rests([MODEL])
    assert 55 < rest <= 60
    assert await theirs.rests([("openrouter", "vendor/other"), ("elsewhere", "vendor/m")]) == [0, 0]


async def test_a_success_between_them_starts_the_count_anew(make: Make) -> None:
    breaker = make()
    await fail(breaker, 2)
    assert await asks(breaker)
    await breaker.succeeded(*MODEL)
    await fail(breaker, 2)
    assert await asks(breaker)


async def test_retry_after_is_kept_to_at_once_and_within_reason(make: Make) -> None:
    breaker = make()
    await breaker.failed(*MODEL, 20)
    [rest] = await breaker.rests([MODEL])
    assert 15 < rest <= 20
    await breaker.failed(*MODEL, 10**9)
    [rest] = await breaker.rests([MODEL])
    assert rest <= module.MAX_RETRY_AFTER


async def over(breaker: RedisBreaker) -> None:
    """Waits until the model's rest is over."""

    async def rested() -> bool:
        return (await breaker.health([MODEL]))[0].state == "half_open"

    await until(rested)


async def test_after_its_rest_one_request_of_all_servers_is_the_probe(make: Make) -> None:
    servers = [make(failures=1, rest_seconds=0.05) for _ in range(8)]
    await fail(servers[0], 1)
    await over(servers[0])
    asked = await asyncio.gather(*(asks(server) for server in servers))
    assert sum(asked) == 1
    prober = servers[asked.index(True)]
    await prober.succeeded(*MODEL)
    assert [await asks(server) for server in servers] == [True] * 8
    assert (await prober.health([MODEL]))[0].failures == 0


async def test_a_probe_that_fails_doubles_the_rest_up_to_the_longest(make: Make) -> None:
    breaker = make(failures=1, rest_seconds=0.04, longest_seconds=0.1)
    rests = []
    for _ in range(4):
        await breaker.failed(*MODEL)
        rests.append((await breaker.health([MODEL]))[0].rest)
        await over(breaker)
        assert await asks(breaker)
    assert rests[0] <= 0.04 < rests[1] <= 0.08 < rests[2] <= 0.1
    assert rests[3] <= 0.1


async def test_a_probe_that_shows_nothing_leaves_the_place_to_another(make: Make) -> None:
    ours, theirs = make(failures=1, rest_seconds=0.05), make(failures=1, rest_seconds=0.05)
    await fail(ours, 1)
    await over(ours)
    assert await asks(ours)
    assert not await asks(theirs)
    await ours.rests([MODEL])
    await ours.released(*MODEL)
    assert await asks(theirs)


async def test_failures_that_were_under_way_do_not_lengthen_the_rest(make: Make) -> None:
    breaker = make(failures=1, rest_seconds=60)
    await fail(breaker, 20)
    assert (await breaker.health([MODEL]))[0].rest <= 60


async def test_a_healthy_model_costs_no_round_trip(redis_pair: RedisPair) -> None:
    breaker = RedisBreaker(redis_pair.cache, BreakerRules())
    await breaker.rests([MODEL])
    before = (await redis_pair.cache.info("stats"))["total_commands_processed"]
    for _ in range(20):
        await breaker.rests([MODEL])
        await breaker.admit(*MODEL)
        await breaker.succeeded(*MODEL)
    assert (await redis_pair.cache.info("stats"))["total_commands_processed"] == before + 1


async def test_names_are_data_and_never_part_of_a_script_or_a_key(redis_pair: RedisPair, make: Make) -> None:
    breaker, nasty = make(), ("p", "x'] redis.call('FLUSHALL') --\n" + "é" * 300)
    await redis_pair.cache.set("kept", "1")
    await breaker.failed(*nasty)
    assert (await breaker.health([nasty]))[0].failures == 1
    assert await redis_pair.cache.get("kept") == "1"
    keys = [key async for key in redis_pair.cache.scan_iter("vestige:routing:*")]
    assert [len(key) for key in keys] == [len("vestige:routing:breaker:") + 32]


async def test_without_redis_nothing_rests(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = make(failures=1)
    await breaker.failed(*MODEL)

    async def gone(*_: object, **__: object) -> None:
        raise ConnectionError

    for name in ("_look", "_claim", "_failed"):
        monkeypatch.setattr(breaker, name, gone)
    assert await breaker.rests([MODEL]) == [0]
    await breaker.failed(*MODEL)
    assert await asks(breaker)


async def test_no_breaker_never_rests_anything() -> None:
    breaker = NoBreaker()
    await breaker.failed(*MODEL, 60)
    assert await breaker.rests([MODEL]) == [0]
    assert await breaker.admit(*MODEL) == 0
