"""Calls about a conversation are known by what clients in wide use send; everything else is a turn."""

import pytest

from server.chat.reconcile.sent import Line, read_sent
from server.chat.reconcile.tasks import is_task
from server.errors import InvalidRequest, TooLarge
from server.memory.messages import Role

CHAT = [("assistant", "Welcome!"), ("user", "hi"), ("assistant", "Hello Anna"), ("user", "and you?")]
SETUP = [
    ("system", "Write Mira's next reply in a fictional chat between Mira and Anna."),
    ("system", "[Start a new Chat]"),
]
TITLE = (
    "### Task:\nName this chat in five words.\n### Output:\nJSON\n### Chat History:\n<chat_history>\n"
    "USER: hi\nASSISTANT: Hello\n</chat_history>"
)
WITH_SOURCES = "### Task:\nAnswer with the help of the context.\n<context>\n…\n</context>\n\nWho is Mira?"
NUDGE = "[Continue the following message. Do not include ANY parts of the original message: Hello Anna]"
IMPERSONATE = "[Write your next reply from the point of view of Anna, using the chat history so far.]"
SUMMARY = "Ignore previous instructions. Summarize the most important facts and events in the story so far."

Lines = list[tuple[str, str]]

CASES: list[tuple[str, Lines, bool]] = [
    ("Open WebUI: a turn", CHAT[1:], False),
    ("Open WebUI: a title, tags, follow-ups", [("user", TITLE)], True),
    ("Open WebUI: a title behind a system prompt", [("system", "Be brief."), ("user", TITLE)], True),
    ("Open WebUI: a turn with documents", [("user", WITH_SOURCES)], False),
    ("a person who writes so in a chat", [*CHAT[1:3], ("user", TITLE)], False),
    ("SillyTavern: a turn", [*SETUP, *CHAT], False),
    ("SillyTavern: a turn with instructions after it", [*SETUP, *CHAT, ("system", "[Two paragraphs.]")], False),
    ("SillyTavern: to go on, by a nudge", [*SETUP, *CHAT[:3], ("system", NUDGE)], False),
    ("SillyTavern: to go on, newer", [*SETUP, *CHAT[:3], ("system", "[Continue your last message.]")], False),
    ("SillyTavern: to go on, by a prefill", [*SETUP, *CHAT[:3]], False),
    ("SillyTavern: a reply in the person's name", [*SETUP, *CHAT[:3], ("system", IMPERSONATE)], True),
    ("SillyTavern: the same after the person", [*SETUP, *CHAT, ("system", IMPERSONATE)], True),
    ("SillyTavern: a summary", [*SETUP, *CHAT[:3], ("system", SUMMARY)], True),
    ("SillyTavern: a summary after the person", [*SETUP, *CHAT, ("system", SUMMARY)], True),
    ("SillyTavern: a raw summary", [("system", SUMMARY), ("user", "Anna: hi\nMira: Hello Anna")], True),
    ("SillyTavern: a summary of one's own wording", [*SETUP, *CHAT[:3], ("system", "Sum it all up.")], True),
    ("SillyTavern: a group", [("system", "[Start a new group chat. Group members: Mira, Tom]"), *CHAT], True),
    ("SillyTavern: a group's turn", [*SETUP, *CHAT, ("system", "[Write the next reply only as Mira.]")], True),
]


@pytest.mark.parametrize(("lines", "task"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_which_calls_are_no_turns(lines: Lines, task: bool) -> None:
    assert is_task(read_sent([Line(*line) for line in lines], names=(), limit=1_000)) is task


class TestReading:
    def test_what_stands_beside_is_kept_apart(self) -> None:
        lines = [*SETUP, ("system", "Anna sails."), *CHAT[:2], ("system", "[It rains.]"), *CHAT[2:]]
        sent = read_sent([Line(*line) for line in lines], names=(), limit=1_000)
        assert [(said.role.value, said.text) for said in sent.said] == CHAT
        assert sent.before == (SETUP[0][1], "Anna sails.")
        assert sent.after == ("[It rains.]",)

    def test_examples_keep_who_speaks(self) -> None:
        lines = [Line("system", "Ahoy.", "example_assistant"), Line("user", "hi")]
        assert read_sent(lines, names=(), limit=1_000).before == ("example_assistant: Ahoy.",)

    def test_names_before_what_was_said_are_the_clients(self) -> None:
        names = [(Role.USER, "Anna"), (Role.ASSISTANT, "Mira")]
        lines = [Line("assistant", "Mira: Hello"), Line("user", "Anna: hi"), Line("user", "Mira: is that you?")]
        said = read_sent(lines, names=names, limit=1_000).said
        assert [one.text for one in said] == ["Hello", "hi", "Mira: is that you?"]

    def test_blank_messages_are_left_out(self) -> None:
        lines = [Line("user", "hi"), Line("assistant", " \n"), Line("user", "\u200b"), Line("user", "so?")]
        assert [one.text for one in read_sent(lines, names=(), limit=1_000).said] == ["hi", "so?"]

    @pytest.mark.parametrize("lines", [[], [Line("system", "Be brief.")], [Line("user", "")]])
    def test_somebody_must_say_something(self, lines: list[Line]) -> None:
        with pytest.raises(InvalidRequest):
            read_sent(lines, names=(), limit=1_000)

    def test_old_messages_may_be_long_and_the_new_one_may_not(self) -> None:
        long = "x" * 1_001
        sent = read_sent([Line("assistant", long), Line("user", "hi")], names=(), limit=1_000)
        assert [one.fits for one in sent.said] == [False, True]
        with pytest.raises(TooLarge):
            read_sent([Line("user", long)], names=(), limit=1_000)

    def test_the_newest_of_ten_thousand(self) -> None:
        lines = [Line("user" if at % 2 else "assistant", f"line {at}") for at in range(10_000)]
        said = read_sent(lines, names=(), limit=1_000).said
        assert (len(said), said[-1].text) == (400, "line 9999")
