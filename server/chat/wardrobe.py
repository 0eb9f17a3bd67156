"""What a character has on and was given, as a turn knows it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.ids import Scope


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Titles of items, as people wrote them. `given`: by the person to this character, the newest first."""

    worn: str | None = None
    given: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """All of them."""
        return (self.worn, *self.given) if self.worn else self.given


ReadWardrobe = Callable[[Scope], Awaitable[Wardrobe | None]]
"""Reads a conversation's wardrobe; None where nothing is worn and nothing was given. Raises `StoreUnavailable`."""


async def bare(scope: Scope) -> Wardrobe | None:
    """The wardrobe of a server without a catalog."""
    return None
