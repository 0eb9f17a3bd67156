"""What the content policy says of a reply is kept with it, and what was declined goes no further."""

from datetime import UTC, datetime

import pytest

from server.ids import message_id
from server.memory.codec import decode_message, encode_message
from server.memory.messages import Alternative, Message, Notice, Role, undeclined
from server.memory.views import Speakers
from server.memory.writer import transcript

AT = datetime(2026, 11, 27, 19, tzinfo=UTC)
DECLINED = Notice("declined", "mature", "top")


def message(seq: int, role: Role, text: str, *notices: Notice | None, chosen: int = 0) -> Message:
    alternatives = tuple(Alternative(text, AT, notice=notice) for notice in notices or (None,))
    return Message(message_id(1, seq), seq, role, AT, alternatives, chosen)


@pytest.mark.parametrize("notice", [None, Notice("declined"), DECLINED, Notice("safety", text="Call 112.")])
def test_a_notice_comes_back_as_it_was_stored(notice: Notice | None) -> None:
    one = message(3, Role.ASSISTANT, "No.", notice)
    assert decode_message(encode_message(one), 1, 3) == one


def test_a_declined_request_goes_with_what_declined_it_unless_another_version_was_chosen() -> None:
    told = [
        message(1, Role.USER, "Hello"),
        message(2, Role.ASSISTANT, "Hi"),
        message(3, Role.USER, "Something"),
        message(4, Role.ASSISTANT, "Not that.", DECLINED),
        message(5, Role.USER, "I feel awful"),
        message(6, Role.ASSISTANT, "Call 112.", Notice("safety")),
        message(7, Role.USER, "Something again"),
        message(8, Role.ASSISTANT, "Gladly.", DECLINED, None, chosen=1),
    ]
    assert [one.seq for one in undeclined(told)] == [1, 2, 5, 6, 7, 8]
    assert "Something\n" not in transcript(told, Speakers("Anna", "Mira"))
    assert "Not that." not in transcript(told, Speakers("Anna", "Mira"))


def test_a_declined_reply_without_its_request_goes_alone() -> None:
    assert undeclined([message(4, Role.ASSISTANT, "Not that.", DECLINED)]) == []
