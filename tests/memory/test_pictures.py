"""A picture is kept with its message, and an event is stored once."""

from datetime import UTC, datetime

import pytest

from server.ids import Scope
from server.memory.codec import decode_message, encode_message
from server.memory.messages import Alternative, Message, Picture, Role
from server.memory.service import Memory
from server.memory.views import Greeting, Idempotency

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("picture", [None, Picture("ab" * 32), Picture("cd" * 32, "red-dress", "on a beach", 2)])
def test_a_picture_comes_back_as_it_was_stored(picture: Picture | None) -> None:
    one = Message("1-3", 3, Role.ASSISTANT, AT, (Alternative("A picture.", AT, picture=picture),))
    assert decode_message(encode_message(one), 1, 3) == one


async def test_the_person_may_ask_for_it(memory: Memory, scope: Scope) -> None:
    turn = await memory.begin_turn(scope, "/picture a beach", extra={"asks": "picture"})
    assert turn.user is not None
    assert (await memory.message(scope, turn.user.id)).extra == {"asks": "picture"}
    shown = Alternative("A beach.", AT, picture=Picture("ab" * 32, scene="a beach"))
    await memory.finish_reply(scope, turn.epoch, turn.reply.seq, shown, mode="fill")
    assert (await memory.message(scope, turn.reply.id)).said == shown
    exported = (await memory.export(scope))["messages"]
    assert exported[-1]["alternatives"][0]["picture"] == {"key": "ab" * 32, "scene": "a beach"}


class TestEvents:
    async def test_is_stored_once(self, memory: Memory, scope: Scope) -> None:
        claim = Idempotency("grant-1", "gift")
        stored = [
            await memory.note(scope, "Tom gave a dress.", at=AT, idempotency=claim, extra={"event": "gift"})
            for _ in range(3)
        ]
        assert stored == [True, False, False]
        page = await memory.history(scope)
        assert [(one.text, one.extra) for one in page.messages] == [("Tom gave a dress.", {"event": "gift"})]

    async def test_begins_a_conversation_with_its_greeting(self, memory: Memory, scope: Scope) -> None:
        await memory.note(
            scope, "A gift.", at=AT, idempotency=Idempotency("g", "g"), extra={}, greeting=Greeting(("Hello.",))
        )
        assert [one.text for one in (await memory.history(scope)).messages] == ["Hello.", "A gift."]

    async def test_does_not_come_back_once_it_was_deleted(self, memory: Memory, scope: Scope) -> None:
        claim = Idempotency("grant-1", "gift")
        await memory.note(scope, "A gift.", at=AT, idempotency=claim, extra={})
        await memory.reset(scope)
        assert not await memory.note(scope, "A gift.", at=AT, idempotency=claim, extra={})
