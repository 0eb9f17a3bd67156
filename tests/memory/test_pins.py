"""Pins: notes that stay, of one's own or from a message."""

from collections.abc import Callable

import pytest

from server.errors import InvalidRequest, NotFound, TooLarge
from server.ids import Scope
from server.memory.messages import Role
from server.memory.service import Memory


async def test_pins_are_written_changed_and_taken_out(memory: Memory, scope: Scope) -> None:
    note = await memory.pin(scope, text="  Allergic to nuts.  ")
    message = await memory.append(scope, Role.USER, "My birthday is 3 May.")
    from_message = await memory.pin(scope, message_id=message.id)
    worded = await memory.pin(scope, text="Birthday: 3 May", message_id=message.id)
    assert note.text == "Allergic to nuts." and note.message_id is None
    assert from_message.text == "My birthday is 3 May." and from_message.message_id == message.id
    assert await memory.pins(scope) == [note, from_message, worded]
    edited = await memory.edit_pin(scope, note.id, "Very allergic to nuts.")
    assert (edited.id, edited.created, edited.text) == (note.id, note.created, "Very allergic to nuts.")
    await memory.unpin(scope, from_message.id)
    assert await memory.pins(scope) == [edited, worded]


async def test_pins_need_no_conversation_and_belong_to_one(memory: Memory, scope: Scope) -> None:
    pin = await memory.pin(scope, text="Mine.")
    bob = Scope("home", "bob", "mira")
    assert await memory.pins(bob) == []
    for call in (
        memory.unpin(bob, pin.id),
        memory.edit_pin(bob, pin.id, "Theirs."),
        memory.unpin(scope, "pin-0"),
        memory.unpin(scope, "\ud83d"),
        memory.edit_pin(scope, "\ud83d", "Odd."),
    ):
        with pytest.raises(NotFound):
            await call
    assert await memory.pins(scope) == [pin]
    assert [pin["text"] for pin in (await memory.export_user("home", "ann"))["conversations"][0]["pins"]] == ["Mine."]


async def test_what_is_no_pin_is_refused(make_memory: Callable[..., Memory], scope: Scope) -> None:
    memory = make_memory(max_pins=2)
    with pytest.raises(InvalidRequest):
        await memory.pin(scope)
    with pytest.raises(InvalidRequest):
        await memory.pin(scope, text=" ")
    with pytest.raises(TooLarge):
        await memory.pin(scope, text="x" * 5_000)
    with pytest.raises(NotFound):
        await memory.pin(scope, message_id="1-1")
    await memory.pin(scope, text="one")
    await memory.pin(scope, text="two")
    with pytest.raises(InvalidRequest):
        await memory.pin(scope, text="three")


async def test_a_reset_keeps_the_notes_of_ones_own(memory: Memory, scope: Scope) -> None:
    message = await memory.append(scope, Role.USER, "My birthday is 3 May.")
    note = await memory.pin(scope, text="Allergic to nuts.")
    await memory.pin(scope, message_id=message.id)
    await memory.reset(scope)
    assert await memory.pins(scope) == [note]
    with pytest.raises(NotFound):
        await memory.pin(scope, text="late", message_id=message.id)
