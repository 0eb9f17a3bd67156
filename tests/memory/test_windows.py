"""Closing windows: nothing lost and nothing doubled, whoever races and wherever it dies."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from server.errors import StoreUnavailable
from server.ids import Scope
from server.memory.keys import GARBAGE, Keys
from server.memory.messages import Role, Status
from server.memory.service import Memory
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair
from tests.memory.conftest import Clock
from tests.memory.fakes import Faulty

W = 4  # messages per window in these tests


class Killed(BaseException):
    """kill -9: no handler of ours runs after it."""


async def die() -> None:
    raise Killed


class DeadlyCache:
    """Writing to it ends the process."""

    def pipeline(self, **_: Any) -> Any:
        raise Killed


async def be_gone() -> None:
    raise StoreUnavailable("The index failed.", store="index")


async def fill(memory: Memory, scope: Scope, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        await memory.append(scope, Role.ASSISTANT if number % 2 else Role.USER, f"line {number} of {scope.user}")


async def lines(memory: Memory, scope: Scope) -> list[str]:
    return [message.text for message in (await memory.history(scope, limit=1_000)).messages]


async def nothing_stray(redis: RedisPair, chroma: ChromaShards, memory: Memory, scope: Scope) -> None:
    """Chroma holds the records of the live windows and no other, and no list of garbage is left."""
    live = {window.id for window in (await memory.windows(scope, limit=1_000)).windows}
    stored = {record.id for record in await chroma.find(str(scope), {"scope": str(scope)})}
    assert stored == live
    assert await redis.state.zrange(GARBAGE, 0, -1) == []


async def test_a_window_closes_when_enough_messages_stand_before_the_last_exchange(
    memory: Memory, scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    await fill(memory, scope, W + 1)
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 0
    await fill(memory, scope, 1, start=W + 1)
    await memory.upkeep(scope)
    page = await memory.windows(scope)
    assert page.total == 1 and not page.more
    assert [message.text for message in page.windows[0].messages] == [f"line {number} of ann" for number in range(W)]
    assert await redis_pair.state.hlen(Keys.of(scope).tail) == 2
    assert await lines(memory, scope) == [f"line {number} of ann" for number in range(W + 2)]
    await nothing_stray(redis_pair, chroma, memory, scope)


async def test_all_due_windows_close_at_once(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 40)
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 9
    assert await lines(memory, scope) == [f"line {number} of ann" for number in range(40)]


async def test_windows_keep_every_alternative(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    for text, mode in (("one", "fill"), ("two", "add"), ("three", "add")):
        said = replace(turn.reply.said, text=text, status=Status.COMPLETE)
        await memory.finish_reply(scope, turn.epoch, turn.reply.seq, said, mode=mode)  # type: ignore[arg-type]
    await memory.choose(scope, turn.reply.id, 1)
    before = await memory.message(scope, turn.reply.id)
    await fill(memory, scope, 8)
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 2
    after = await memory.message(scope, turn.reply.id)
    assert after == before and [each.text for each in after.alternatives] == ["one", "two", "three"]


async def test_windows_page_from_the_newest(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 30)
    await memory.upkeep(scope)
    first = await memory.windows(scope, limit=3)
    assert [window.index for window in first.windows] == [6, 5, 4] and first.more and first.total == 7
    rest = await memory.windows(scope, before=4, limit=10)
    assert [window.index for window in rest.windows] == [3, 2, 1, 0] and not rest.more
    assert (await memory.windows(scope, before=0)).windows == ()


async def test_a_reply_that_is_being_written_keeps_its_window_open(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await fill(memory, scope, 3 * W)
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 0
    said = replace(turn.reply.said, text="Hello", status=Status.COMPLETE)
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, said, mode="fill")
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 3


async def test_a_reply_whose_server_died_is_given_up_and_can_be_made_later(
    memory: Memory, scope: Scope, clock: Clock
) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await fill(memory, scope, 3 * W)
    clock.advance(hours=1)
    await memory.upkeep(scope)
    reply = await memory.message(scope, turn.reply.id)
    assert reply.status is Status.FAILED and reply.said.error == "abandoned" and reply.text == ""
    assert (await memory.windows(scope)).total == 3

    late = replace(turn.reply.said, text="Hello after all", status=Status.COMPLETE)
    done = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, late, mode="fill")
    assert done is not None and (await memory.message(scope, turn.reply.id)).text == "Hello after all"
    await memory.upkeep(scope)
    assert (await lines(memory, scope))[:3] == ["Hi", "Hello after all", "line 0 of ann"]


async def test_two_servers_that_close_the_same_window_close_it_once(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    servers = [make_memory() for _ in range(4)]
    await fill(servers[0], scope, 30)
    await asyncio.gather(*(server.upkeep(scope) for server in servers))
    assert (await servers[0].windows(scope)).total == 7
    assert await lines(servers[1], scope) == [f"line {number} of ann" for number in range(30)]
    await nothing_stray(redis_pair, chroma, servers[0], scope)


@pytest.mark.parametrize("change", ["edit", "swipe", "delete", "reset", "clear"])
async def test_what_changes_while_a_window_is_being_closed_counts(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards, change: str
) -> None:
    people = make_memory()
    turn = await people.begin_turn(scope, "Hi")
    said = replace(turn.reply.said, text="before", status=Status.COMPLETE)
    await people.finish_reply(scope, turn.epoch, turn.reply.seq, said, mode="fill")
    await fill(people, scope, W)
    changed: list[str] = []

    async def meanwhile() -> None:
        if changed:
            return
        changed.append(change)
        match change:
            case "edit":
                await people.edit(scope, turn.reply.id, "after")
            case "swipe":
                await people.finish_reply(scope, turn.epoch, turn.reply.seq, replace(said, text="after"), mode="add")
            case "delete":
                await people.delete_from(scope, turn.reply.id)
            case "reset":
                await people.reset(scope)
            case _:
                await people.clear(scope)

    closer = make_memory(chroma=Faulty(chroma, "add", meanwhile, after=True))
    await closer.upkeep(scope)
    rest = [f"line {number} of ann" for number in range(W)]
    expected = {
        "edit": ["Hi", "after", *rest],
        "swipe": ["Hi", "after", *rest],
        "delete": ["Hi"],
        "reset": [],
        "clear": [],
    }
    assert await lines(people, scope) == expected[change]
    assert (await people.windows(scope)).total == (1 if change in ("edit", "swipe") else 0)
    await closer.idle()
    await people.idle()
    await people.upkeep(scope)
    await nothing_stray(redis_pair, chroma, people, scope)


@pytest.mark.parametrize("when", ["the record is named", "the record is written", "the window lives"])
async def test_a_server_killed_while_it_closes_a_window_loses_and_doubles_nothing(
    make_memory: Callable[..., Memory],
    scope: Scope,
    redis_pair: RedisPair,
    chroma: ChromaShards,
    clock: Clock,
    when: str,
) -> None:
    match when:
        case "the record is named":
            dying = make_memory(chroma=Faulty(chroma, "add", die))
        case "the record is written":
            dying = make_memory(chroma=Faulty(chroma, "add", die, after=True))
        case _:
            dying = make_memory(redis=RedisPair(redis_pair.state, DeadlyCache()))  # type: ignore[arg-type]
    await fill(dying, scope, 14)
    with pytest.raises(Killed):
        await dying.upkeep(scope)

    memory = make_memory()
    assert await lines(memory, scope) == [f"line {number} of ann" for number in range(14)]
    await memory.upkeep(scope)
    assert await lines(memory, scope) == [f"line {number} of ann" for number in range(14)]
    held = [message.seq for window in reversed((await memory.windows(scope)).windows) for message in window.messages]
    assert held == list(range(1, 13))
    clock.advance(minutes=10)
    await memory.upkeep(scope)
    await nothing_stray(redis_pair, chroma, memory, scope)


async def test_the_sweeper_leaves_a_writer_that_lives_alone(
    make_memory: Callable[..., Memory], scope: Scope, chroma: ChromaShards
) -> None:
    sweeper = make_memory()

    async def sweep() -> None:
        await sweeper.upkeep(Scope("home", "bob", "mira"))

    memory = make_memory(chroma=Faulty(chroma, "add", sweep, after=True))
    await fill(memory, scope, 6)
    await memory.upkeep(scope)
    assert [len(window.messages) for window in (await memory.windows(scope)).windows] == [W]


async def test_a_writer_that_was_given_up_does_not_make_its_record_live(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards, clock: Clock
) -> None:
    sweeper = make_memory()

    async def sleep_long() -> None:
        clock.advance(minutes=10)
        await sweeper.upkeep(Scope("home", "bob", "mira"))

    slow = make_memory(chroma=Faulty(chroma, "add", sleep_long, after=True))
    await fill(slow, scope, 6)
    await slow.upkeep(scope)
    await sweeper.upkeep(scope)
    assert await lines(sweeper, scope) == [f"line {number} of ann" for number in range(6)]
    assert (await sweeper.windows(scope)).total == 1
    await nothing_stray(redis_pair, chroma, sweeper, scope)


async def test_a_dead_index_postpones_windows_and_nothing_else(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    memory = make_memory(chroma=Faulty(chroma, "add", be_gone))
    await fill(memory, scope, 10)
    with pytest.raises(StoreUnavailable):
        await memory.upkeep(scope)
    memory.settle(scope)
    await memory.idle()
    assert await lines(memory, scope) == [f"line {number} of ann" for number in range(10)]
    assert len(await memory.recent(scope, max_tokens=1_000)) == 10
    healthy = make_memory()
    await healthy.upkeep(scope)
    assert (await healthy.windows(scope)).total == 2


async def test_settling_closes_windows_in_the_background_and_closing_waits_for_them(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    memory = make_memory()
    await fill(memory, scope, 10)
    memory.settle(scope)
    await memory.aclose()
    assert (await make_memory().windows(scope)).total == 2


async def test_a_bug_in_the_background_is_counted_and_logged_without_a_word_of_text(
    make_memory: Callable[..., Memory], scope: Scope, chroma: ChromaShards
) -> None:
    async def stumble() -> None:
        raise ValueError("line 3 of ann is odd")

    registry = CollectorRegistry()
    memory = make_memory(chroma=Faulty(chroma, "add", stumble), registry=registry)
    with capture_logs() as logs:
        await fill(memory, scope, 10)
        memory.settle(scope)
        await memory.idle()
    assert [entry["event"] for entry in logs] == ["upkeep_failed"]
    assert logs[0]["error"] == "ValueError" and "of ann" not in str(logs)
    assert registry.get_sample_value("vestige_memory_upkeep_failures_total") == 1
    assert len(await lines(memory, scope)) == 10
