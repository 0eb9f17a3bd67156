"""The recent messages of a prompt: how many of them, and how they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from server.chat.budget import MESSAGE_TOKENS, clipped
from server.chat.fence import Fence
from server.chat.recalled import long_date
from server.memory.messages import Message, Role, Status
from server.memory.tokens import estimate_tokens

CLIP_TOKENS = 64
"""A newest message that does not fit is cut rather than left out while at least so many tokens are free for it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A message as the prompt has it."""

    seq: int
    role: Role
    text: str
    tokens: int


def lines(messages: Sequence[Message], fence: Fence) -> list[Line]:
    """What was said, oldest first; places that hold no text are left out.

    A user's message carries its day where that differs from the message before, so that weeks between two evenings are
    weeks in the prompt too. The oldest has nothing before it and carries none.
    """
    said = [message for message in messages if message.text.strip() and message.status is not Status.PENDING]
    out: list[Line] = []
    last: date | None = None
    for message in said:
        text = fence.safe(message.text)
        day = message.created.date()
        if message.role is Role.USER and last is not None and day != last:
            text = f"({long_date(day)})\n{text}"
        last = day
        out.append(Line(message.seq, message.role, text, estimate_tokens(text) + MESSAGE_TOKENS))
    return out


def newest(said: Sequence[Line], tokens: int, step: int) -> list[Line]:
    """The newest lines within `tokens`, oldest first.

    Where older ones are left out, the first line is the first of a block of `step` messages: the prompt then begins
    alike for several turns, and a provider's cache holds, instead of losing one message at the front every turn. A
    block that would take away more than half of what fits is not waited for.
    """
    room, start = tokens, len(said)
    while start and said[start - 1].tokens <= room:
        start -= 1
        room -= said[start].tokens
    if start == len(said) and said and tokens >= CLIP_TOKENS:
        line = said[-1]
        text = clipped(line.text, tokens - MESSAGE_TOKENS, keep_end=True)
        return [Line(line.seq, line.role, text, estimate_tokens(text) + MESSAGE_TOKENS)] if text else []
    if start == 0 and (not said or said[0].seq <= step):  # the whole conversation
        return list(said)
    fitting = said[start:]
    used = sum(line.tokens for line in fitting)
    for index, line in enumerate(fitting):
        if (line.seq - 1) % step == 0:
            aligned = fitting[index:]
            return list(aligned) if sum(line.tokens for line in aligned) * 2 >= used else list(fitting)
    return list(fitting)
