"""Editing, deleting and forgetting: the same in the tail and in closed windows, from any number of servers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from server.errors import NotFound
from server.ids import Scope
from server.memory.log import ConversationLog
from server.memory.messages import Role
from server.memory.service import Memory
from server.memory.views import Speakers
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair
from tests.memory.fakes import Faulty, Scribe, window_answer
from tests.memory.test_windows import Killed, die, nothing_stray

NAMES = Speakers("Ann", "Mira")


async def fill(memory: Memory, scope: Scope, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        role = Role.ASSISTANT if number % 2 else Role.USER
        await memory.append(scope, role, f"line {number}", speakers=NAMES)
    await memory.upkeep(scope)


async def lines(memory: Memory, scope: Scope) -> list[str]:
    return [message.text for message in (await memory.history(scope, limit=1_000)).messages]


async def id_of(memory: Memory, scope: Scope, number: int) -> str:
    return (await memory.history(scope, limit=1_000)).messages[number].id


@pytest.mark.parametrize("number", [0, 5, 11, 12, 13])
async def test_an_edit_is_seen_everywhere(memory: Memory, scope: Scope, number: int) -> None:
    await fill(memory, scope, 14)
    id = await id_of(memory, scope, number)
    edited = await memory.edit(scope, id, "changed")
    assert edited.id == id and edited.text == "changed"
    assert await memory.message(scope, id) == edited
    expected = [f"line {each}" for each in range(14)]
    expected[number] = "changed"
    assert await lines(memory, scope) == expected
    assert [message.text for message in await memory.recent(scope, max_tokens=10_000)] == expected
    found = await memory.recall(scope, "changed", speakers=NAMES, budget_tokens=20)
    assert "changed" in [turn.text for span in found.spans for turn in span.turns]


async def test_a_reply_in_a_closed_window_can_still_be_generated_again(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 14)
    message = await memory.message(scope, await id_of(memory, scope, 3))
    new = replace(message.said, text="another reply")
    swiped = await memory.finish_reply(scope, await memory.epoch(scope), message.seq, new, mode="add")
    assert swiped is not None and [each.text for each in swiped.alternatives] == ["line 3", "another reply"]
    assert (await lines(memory, scope))[3] == "another reply"
    assert (await memory.choose(scope, message.id, 0)).text == "line 3"
    assert (await lines(memory, scope))[3] == "line 3"


async def test_only_changed_turns_are_embedded_again(
    make_memory: Callable[..., Memory], memory: Memory, scope: Scope, chroma: ChromaShards
) -> None:
    await fill(memory, scope, 6)
    record = (await chroma.find(str(scope), {"scope": str(scope)}))[0]
    await memory.edit(scope, await id_of(memory, scope, 2), "changed")
    again = (await chroma.find(str(scope), {"scope": str(scope)}))[0]
    assert again.id != record.id and again.metadata["vectors"] != record.metadata["vectors"]


async def test_an_edit_that_changes_nothing_said_keeps_what_was_derived(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    memory = make_memory(model=Scribe(window_answer("S.", "F.")))
    await fill(memory, scope, 6)
    message = await memory.message(scope, await id_of(memory, scope, 1))
    await memory.edit(scope, message.id, message.text)
    same = replace(message.said, model="another model")
    done = await memory.finish_reply(scope, await memory.epoch(scope), message.seq, same, mode="replace")
    assert done is not None and await memory.message(scope, message.id) == done != message
    window = (await memory.windows(scope)).windows[0]
    assert (window.summary, window.facts) == ("S.", ("F.",))


async def test_many_edits_at_once_all_count(make_memory: Callable[..., Memory], scope: Scope) -> None:
    servers = [make_memory(), make_memory()]
    await fill(servers[0], scope, 14)
    ids = [message.id for message in (await servers[0].history(scope)).messages]
    await asyncio.gather(*(servers[number % 2].edit(scope, id, f"new {number}") for number, id in enumerate(ids)))
    for server in servers:
        await server.idle()
    assert await lines(servers[0], scope) == [f"new {number}" for number in range(14)]


@pytest.mark.parametrize("number", [0, 1, 4, 7, 11, 12, 13])
async def test_deleting_takes_a_message_and_all_after_it(
    memory: Memory, scope: Scope, redis_pair: RedisPair, chroma: ChromaShards, number: int
) -> None:
    await fill(memory, scope, 14)
    id = await id_of(memory, scope, number)
    assert await memory.delete_from(scope, id) == 14 - number
    assert await lines(memory, scope) == [f"line {each}" for each in range(number)]
    with pytest.raises(NotFound):
        await memory.message(scope, id)
    later = await memory.append(scope, Role.USER, "goes on")
    assert later.seq == 15  # never an old id for another message
    await memory.idle()
    await fill(memory, scope, 13, start=number + 1)
    assert await lines(memory, scope) == [
        *(f"line {each}" for each in range(number)),
        "goes on",
        *(f"line {each}" for each in range(number + 1, number + 14)),
    ]
    await nothing_stray(redis_pair, chroma, memory, scope)


async def test_a_window_that_closes_while_a_message_is_deleted_hides_nothing_from_it(
    memory: Memory, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [await memory.append(scope, Role.USER, f"line {number}", speakers=NAMES) for number in range(14)]
    locate = ConversationLog.locate

    async def slow(log: ConversationLog, *place: Any) -> object:
        found = await locate(log, *place)
        await memory.upkeep(scope)
        return found

    monkeypatch.setattr(ConversationLog, "locate", slow)
    assert await memory.delete_from(scope, said[3].id) == 11
    assert await lines(memory, scope) == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize("numbers", [[0], [5], [13], [4, 5, 6, 7], [0, 1, 2, 3, 12], list(range(14))])
async def test_forgetting_leaves_no_trace(
    make_memory: Callable[..., Memory],
    scope: Scope,
    redis_pair: RedisPair,
    chroma: ChromaShards,
    numbers: list[int],
) -> None:
    async def answer(request: object) -> str:
        held = [f"canary{number}x" for number in range(14) if f"canary{number}x" in str(request)]
        return window_answer(f"About {held}.", *(f"Fact of {each}." for each in held))

    memory = make_memory(model=Scribe(answer, rolling="All of canary0x canary5x canary13x."), summary_every=1)
    for number in range(14):
        role = Role.ASSISTANT if number % 2 else Role.USER
        message = await memory.append(scope, role, f"line canary{number}x")
        if number in (5, 13):
            await memory.pin(scope, message_id=message.id)
    await memory.pin(scope, text="a note of one's own")
    await memory.upkeep(scope)
    assert await memory.summary(scope) is not None
    memory.cancel(scope)

    without = make_memory()
    ids = [await id_of(without, scope, number) for number in numbers]
    assert await without.forget(scope, ids) == len(numbers)
    assert await without.forget(scope, ids) == 0
    await without.idle()
    kept = [f"line canary{number}x" for number in range(14) if number not in numbers]
    assert await lines(without, scope) == kept
    everything = str(await without.export(scope)) + str(await chroma.find(str(scope), {"scope": str(scope)}))
    for number in numbers:
        assert f"canary{number}x" not in everything
    pinned = [pin.text for pin in await without.pins(scope)]
    assert pinned[-1] == "a note of one's own" and len(pinned) == 3 - len({5, 13} & set(numbers))
    await nothing_stray(redis_pair, chroma, without, scope)


async def test_forgetting_knows_only_this_conversation(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope, 6)
    bob = Scope("home", "bob", "mira")
    await fill(memory, bob, 6)
    ids = [message.id for message in (await memory.history(bob)).messages]
    assert await memory.forget(scope, ids) == 0
    assert await lines(memory, bob) == await lines(memory, scope) == [f"line {each}" for each in range(6)]
    with pytest.raises(NotFound):
        await memory.forget(scope, ["not an id"])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["add", "delete"])
async def test_a_server_killed_while_it_rewrites_leaves_the_old_text_or_the_new(
    make_memory: Callable[..., Memory],
    scope: Scope,
    redis_pair: RedisPair,
    chroma: ChromaShards,
    clock: "object",
    method: str,
    after: bool,
) -> None:
    memory = make_memory()
    await fill(memory, scope, 14)
    dying = make_memory(chroma=Faulty(chroma, method, die, after=after))
    with pytest.raises(Killed):
        await dying.edit(scope, await id_of(memory, scope, 1), "changed")
    expected = [f"line {each}" for each in range(14)]
    if method == "delete":
        expected[1] = "changed"
    assert await lines(memory, scope) == expected
    clock.advance(minutes=10)  # type: ignore[attr-defined]
    await memory.upkeep(scope)
    assert await lines(memory, scope) == expected
    await nothing_stray(redis_pair, chroma, memory, scope)
