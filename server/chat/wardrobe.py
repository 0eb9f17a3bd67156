"""What goes on beside the words of a conversation: what the character has on, and what happens between two turns."""

from dataclasses import dataclass
from typing import Protocol

from server.chat.party import Party
from server.ids import Scope

__all__ = ["Bare", "Beside", "Wardrobe"]


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Titles of items, as people wrote them. `given`: by the person to this character, the newest first."""

    worn: str | None = None
    given: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """All of them."""
        return (self.worn, *self.given) if self.worn else self.given


class Beside(Protocol):
    """What chat asks and tells those who keep the rest. Every method may raise `StoreUnavailable`."""

    async def wardrobe(self, scope: Scope) -> Wardrobe | None:
        """What the character has on and was given; None where there is nothing of both."""
        ...

    async def before_turn(self, party: Party) -> None:
        """Stores what happened since the last turn and is not told yet."""
        ...

    async def after_removal(self, scope: Scope) -> None:
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

    async def after_removal(self, scope: Scope) -> None:
        pass

    async def before_clearing(self, tenant: str, user: str, character: str | None = None) -> None:
        pass
