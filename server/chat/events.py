"""What happens in a turn, as those who follow it see it."""

from dataclasses import dataclass

from server.errors import VestigeError
from server.memory.messages import Message
from server.memory.views import MemorySpan


@dataclass(frozen=True, slots=True)
class Accepted:
    """The user's message is stored and will never be lost. `user` is None where a reply is made for no new message."""

    user: Message | None
    reply_id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A piece of the reply. A late follower gets what came before in one piece."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is stored. Terminal. `prompt_tokens` are the provider's count, else our estimate.

    `finish`: why the model stopped, `stop` where that is not known any more.
    """

    reply: Message
    user_id: str | None
    prompt_tokens: int
    completion_tokens: int
    recalled: tuple[MemorySpan, ...] = ()
    summary_used: bool = False
    replayed: bool = False
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended without a whole reply. Terminal.

    `reply` is what is stored of it; None where that is unknown (a store is gone) or nothing is (it was deleted).
    """

    error: VestigeError
    user_id: str | None
    reply: Message | None


Event = Accepted | TokenEvent | Done | Failed
