"""What becomes of a reply's alternatives when a finished one comes in."""

from datetime import UTC, datetime

import pytest

from server.memory.messages import Alternative, Message, Role, Status
from server.memory.turns import FinishMode, finished

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST, SECOND = Alternative("first", NOW), Alternative("second", NOW)


@pytest.mark.parametrize("mode", ["fill", "add", "replace"])
def test_storing_the_same_reply_twice_is_storing_it_once(mode: FinishMode) -> None:
    """A store that dies after writing and before answering is asked again."""
    pending = Alternative("", NOW, Status.PENDING)
    for alternatives in ((pending,), (FIRST,)):
        once = finished(Message("1-2", 2, Role.ASSISTANT, NOW, alternatives), SECOND, mode)
        assert finished(once, SECOND, mode) == once
