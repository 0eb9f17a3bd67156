"""Reading a conversation while it changes."""

import pytest

from server.ids import Scope
from server.memory.log import ConversationLog
from server.memory.messages import Role
from server.memory.service import Memory


async def test_a_window_that_closes_while_history_is_read_is_not_shown_twice(
    memory: Memory, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        await memory.append(scope, Role.USER, f"n{number}")
    await memory.upkeep(scope)
    for number in range(6, 16):
        await memory.append(scope, Role.USER, f"n{number}")
    before = ConversationLog.windows_before

    async def late(log: ConversationLog, *where: int) -> object:
        await memory.upkeep(scope)
        return await before(log, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(ConversationLog, "windows_before", late)
    page = await memory.history(scope, limit=50)
    assert [message.text for message in page.messages] == [f"n{number}" for number in range(16)]
    assert (await memory.windows(scope)).total == 3
    exported = await memory.export(scope)
    assert [one["id"] for one in exported["messages"]] == [message.id for message in page.messages]
