"""What goes on beside the words of a conversation: what the character has on, and what happens between two turns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from server.chat.party import Party
from server.ids import Scope, parse_message_id

__all__ = ["Bare", "Beside", "Removed", "Wardrobe", "all_before", "since"]


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Titles of items, as people wrote them. `given`: by the person to this character, the newest first."""

    worn: str | None = None
    given: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """All of them."""
        return (self.worn, *self.given) if self.worn else self.given


Removed = Callable[[str], bool]
"""Whether a message, by its id, is among those that were removed."""


def since(message_id: str) -> Removed:
    """A message and all after it."""
    epoch, first = parse_message_id(message_id)

    def removed(id: str) -> bool:
        its, seq = parse_message_id(id)
        return its == epoch and seq >= first

    return removed


def all_before(epoch: int) -> Removed:
    """Everything that was said before an epoch began."""
    return lambda id: parse_message_id(id)[0] != epoch


class Beside(Protocol):
    """What chat asks and tells those who keep the rest. Every method may raise `StoreUnavailable`."""

    async def wardrobe(self, scope: Scope) -> Wardrobe | None:
        """What the character has on and was given; None where there is nothing of both."""
        ...

    async def before_turn(self, party: Party) -> None:
        """Stores what happened since the last turn and is not told yet."""
        ...

    async def after_removal(self, scope: Scope, removed: Removed) -> None:
        """Messages were deleted, forgotten or reset: what belonged to them goes too."""
        ...

    async def before_clearing(self, tenant: str, user: str, character: str | None = None) -> None:
        """All that was said with a character, or with all, is about to be deleted, from the files too."""
        ...


class Bare:
    """The `Beside` of a server without a catalog."""

    async def wardrobe(self, scope: Scope) -> Wardrobe | None:
        return None

    async def before_turn(self, party: Party) -> None:
        pass

    async def after_removal(self, scope: Scope, removed: Removed) -> None:
        pass

    async def before_clearing(self, tenant: str, user: str, character: str | None = None) -> None:
        pass
