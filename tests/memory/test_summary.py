"""The rolling summary: written from windows, corrected by people, read through the cache."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from server.errors import InvalidRequest, ModelRefused, ModelTimeout, NotFound, TooLarge
from server.ids import Scope
from server.memory.keys import Keys
from server.memory.messages import Role
from server.memory.service import Memory
from server.memory.views import Speakers
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair
from tests.memory.conftest import Clock
from tests.memory.fakes import Gate, Scribe, window_answer

NAMES = Speakers("Ann", "Mira")
ENOUGH = 18  # messages for four windows of four


async def fill(memory: Memory, scope: Scope, count: int = ENOUGH, start: int = 0) -> None:
    for number in range(start, start + count):
        role = Role.ASSISTANT if number % 2 else Role.USER
        await memory.append(scope, role, f"line {number} of {scope.user}", speakers=NAMES)


async def text(memory: Memory, scope: Scope) -> str | None:
    summary = await memory.summary(scope)
    return summary.text if summary else None


async def test_it_is_written_after_some_windows_and_again_after_more(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    scribe = Scribe(rolling="First picture.")
    memory = make_memory(model=scribe)
    await fill(memory, scope, 14)
    await memory.upkeep(scope)
    assert await text(memory, scope) is None
    await fill(memory, scope, 4, start=14)
    await memory.upkeep(scope)
    summary = await memory.summary(scope)
    assert summary is not None
    assert (summary.text, summary.windows, summary.by) == ("First picture.", 4, "model")
    scribe.rolling = "Second picture."
    await fill(memory, scope, 16, start=18)
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Second picture."


async def test_it_is_written_from_windows_and_never_from_itself(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    scribe = Scribe(window_answer("A note on a window."), "The secret picture.")
    memory = make_memory(model=scribe)
    for start in range(0, 64, 16):
        await fill(memory, scope, 16, start=start)
        await memory.upkeep(scope)
    asked = scribe.about("rolling")
    assert len(asked) >= 3
    assert all("secret picture" not in data for data in asked)
    assert "A note on a window." in asked[-1]
    newest = [number for number in range(64) if f"line {number} of ann" in asked[-1]]
    assert newest == list(range(52, 60))  # the two newest windows word for word


async def test_a_long_past_is_sampled_within_the_budget(make_memory: Callable[..., Memory], scope: Scope) -> None:
    async def answer(request: object) -> str:
        number = str(request).split("line ")[1].split(" ")[0]
        return window_answer(f"Note {number} " + "and so on " * 20)

    scribe = Scribe(answer)
    memory = make_memory(model=scribe, summary_input_tokens=1_000)
    await fill(memory, scope, 280)
    await memory.upkeep(scope)
    data = scribe.about("rolling")[-1]
    noted = [int(part.split(" ")[0]) for part in data.split("Note ")[1:]]
    assert noted == sorted(noted) and 5 < len(noted) < 20
    assert noted[-1] > 260 and noted[0] < 50


async def test_it_is_read_through_the_cache(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    memory = make_memory(model=Scribe(rolling="The picture."))
    await fill(memory, scope)
    await memory.upkeep(scope)
    key = Keys.of(scope).summary_text
    assert await redis_pair.cache.get(key) is None
    assert await text(memory, scope) == "The picture."
    assert "The picture." in str(await redis_pair.cache.get(key))
    assert await redis_pair.cache.ttl(key) > 0
    ids = [record.id for record in await chroma.find(str(scope), {"kind": "summary"})]
    await chroma.delete(str(scope), ids)
    assert await text(memory, scope) == "The picture."
    await redis_pair.cache.delete(key)
    assert await text(memory, scope) is None
    assert await redis_pair.cache.get(key) is None


async def test_that_there_is_none_is_never_cached(memory: Memory, scope: Scope, redis_pair: RedisPair) -> None:
    await fill(memory, scope)
    await memory.upkeep(scope)
    assert await text(memory, scope) is None
    assert await redis_pair.cache.exists(Keys.of(scope).summary_text) == 0
    await memory.set_summary(scope, "They met.")
    assert await text(memory, scope) == "They met."


@pytest.mark.parametrize(
    "answer", ["", "  ", "I'm sorry, but I cannot do that.", "x" * 20_000, ModelRefused("no"), ModelTimeout("late")]
)
async def test_a_failed_one_is_never_stored_and_tried_again(
    make_memory: Callable[..., Memory], scope: Scope, clock: Clock, answer: str | Exception
) -> None:
    scribe = Scribe(rolling=answer)
    memory = make_memory(model=scribe)
    await fill(memory, scope)
    await memory.upkeep(scope)
    await memory.upkeep(scope)
    assert await text(memory, scope) is None and len(scribe.about("rolling")) == 1
    scribe.rolling = "At last."
    clock.advance(hours=2)
    await memory.upkeep(scope)
    assert await text(memory, scope) == "At last."


async def test_a_failed_one_leaves_the_one_before(make_memory: Callable[..., Memory], scope: Scope) -> None:
    scribe = Scribe(rolling="Good.")
    memory = make_memory(model=scribe)
    await fill(memory, scope)
    await memory.upkeep(scope)
    scribe.rolling = ""
    await fill(memory, scope, start=ENOUGH)
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Good."


async def test_a_correction_stands_and_later_ones_are_told_of_it(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    scribe = Scribe(rolling="Mira thinks Ann is a baker.")
    memory = make_memory(model=scribe)
    await fill(memory, scope)
    await memory.upkeep(scope)
    corrected = await memory.set_summary(scope, "Ann is a welder.")
    assert corrected.by == "user" and await text(memory, scope) == "Ann is a welder."
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Ann is a welder."

    scribe.rolling = "Ann, a welder, met Mira."
    await fill(memory, scope, 16, start=ENOUGH)
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Ann, a welder, met Mira."
    assert "Ann is a welder." in scribe.about("rolling")[-1] and "baker" not in scribe.about("rolling")[-1]
    await fill(memory, scope, 16, start=ENOUGH + 16)
    await memory.upkeep(scope)
    assert "Ann is a welder." in scribe.about("rolling")[-1]


async def test_taking_it_out_takes_the_correction_too(make_memory: Callable[..., Memory], scope: Scope) -> None:
    scribe = Scribe(rolling="Again.")
    memory = make_memory(model=scribe)
    await fill(memory, scope)
    await memory.set_summary(scope, "Ann is a welder.")
    await memory.remove_summary(scope)
    assert await text(memory, scope) is None
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Again." and "welder" not in scribe.about("rolling")[-1]


async def test_what_is_no_summary_is_refused(memory: Memory, scope: Scope) -> None:
    with pytest.raises(NotFound):
        await memory.set_summary(scope, "Nobody has spoken yet.")
    await fill(memory, scope, 1)
    with pytest.raises(InvalidRequest):
        await memory.set_summary(scope, "  ")
    with pytest.raises(TooLarge):
        await memory.set_summary(scope, "x" * 5_000)


@pytest.mark.parametrize("change", ["edit", "reset", "clear", "correct", "forget"])
async def test_one_that_comes_after_a_change_is_dropped(
    make_memory: Callable[..., Memory], scope: Scope, chroma: ChromaShards, change: str
) -> None:
    gate = Gate("A picture of what was.")
    slow, people = make_memory(model=Scribe(rolling=gate)), make_memory()
    await fill(slow, scope)
    working = asyncio.create_task(slow.upkeep(scope))
    await gate.reached.wait()
    first = (await people.history(scope)).messages[0]
    match change:
        case "edit":
            await people.edit(scope, first.id, "new text")
        case "reset":
            await people.reset(scope)
            await fill(people, scope)
        case "clear":
            await people.clear(scope)
        case "correct":
            await people.set_summary(scope, "Corrected.")
        case _:
            await people.forget(scope, [first.id])
    gate.open.set()
    await working
    assert await text(people, scope) == ("Corrected." if change == "correct" else None)
    assert "what was" not in str(await chroma.find(str(scope), {"scope": str(scope)}))


@pytest.mark.parametrize("change", ["edit", "swipe", "forget", "delete"])
async def test_it_goes_with_the_text_it_was_written_from(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards, change: str
) -> None:
    memory = make_memory(model=Scribe(rolling="Ann has a canoe."))
    await fill(memory, scope)
    await memory.upkeep(scope)
    assert await text(memory, scope) == "Ann has a canoe."
    without = make_memory()
    first = (await without.history(scope)).messages[0]
    match change:
        case "edit":
            await without.edit(scope, first.id, "new text")
        case "forget":
            await without.forget(scope, [first.id])
        case "delete":
            await without.delete_from(scope, first.id)
        case _:
            second = (await without.history(scope)).messages[1]
            new = replace(second.said, text="another reply")
            await without.finish_reply(scope, await without.epoch(scope), second.seq, new, mode="add")
    await without.upkeep(scope)
    assert await text(without, scope) is None
    kept = str(await chroma.find(str(scope), {"scope": str(scope)})) + str(await without.export(scope))
    assert "canoe" not in kept


async def test_a_correction_outlives_an_edit_and_not_a_forgetting(memory: Memory, scope: Scope) -> None:
    await fill(memory, scope)
    await memory.upkeep(scope)
    await memory.set_summary(scope, "Ann is a welder.")
    first, second = (await memory.history(scope)).messages[:2]
    await memory.edit(scope, first.id, "new text")
    assert await text(memory, scope) == "Ann is a welder."
    await memory.forget(scope, [second.id])
    assert await text(memory, scope) is None


async def test_a_swipe_in_the_tail_keeps_it(make_memory: Callable[..., Memory], scope: Scope) -> None:
    memory = make_memory(model=Scribe(rolling="The picture."))
    await fill(memory, scope)
    await memory.upkeep(scope)
    last = (await memory.history(scope)).messages[-1]
    await memory.edit(scope, last.id, "another line")
    assert await text(memory, scope) == "The picture."


async def test_a_newer_trigger_replaces_the_call_in_flight(make_memory: Callable[..., Memory], scope: Scope) -> None:
    gate = Gate("Old picture.")

    async def answer(request: object) -> str:
        return "New picture." if gate.reached.is_set() else await gate(request)  # type: ignore[arg-type]

    scribe = Scribe(rolling=answer)
    memory = make_memory(model=scribe)
    await fill(memory, scope)
    memory.settle(scope)
    await gate.reached.wait()
    await fill(memory, scope, 16, start=ENOUGH)
    memory.settle(scope)
    await memory.idle()
    assert gate.cancelled
    assert await text(memory, scope) == "New picture."
