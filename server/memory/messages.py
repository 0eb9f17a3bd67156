"""What a conversation is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

CHAT, ELSEWHERE = "chat", "elsewhere"
"""In a message's `extra`: which chat of a client's it was said in, and that it was said elsewhere, as a client says."""


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Status(StrEnum):
    """How a reply stands. A user's message is always `complete`."""

    PENDING = "pending"  # its place is kept; the model has not finished (or the server died meanwhile)
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"  # the client left, it was cancelled, or the model broke off: what came is kept
    FAILED = "failed"  # nothing came; `error` says why, and it can be generated again


@dataclass(frozen=True, slots=True)
class Notice:
    """What the content policy says of a reply.

    `declined`: the reply stands in for one of the content level `level`, which the plan `plan` would have had; both
    None where no plan would. `safety`: the person may be in danger, and `text` is for them; None where the reply says
    it.
    """

    kind: Literal["declined", "safety"]
    level: str | None = None
    plan: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a message shows. `key` names the preview: how it stands is asked by it, and never stored here.

    `item` is what is worn on it, None for the character's own clothes; `scene` the words it was asked for with;
    `variant` counts on from the look's own seed, so that another version of it is another picture.
    """

    key: str
    item: str | None = None
    scene: str | None = None
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Alternative:
    """One version of a message: a swipe, or the only one.

    The `text` of one with a picture is its caption, which is all that a language model sees of it.
    `prompt_tokens` and `completion_tokens` are the model's own count where it gave one; times are milliseconds.
    """

    text: str
    created: datetime
    status: Status = Status.COMPLETE
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: int | None = None
    total_ms: int | None = None
    error: str | None = None  # an error code
    notice: Notice | None = None
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message with all its alternatives; `chosen` is the one that counts as said.

    `seq` orders a conversation and never repeats within an epoch. A reply's `seq` is reserved together with the
    message it answers, so a conversation reads in turns whichever reply ends first. `extra` says what a message is
    beside its words, such as a request for a picture or the news of a gift.
    """

    id: str
    seq: int
    role: Role
    created: datetime
    alternatives: tuple[Alternative, ...]
    chosen: int = 0
    edited: datetime | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> Alternative:
        return self.alternatives[self.chosen]

    @property
    def text(self) -> str:
        return self.said.text

    @property
    def status(self) -> Status:
        return self.said.status

    @property
    def declined(self) -> bool:
        """Whether it is a reply that the content policy put in place of one."""
        return self.said.notice is not None and self.said.notice.kind == "declined"


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and the place kept for its reply. `replayed`: the idempotency key was seen before."""

    epoch: int
    user: Message | None  # None where the reply answers no message (a greeting, a regeneration)
    reply: Message
    replayed: bool = False


def undeclined(messages: Sequence[Message]) -> list[Message]:
    """The messages without the requests that were declined, and without what declined them: as if never asked."""
    kept: list[Message] = []
    for message in messages:
        if message.declined:
            if kept and kept[-1].role is Role.USER:
                kept.pop()
        else:
            kept.append(message)
    return kept
