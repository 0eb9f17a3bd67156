"""The newest messages of a conversation: from the tail and the hot buffer, which is a cache and no more."""

from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio

from server.errors import StoreUnavailable
from server.ids import Scope
from server.memory.keys import Keys
from server.memory.messages import Role
from server.memory.service import Memory
from server.memory.tokens import estimate_tokens
from server.memory.views import Speakers
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair


class Broken:
    """A store of which nothing answers."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("The index failed.", store="index")

        return fail


async def fill(memory: Memory, scope: Scope, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        await memory.append(scope, Role.ASSISTANT if number % 2 else Role.USER, f"line {number} of {scope.user}")
    await memory.upkeep(scope)


async def recent(memory: Memory, scope: Scope, tokens: int = 10_000, **rest: Any) -> list[str]:
    return [message.text for message in await memory.recent(scope, max_tokens=tokens, **rest)]


async def test_the_newest_that_fit_oldest_first(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 12)
    assert await recent(memory, scope) == [f"line {number} of ann" for number in range(12)]
    one = estimate_tokens("line 11 of ann")
    assert await recent(memory, scope, 7 * one) == [f"line {number} of ann" for number in range(5, 12)]
    assert await recent(memory, scope, one - 1) == []
    assert await recent(memory, scope, before_seq=7) == [f"line {number} of ann" for number in range(6)]


async def test_what_nobody_has_said_is_left_out(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    assert await recent(memory, scope) == ["Hi"]
    assert await recent(memory, scope, before_seq=turn.reply.seq - 1) == []


async def test_only_so_many_are_recent(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 60)
    assert await recent(memory, scope) == [f"line {number} of ann" for number in range(40, 60)]


async def test_the_index_is_not_read_while_the_buffer_is_hot(
    memory: Memory, make_memory: Callable[..., Memory], scope: Scope
) -> None:
    await fill(memory, scope, 60)
    without = make_memory(chroma=Broken())
    assert await recent(without, scope) == await recent(memory, scope)


async def test_a_lost_buffer_is_made_again(
    memory: Memory, make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair
) -> None:
    await fill(memory, scope, 60)
    await redis_pair.cache.delete(Keys.of(scope).hot)
    expected = [f"line {number} of ann" for number in range(40, 60)]
    assert await recent(memory, scope) == expected
    assert await recent(make_memory(chroma=Broken()), scope) == expected


async def test_a_buffer_that_lost_a_part_is_made_whole(
    memory: Memory, make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair
) -> None:
    await fill(memory, scope, 60)
    await redis_pair.cache.ltrim(Keys.of(scope).hot, -1, -1)
    expected = [f"line {number} of ann" for number in range(40, 60)]
    assert await recent(memory, scope) == expected
    assert await recent(make_memory(chroma=Broken()), scope) == expected


async def test_the_buffer_is_bounded_and_passes(memory: Memory, scope: Scope, redis_pair: RedisPair) -> None:
    await fill(memory, scope, 60)
    assert await redis_pair.cache.llen(Keys.of(scope).hot) == 4
    assert 0 < await redis_pair.cache.ttl(Keys.of(scope).hot) <= 7 * 86_400


async def test_what_waits_for_a_window_never_passes(memory: Memory, scope: Scope, redis_pair: RedisPair) -> None:
    await fill(memory, scope, 11)
    for key in await redis_pair.state.keys("vestige:*"):
        if key != Keys.of(scope).hot:
            assert await redis_pair.state.ttl(key) == -1


async def test_a_dead_cache_costs_no_turn(
    make_memory: Callable[..., Memory], memory: Memory, scope: Scope, redis_pair: RedisPair, names: Speakers
) -> None:
    await fill(memory, scope, 30)
    dead = redis.asyncio.Redis.from_url("redis://127.0.0.1:1", decode_responses=True)
    without = make_memory(redis=RedisPair(redis_pair.state, dead))
    assert len(await recent(without, scope)) == 18
    assert await without.summary(scope) is None
    assert (await without.recall(scope, "line 3", speakers=names, budget_tokens=200)).spans
    turn = await without.begin_turn(scope, "still works")
    assert (await recent(without, scope))[-1] == "still works"
    await fill(without, scope, 8, start=30)
    assert (await memory.message(scope, turn.reply.id)).text == ""
    await dead.aclose()


async def test_forgetting_fails_rather_than_leave_text_in_a_cache_that_is_down(
    make_memory: Callable[..., Memory], memory: Memory, scope: Scope, redis_pair: RedisPair
) -> None:
    await fill(memory, scope, 12)
    dead = redis.asyncio.Redis.from_url("redis://127.0.0.1:1", decode_responses=True)
    without = make_memory(redis=RedisPair(redis_pair.state, dead))
    first = (await memory.history(scope)).messages[0]
    with pytest.raises(StoreUnavailable):
        await without.forget(scope, [first.id])
    assert await memory.message(scope, first.id) == first
    assert await memory.forget(scope, [first.id]) == 1
    await dead.aclose()


async def test_a_dead_state_store_is_a_typed_error(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, names: Speakers
) -> None:
    dead = redis.asyncio.Redis.from_url("redis://127.0.0.1:1", decode_responses=True)
    without = make_memory(redis=RedisPair(dead, redis_pair.cache))
    for call in (
        without.begin_turn(scope, "Hi"),
        without.recent(scope, max_tokens=10),
        without.history(scope),
        without.summary(scope),
        without.pins(scope),
        without.recall(scope, "what", speakers=names, budget_tokens=10),
        without.reset(scope),
        without.delete_user("home", "ann"),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await dead.aclose()


async def test_one_person_never_reads_another(memory: Memory, names: Speakers) -> None:
    people = [Scope("home", "ann", "mira"), Scope("home", "ann2", "mira"), Scope("work", "ann", "mira")]
    for who, secret in zip(people, ("tulip", "basalt", "harbour"), strict=True):
        for number in range(12):
            await memory.append(who, Role.USER, f"my secret word is {secret} {number}")
        await memory.upkeep(who)
    for who, secret in zip(people, ("tulip", "basalt", "harbour"), strict=True):
        said = [message.text for message in await memory.recent(who, max_tokens=10_000)]
        found = await memory.recall(who, "secret word", speakers=names, budget_tokens=2_000)
        said += [turn.text for span in found.spans for turn in span.turns]
        assert said and all(secret in text for text in said)
        for other in people:
            if other != who:
                window = (await memory.windows(other)).windows[0]
                with pytest.raises(Exception, match="no window"):
                    await memory.set_facts(who, window.id, ["mine now"])


async def test_the_buffer_holds_nothing_that_was_changed(
    memory: Memory, scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    await fill(memory, scope, 12)
    target = (await memory.history(scope)).messages[1]
    await memory.edit(scope, target.id, "something else")
    await memory.idle()
    assert (await recent(memory, scope))[1] == "something else"
    assert "line 1 of ann" not in str(await redis_pair.cache.lrange(Keys.of(scope).hot, 0, -1))
    assert "line 1 of ann" not in str(await chroma.find(str(scope), {"scope": str(scope)}))
