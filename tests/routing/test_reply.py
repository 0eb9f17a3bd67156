"""When a reply counts as one."""

import pytest

from server.errors import ModelRefused
from server.routing.reply import Reply, TooMuchText, has_visible
from server.routing.types import Usage
from server.routing.wire import Chunk


def take(*texts: str, max_tokens: int = 100) -> list[str]:
    reply = Reply(max_tokens)
    return [reply.take(Chunk(text=text, alive=True)) for text in texts]


def test_visible_text_passes_as_it_comes() -> None:
    assert take("Hello", " there", "\n\n", " you") == ["Hello", " there", "\n\n", " you"]


def test_white_space_waits_for_the_first_visible_character() -> None:
    assert take(" ", "\n", " so", " ") == ["", "", " \n so", " "]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["\ud83d", "\ude00"], ["", "😀"]),
        (["a\ud83d", "\ude00b"], ["a", "😀b"]),
        (["a\ud83d", "b"], ["a", "\ufffdb"]),
        (["a\ude00", "b"], ["a\ufffd", "b"]),
        (["a\0b", "\0"], ["ab", ""]),
    ],
)
def test_text_is_always_valid_unicode(texts: list[str], shown: list[str]) -> None:
    assert take(*texts) == shown


@pytest.mark.parametrize(
    ("text", "visible"),
    [("", False), (" \n\t\u00a0", False), ("\u200b\u200d\ufeff", False), ("\x07", False), (".", True), ("👋", True)],
)
def test_what_a_person_sees(text: str, visible: bool) -> None:
    assert has_visible(text) is visible


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([], "empty reply"),
        ([Chunk(reason="stop")], "empty reply"),
        ([Chunk(text=" \n\u200b", reason="stop")], "empty reply"),
        ([Chunk(reason="tool_calls")], "empty reply"),
        ([Chunk(reason="something_new")], "empty reply"),
        ([Chunk(reason="length")], "empty reply"),
        ([Chunk(reason="content_filter")], "content filter"),
        ([Chunk(refusal=True), Chunk(reason="stop")], "declined"),
        ([Chunk(reasoning=True), Chunk(reason="length")], "thinking"),
        ([Chunk(reason="length", usage=Usage(5, 800, reasoning_tokens=800))], "thinking"),
    ],
)
def test_nothing_visible_is_a_refusal_whatever_the_reason(chunks: list[Chunk], words: str) -> None:
    reply = Reply(100)
    for chunk in chunks:
        assert reply.take(chunk) == ""
    with pytest.raises(ModelRefused, match=words):
        reply.finish("m")


def test_a_refusal_says_what_it_cost() -> None:
    reply = Reply(100)
    reply.take(Chunk(reason="content_filter", usage=Usage(90, 0, cost=42)))
    with pytest.raises(ModelRefused) as caught:
        reply.finish("m")
    assert caught.value.details == {
        "model": "m",
        "reason": "content_filter",
        "refusal": "content_filter",
        "completion_tokens": 0,
        "cost": 42,
    }


def test_a_reply_that_was_cut_is_one_and_says_why() -> None:
    reply = Reply(100)
    reply.take(Chunk(text="Once upon a", model="vendor/m-2026"))
    reply.take(Chunk(reason="content_filter", usage=Usage(3, 4)))
    finished = reply.finish("vendor/m")
    assert (finished.model, finished.reason, finished.usage) == ("vendor/m-2026", "content_filter", Usage(3, 4))


def test_a_server_that_ignores_the_bound_is_stopped() -> None:
    with pytest.raises(TooMuchText):
        take(*["word " * 1_000] * 100, max_tokens=10)
