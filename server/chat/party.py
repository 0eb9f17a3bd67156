"""Who talks with whom, and on what plan."""

import hashlib
from dataclasses import dataclass
from typing import Self

from server.catalog.cards import Card
from server.catalog.macros import expand
from server.chat.fence import Fence
from server.chat.frontend import PLAIN, Frontend
from server.chat.sheet import Sheet
from server.ids import Scope
from server.memory.views import Greeting, Speakers


@dataclass(frozen=True, slots=True)
class Who:
    """The person a turn is for: the conversation, the tier on record, and the name the character calls them by."""

    scope: Scope
    tier: str
    user_name: str


@dataclass(frozen=True, slots=True)
class Party:
    """A person and the character they talk with.

    `mode`: the content mode asked for; `frontend`: what a client with prompts of its own brings along, cut to size.
    """

    who: Who
    card: Card
    mode: str | None
    fence: Fence
    sheet: Sheet
    frontend: Frontend = PLAIN

    @classmethod
    def of(cls, who: Who, card: Card, mode: str | None = None, frontend: Frontend | None = None) -> Self:
        fence = Fence(who.scope)
        return cls(who, card, mode, fence, Sheet.of(card, who.user_name, fence), frontend or PLAIN)

    @property
    def scope(self) -> Scope:
        return self.who.scope

    @property
    def speakers(self) -> Speakers:
        return Speakers(self.who.user_name, self.card.char)

    @property
    def session(self) -> str:
        """An opaque key of the conversation for a provider: stable, and no one's id."""
        return hashlib.sha256(f"session {self.scope}".encode()).hexdigest()[:32]

    def greeting(self, chosen: int = 0) -> Greeting | None:
        """How a new conversation begins; None for a character that waits to be spoken to."""
        texts = tuple(expand(text, self.card.char, self.who.user_name) for text in self.card.greetings)
        return Greeting(texts, min(chosen, len(texts) - 1)) if texts else None
