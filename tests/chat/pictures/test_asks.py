"""What is asked for, as the conversation has it."""

from datetime import UTC, datetime

import pytest

from server.catalog.items.model import Item
from server.chat.pictures.asks import PictureAsk, caption

AT = datetime(2026, 11, 27, tzinfo=UTC)
DRESS = Item("dress", "Red dress", "dresses", True, "", None, None, None, True, AT, AT)


@pytest.mark.parametrize(
    ("ask", "item", "words"),
    [
        (PictureAsk(), None, "/picture"),
        (PictureAsk(scene="a walk on the beach"), None, "/picture a walk on the beach"),
        (PictureAsk("dress", "at the sea"), DRESS, "/picture “Red dress” at the sea"),
        (PictureAsk("dress", how="wear"), DRESS, "/wear “Red dress”"),
        (PictureAsk("dress", how="give"), DRESS, "*gives you “Red dress”*"),
    ],
)
def test_it_reads_as_a_message_and_is_known_again(ask: PictureAsk, item: Item | None, words: str) -> None:
    assert ask.words(item) == words
    assert PictureAsk.of(ask.extra()) == ask


def test_other_messages_ask_for_none() -> None:
    assert PictureAsk.of({}) is None
    assert PictureAsk.of({"event": "gift"}) is None


def test_a_caption_says_what_a_model_cannot_see() -> None:
    assert caption("Mira", DRESS, "at the sea") == "(A picture of Mira wearing “Red dress”: at the sea)"
    assert caption("Mira", None, None) == "(A picture of Mira)"
