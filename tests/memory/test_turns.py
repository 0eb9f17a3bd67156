"""Taking turns: accepted once, in order, never lost."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from server.errors import Conflict, IdempotencyMismatch, InvalidRequest, NotFound
from server.ids import Scope
from server.memory.messages import Alternative, Role, Status
from server.memory.service import Memory
from server.memory.views import Greeting, Idempotency, Speakers

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = Idempotency("key", "body")


def reply(text: str, **fields: object) -> Alternative:
    return Alternative(text, NOON, **fields)  # type: ignore[arg-type]


async def texts(memory: Memory, scope: Scope, limit: int = 1_000) -> list[str]:
    return [message.text for message in (await memory.history(scope, limit=limit)).messages]


async def test_a_turn_keeps_the_message_and_the_place_of_its_reply(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hello!")
    assert turn.user is not None and turn.user.text == "Hello!" and turn.user.status is Status.COMPLETE
    assert turn.reply.status is Status.PENDING and turn.reply.seq == turn.user.seq + 1
    assert (await memory.history(scope)).messages == (turn.user, turn.reply)

    done = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("Hi.", model="m"), mode="fill")
    assert done is not None and done.text == "Hi." and done.said.model == "m" and done.status is Status.COMPLETE
    assert await memory.message(scope, turn.reply.id) == done


async def test_replies_stand_behind_their_message_whichever_ends_first(memory: Memory, scope: Scope) -> None:
    first = await memory.begin_turn(scope, "one?")
    second = await memory.begin_turn(scope, "two?")
    await memory.finish_reply(scope, second.epoch, second.reply.seq, reply("two."), mode="fill")
    await memory.finish_reply(scope, first.epoch, first.reply.seq, reply("one."), mode="fill")
    assert await texts(memory, scope) == ["one?", "one.", "two?", "two."]


async def test_many_turns_at_once_are_each_stored_once_and_in_order(make_memory: Callable[..., Memory]) -> None:
    servers = [make_memory(), make_memory()]
    scopes = [Scope("home", f"user{number}", "mira") for number in range(8)]

    async def talk(scope: Scope, lane: int) -> None:
        memory = servers[lane % 2]
        for number in range(6):
            turn = await memory.begin_turn(scope, f"{scope.user} asks {lane}.{number}")
            await memory.finish_reply(
                scope, turn.epoch, turn.reply.seq, reply(f"{scope.user} hears {lane}.{number}"), mode="fill"
            )
            memory.settle(scope)

    await asyncio.gather(*(talk(scope, lane) for scope in scopes for lane in range(2)))
    for server in servers:
        await server.idle()
    for scope in scopes:
        said = (await servers[0].history(scope, limit=100)).messages
        assert sorted(message.text for message in said if message.role is Role.USER) == sorted(
            f"{scope.user} asks {lane}.{number}" for lane in range(2) for number in range(6)
        )
        assert [message.seq for message in said] == list(range(1, 25))
        for asked, heard in zip(said[::2], said[1::2], strict=True):
            assert heard.text == asked.text.replace("asks", "hears")
        page = await servers[1].windows(scope, limit=100)
        held = [message.seq for window in reversed(page.windows) for message in window.messages]
        assert held == list(range(1, len(held) + 1)) and len(held) == 4 * page.total > 0


async def test_a_greeting_begins_an_empty_conversation_only(memory: Memory, scope: Scope, names: Speakers) -> None:
    greeting = Greeting(("Welcome.", "Oh, you."), chosen=1)
    await memory.begin_turn(scope, "Hi", greeting=greeting, speakers=names)
    await memory.begin_turn(scope, "Still here", greeting=greeting)
    said = (await memory.history(scope)).messages
    assert [message.text for message in said] == ["Oh, you.", "Hi", "", "Still here", ""]
    assert said[0].role is Role.ASSISTANT and [each.text for each in said[0].alternatives] == ["Welcome.", "Oh, you."]


async def test_a_conversation_can_begin_with_its_greeting_alone(memory: Memory, scope: Scope) -> None:
    first = await memory.greet(scope, Greeting(("Welcome.", "Oh, you.")))
    assert (await memory.history(scope)).messages == (first,)
    assert first.text == "Welcome."
    with pytest.raises(Conflict):
        await memory.greet(scope, Greeting(("Again.",)))
    await memory.begin_turn(scope, "Hi", greeting=Greeting(("Never.",)))
    assert await texts(memory, scope) == ["Welcome.", "Hi", ""]


async def test_the_same_request_again_is_the_same_turn(memory: Memory, scope: Scope) -> None:
    first = await memory.begin_turn(scope, "Hello", idempotency=KEY)
    again = await memory.begin_turn(scope, "Hello", idempotency=KEY)
    assert again.replayed and again.user == first.user and again.reply == first.reply
    done = await memory.finish_reply(scope, first.epoch, first.reply.seq, reply("Hi"), mode="fill")
    assert (await memory.begin_turn(scope, "Hello", idempotency=KEY)).reply == done
    assert await texts(memory, scope) == ["Hello", "Hi"]


async def test_the_same_request_many_times_at_once_is_stored_once(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    servers = [make_memory(), make_memory()]
    turns = await asyncio.gather(
        *(servers[number % 2].begin_turn(scope, "Hello", idempotency=KEY) for number in range(20))
    )
    assert len({turn.reply.id for turn in turns}) == 1
    assert sum(not turn.replayed for turn in turns) == 1
    assert await texts(servers[0], scope) == ["Hello", ""]


async def test_a_replay_finds_its_turn_in_a_closed_window(memory: Memory, scope: Scope) -> None:
    first = await memory.begin_turn(scope, "Hello", idempotency=KEY)
    await memory.finish_reply(scope, first.epoch, first.reply.seq, reply("Hi"), mode="fill")
    for number in range(12):
        await memory.append(scope, Role.USER, f"line {number}")
    await memory.upkeep(scope)
    again = await memory.begin_turn(scope, "Hello", idempotency=KEY)
    assert again.replayed and again.reply.text == "Hi" and again.user == first.user


async def test_a_key_with_another_request_is_refused(memory: Memory, scope: Scope) -> None:
    await memory.begin_turn(scope, "Hello", idempotency=KEY)
    with pytest.raises(IdempotencyMismatch):
        await memory.begin_turn(scope, "Goodbye", idempotency=Idempotency("key", "another body"))
    assert await texts(memory, scope) == ["Hello", ""]


@pytest.mark.parametrize("how", ["delete", "reset", "forget"])
async def test_a_late_repeat_brings_nothing_back(memory: Memory, scope: Scope, how: str) -> None:
    turn = await memory.begin_turn(scope, "Hello", idempotency=KEY)
    assert turn.user is not None
    match how:
        case "delete":
            await memory.delete_from(scope, turn.user.id)
        case "reset":
            await memory.reset(scope)
        case _:
            await memory.forget(scope, [turn.user.id])
    with pytest.raises(Conflict):
        await memory.begin_turn(scope, "Hello", idempotency=KEY)
    assert "Hello" not in await texts(memory, scope)


async def test_a_key_is_free_again_after_its_day(memory: Memory, scope: Scope, clock: "object") -> None:
    await memory.begin_turn(scope, "Hello", idempotency=KEY)
    clock.advance(hours=25)  # type: ignore[attr-defined]
    assert not (await memory.begin_turn(scope, "Other", idempotency=Idempotency("key", "other"))).replayed


async def test_a_key_belongs_to_one_conversation(memory: Memory, scope: Scope) -> None:
    await memory.begin_turn(scope, "Hello", idempotency=KEY)
    other = await memory.begin_turn(Scope("home", "bob", "mira"), "Hello", idempotency=KEY)
    assert not other.replayed


@pytest.mark.parametrize("text", ["", "   ", "\n\t ", "half \ud83d a pair"])
async def test_what_is_no_text_is_refused(memory: Memory, scope: Scope, text: str) -> None:
    with pytest.raises(InvalidRequest):
        await memory.begin_turn(scope, text)
    with pytest.raises(InvalidRequest):
        await memory.append(scope, Role.USER, text)
    assert (await memory.history(scope)).messages == ()


@pytest.mark.parametrize(
    "text",
    [
        "שלום 👩‍👩‍👧 مرحبا",
        "null \0 and \x1b[31m control \x7f",
        '"quoted" \\ back {braces} %s \' -- ; DROP',
        "x" * 40_000,
        "a\u2028b\u2029c\r\nd",
        "]] return redis.call('FLUSHALL') --[[",
    ],
)
async def test_text_comes_back_as_it_was_said(memory: Memory, scope: Scope, text: str) -> None:
    turn = await memory.begin_turn(scope, text, greeting=Greeting((text,)))
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply(text), mode="fill")
    for _ in range(5):
        await memory.append(scope, Role.USER, "and on")
    assert (await texts(memory, scope))[:3] == [text] * 3
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 1
    assert (await texts(memory, scope))[:3] == [text] * 3


async def test_a_reply_with_a_broken_character_is_kept_mended(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    done = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("ok \ud83d!"), mode="fill")
    assert done is not None and done.text == "ok ?!"


async def test_regenerating_adds_an_alternative_that_is_chosen(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("one"), mode="fill")
    second = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("two"), mode="add")
    assert second is not None and second.chosen == 1 and second.text == "two"
    assert (await memory.choose(scope, turn.reply.id, 0)).text == "one"
    with pytest.raises(InvalidRequest):
        await memory.choose(scope, turn.reply.id, 2)


async def test_continuing_replaces_the_chosen_alternative(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("one"), mode="fill")
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("two"), mode="add")
    await memory.choose(scope, turn.reply.id, 0)
    longer = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("one and more"), mode="replace")
    assert longer is not None and [each.text for each in longer.alternatives] == ["one and more", "two"]


@pytest.mark.parametrize("mode", ["fill", "add", "replace"])
async def test_a_failure_never_takes_the_place_of_a_reply(memory: Memory, scope: Scope, mode: str) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    good = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("good"), mode="fill")
    failed = reply("", status=Status.FAILED, error="model_timeout")
    after = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, failed, mode=mode)  # type: ignore[arg-type]
    assert after == good


@pytest.mark.parametrize("mode", ["fill", "add", "replace"])
async def test_a_failed_reply_is_made_anew_in_its_place(memory: Memory, scope: Scope, mode: str) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    failed = reply("", status=Status.FAILED, error="model_timeout")
    stored = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, failed, mode="fill")
    assert stored is not None and stored.status is Status.FAILED and stored.said.error == "model_timeout"
    good = await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("good"), mode=mode)  # type: ignore[arg-type]
    assert good is not None and [each.text for each in good.alternatives] == ["good"]


async def test_a_reply_that_comes_after_a_reset_is_dropped(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    assert await memory.reset(scope) == turn.epoch + 1
    again = await memory.begin_turn(scope, "Hi again")
    assert again.reply.seq == turn.reply.seq
    assert await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("late"), mode="fill") is None
    assert await texts(memory, scope) == ["Hi again", ""]


async def test_a_reply_that_comes_after_its_message_was_deleted_is_dropped(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    assert turn.user is not None
    assert await memory.delete_from(scope, turn.user.id) == 2
    assert await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("late"), mode="fill") is None
    assert await texts(memory, scope) == []


async def test_a_reply_that_comes_after_everything_was_cleared_is_dropped(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await memory.clear(scope)
    again = await memory.begin_turn(scope, "Hello")
    assert await memory.finish_reply(scope, turn.epoch, turn.reply.seq, reply("late"), mode="fill") is None
    assert (await memory.message(scope, again.reply.id)).status is Status.PENDING


async def test_a_message_without_a_reply_can_be_given_one(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    await memory.delete_from(scope, turn.reply.id)
    place = await memory.begin_reply(scope)
    assert place.user == turn.user and place.reply.status is Status.PENDING
    with pytest.raises(Conflict):
        await memory.begin_reply(scope)


async def test_a_message_that_ends_a_closed_window_can_be_answered(memory: Memory, scope: Scope) -> None:
    """What came after it, in the window and behind it, was taken out."""
    said = [await memory.append(scope, (Role.USER, Role.ASSISTANT)[at % 2], f"n{at}") for at in range(6)]
    await memory.upkeep(scope)
    assert (await memory.windows(scope)).total == 1
    await memory.forget(scope, [message.id for message in said[3:]])
    place = await memory.begin_reply(scope)
    assert place.user == said[2]
    assert await texts(memory, scope) == ["n0", "n1", "n2", ""]
    with pytest.raises(Conflict):
        await memory.begin_reply(scope)


async def test_editing_changes_what_counts_as_said(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    assert turn.user is not None
    with pytest.raises(Conflict):
        await memory.edit(scope, turn.reply.id, "too early")
    await memory.finish_reply(
        scope, turn.epoch, turn.reply.seq, reply("brok", status=Status.INTERRUPTED, error="x"), mode="fill"
    )
    edited = await memory.edit(scope, turn.reply.id, "whole")
    assert edited.text == "whole" and edited.status is Status.COMPLETE and edited.edited is not None
    assert (await memory.edit(scope, turn.user.id, "Hello")).text == "Hello"
    assert await texts(memory, scope) == ["Hello", "whole"]


async def test_ids_of_nothing_here_are_unknown(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "Hi")
    assert turn.user is not None
    bob = Scope("home", "bob", "mira")
    await memory.begin_turn(bob, "Mine")
    old = turn.user.id
    for where, id in [(bob, old), (scope, f"{turn.epoch}-99"), (scope, "1-1"), (scope, "../x"), (scope, "")]:
        with pytest.raises(NotFound):
            await memory.message(where, id)
        with pytest.raises(NotFound):
            await memory.edit(where, id, "x")
        with pytest.raises(NotFound):
            await memory.delete_from(where, id)
    await memory.reset(scope)
    with pytest.raises(NotFound):
        await memory.message(scope, old)


async def test_history_pages_backwards_without_gaps(memory: Memory, scope: Scope) -> None:
    for number in range(45):
        await memory.append(scope, Role.USER if number % 2 else Role.ASSISTANT, f"line {number}")
    await memory.upkeep(scope)
    seen: list[str] = []
    before: int | None = None
    while True:
        page = await memory.history(scope, before=before, limit=7)
        seen = [message.text for message in page.messages] + seen
        if not page.more:
            break
        before = page.messages[0].seq
    assert seen == [f"line {number}" for number in range(45)]
    assert (await memory.history(scope, before=1)).messages == ()


async def test_a_new_conversation_is_empty_and_no_error(memory: Memory, scope: Scope, names: Speakers) -> None:
    page = await memory.history(scope)
    assert page.messages == () and not page.more and page.epoch == 0
    assert await memory.recent(scope, max_tokens=100) == []
    assert await memory.summary(scope) is None
    assert (await memory.recall(scope, "anything", speakers=names, budget_tokens=100)).spans == ()
    assert await memory.pins(scope) == []
    assert (await memory.windows(scope)).total == 0
    assert await memory.last_message_at([scope]) == [None]
    await memory.upkeep(scope)


async def test_last_message_at_is_when_it_was_said(memory: Memory, scope: Scope) -> None:
    await memory.append(scope, Role.USER, "then", at=NOON)
    assert await memory.last_message_at([scope, Scope("home", "bob", "mira")]) == [NOON, None]
