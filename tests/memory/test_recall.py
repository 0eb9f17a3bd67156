"""Recall finds what was said, wherever it is kept, and is never out of date."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from server.ids import Scope
from server.memory.embedding import HashEmbedder
from server.memory.messages import Alternative, Role
from server.memory.recall import Found
from server.memory.service import Memory
from server.memory.views import Recall, Speakers
from server.stores.chroma import ChromaShards

NAMES = Speakers("Ann", "Mira")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


async def talk(memory: Memory, scope: Scope, *lines: str, day: int = 0) -> None:
    for number, line in enumerate(lines):
        role = Role.ASSISTANT if number % 2 else Role.USER
        at = START + timedelta(days=day, minutes=number)
        await memory.append(scope, role, line, at=at, speakers=NAMES)


def small_talk(count: int) -> list[str]:
    weather = ["rainy", "sunny", "windy", "foggy"]
    return [f"It is {weather[number % 4]} again, day {number} of it." for number in range(count)]


async def find(memory: Memory, scope: Scope, query: str, budget: int = 40, before: int | None = None) -> Recall:
    return await memory.recall(scope, query, speakers=NAMES, budget_tokens=budget, before_seq=before)


def texts(found: Recall) -> list[str]:
    return [turn.text for span in found.spans for turn in span.turns]


async def test_spans_are_dated_and_say_where_they_come_from(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, *small_talk(10))
    await talk(memory, scope, "My sister Judit plays the cello.", "How lovely!", day=3)
    await talk(memory, scope, *small_talk(10), day=9)
    await memory.upkeep(scope)
    found = await find(memory, scope, "What does my sister Judit play, the cello?")
    assert 0 < found.tokens <= 40
    span = next(span for span in found.spans if "cello" in span.turns[0].text)
    turn = span.turns[0]
    assert (turn.speaker, turn.role) == ("Ann", Role.USER)
    assert turn.created == span.start == START + timedelta(days=3)
    message = await memory.message(scope, turn.message_id)
    assert message.text == turn.text and span.start_id == turn.message_id
    assert list(found.spans) == sorted(found.spans, key=lambda span: span.start)


async def test_the_tail_is_found_before_any_window_closes(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, "My sister Judit plays the cello.", "How lovely!")
    assert "My sister Judit plays the cello." in texts(await find(memory, scope, "the cello of my sister"))


async def test_what_stands_in_the_prompt_already_is_left_out(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, "The cello is blue.", *small_talk(11), "The cello is red.")
    await memory.upkeep(scope)
    found = texts(await find(memory, scope, "the cello", budget=400, before=13))
    assert "The cello is blue." in found and "The cello is red." not in found
    assert (await find(memory, scope, "the cello", before=1)).spans == ()


async def test_every_new_turn_is_found_at_once(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, *small_talk(9))
    await find(memory, scope, "anything")
    for number in range(30):
        await talk(memory, scope, f"Item {number} is called zebra{number}.", day=number + 1)
        if number % 4 == 3:
            await memory.upkeep(scope)
        for wanted in {0, number // 2, number}:
            assert f"Item {wanted} is called zebra{wanted}." in texts(
                await find(memory, scope, f"What is zebra{wanted}?", budget=200)
            )


async def test_another_server_sees_what_this_one_wrote(make_memory: Callable[..., Memory], scope: Scope) -> None:
    here, there = make_memory(), make_memory()
    await talk(here, scope, "The cello is blue.", *small_talk(20))
    await here.upkeep(scope)
    assert "The cello is blue." in texts(await find(there, scope, "the cello"))
    first = (await here.history(scope)).messages[0]
    await here.edit(scope, first.id, "The cello is green.")
    found = texts(await find(there, scope, "the cello"))
    assert "The cello is green." in found and "The cello is blue." not in found
    await here.reset(scope)
    assert (await find(there, scope, "the cello")).spans == ()
    await talk(here, scope, "The cello is gold.")
    assert texts(await find(there, scope, "the cello")) == ["The cello is gold."]


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("change", ["edit", "swipe", "forget", "delete"])
async def test_what_was_changed_is_not_found_any_more(memory: Memory, scope: Scope, change: str, closed: bool) -> None:
    await talk(memory, scope, "Tell me of the cello.", "The cello is blue.", *small_talk(12 if closed else 2))
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == (3 if closed else 0)
    assert "The cello is blue." in texts(await find(memory, scope, "the cello is blue"))
    target = (await memory.history(scope)).messages[1]
    match change:
        case "edit":
            await memory.edit(scope, target.id, "The cello is green.")
        case "swipe":
            new = Alternative("The cello is green.", START)
            epoch = await memory.epoch(scope)
            await memory.finish_reply(scope, epoch, target.seq, new, mode="add")
        case "forget":
            await memory.forget(scope, [target.id])
        case _:
            await memory.delete_from(scope, target.id)
    found = texts(await find(memory, scope, "the cello is blue", budget=400))
    assert "The cello is blue." not in found and "Tell me of the cello." in found
    assert ("The cello is green." in found) == (change in ("edit", "swipe"))


async def test_renaming_a_character_renames_it_in_what_it_remembers(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, "Who has the cello?", "I have the cello.", *small_talk(8))
    await memory.upkeep(scope)
    await find(memory, scope, "cello")
    found = await memory.recall(scope, "cello", speakers=Speakers("Ann", "Zoe"), budget_tokens=400)
    assert {turn.speaker for span in found.spans for turn in span.turns} == {"Ann", "Zoe"}


async def test_two_of_the_same_name_are_told_apart(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, "Who has the cello?", "I have the cello.")
    found = await memory.recall(scope, "cello", speakers=Speakers("Sam", "sam"), budget_tokens=400)
    assert [turn.role for span in found.spans for turn in span.turns] == [Role.USER, Role.ASSISTANT]


@pytest.mark.parametrize("query", ["", "  ", "?", "\x00", "🦄" * 500, "\ud83d", "word " * 20_000])
async def test_odd_queries_are_answered(memory: Memory, scope: Scope, query: str) -> None:
    await talk(memory, scope, *small_talk(12))
    await memory.upkeep(scope)
    assert (await find(memory, scope, query, budget=60)).tokens <= 60


async def test_no_budget_no_recall(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, "The cello is blue.")
    assert await find(memory, scope, "cello", budget=0) == Recall()


async def test_recalls_at_once_load_a_conversation_once(
    make_memory: Callable[..., Memory], scope: Scope, chroma: ChromaShards
) -> None:
    await talk(make_memory(), scope, "The cello is blue.", *small_talk(40))
    await make_memory().upkeep(scope)
    read: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(chroma, name)

        async def get(self, key: str, ids: list[str]) -> object:
            read.append(len(ids))
            return await chroma.get(key, ids)

    memory = make_memory(chroma=Counting())
    found = await asyncio.gather(*(find(memory, scope, "the cello is blue") for _ in range(10)))
    assert all("The cello is blue." in texts(each) for each in found)
    assert sum(read) == 9


async def test_memory_for_indexes_is_bounded(make_memory: Callable[..., Memory]) -> None:
    registry = CollectorRegistry()
    memory = make_memory(index_cache_bytes=60_000, registry=registry)
    scopes = [Scope("home", f"user{number}", "mira") for number in range(6)]
    for scope in scopes:
        await talk(memory, scope, f"The cello of {scope.user} is blue.", *small_talk(24))
        await memory.upkeep(scope)
    for scope in (*scopes, *scopes):
        assert f"The cello of {scope.user} is blue." in texts(await find(memory, scope, "the cello is blue"))
    held = registry.get_sample_value("vestige_memory_index_bytes")
    assert held is not None and 0 < held <= 60_000


async def test_a_record_that_is_gone_from_the_index_costs_its_own_turns_only(
    memory: Memory, scope: Scope, chroma: ChromaShards
) -> None:
    await talk(memory, scope, "The cello is blue.", *small_talk(20), "The piano is black.")
    await memory.upkeep(scope)
    windows = (await memory.windows(scope)).windows
    await chroma.delete(str(scope), [windows[1].id])
    assert "The cello is blue." in texts(await find(memory, scope, "the cello is blue"))
    assert len((await memory.history(scope, limit=100)).messages) == 18


async def test_a_search_knows_what_messages_mean_that_it_went_through(memory: Memory, scope: Scope) -> None:
    await talk(memory, scope, *small_talk(40))
    await memory.upkeep(scope)
    found = await memory.search(scope, memory.ask("the weather", speakers=NAMES))
    first = (await memory.history(scope, before=3, limit=2)).messages
    meanings = found.meanings(first)
    assert list(meanings) == [message.text for message in first]
    embedded = await HashEmbedder().embed(list(meanings), "passage")
    np.testing.assert_allclose(np.stack(list(meanings.values())), embedded, atol=0.01)
    changed = replace(first[0], alternatives=(Alternative("Something else", START),))
    elsewhere = replace(first[1], seq=4_000)
    assert found.meanings([changed, elsewhere]) == {}
    assert Found().meanings(first) == {}
