"""What a character has on and what they were given."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from redis.asyncio import Redis

from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.worn import Worn
from server.chat.beside import Removed, Wardrobe
from server.chat.pictures.keys import Keys
from server.ids import Scope
from server.stores.errors import store_errors

__all__ = ["Dresser"]

GIFTS = 8
"""How many of the newest gifts a turn knows of; older ones are in what was said, and recalled from there."""


class Dresser:
    """Reads the wardrobe for a turn, and notes what a person gives."""

    def __init__(self, state: Redis, worn: Worn, items: Items, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._worn = worn
        self._items = items
        self._clock = clock

    async def wardrobe(self, scope: Scope) -> Wardrobe | None:
        """See `Beside`."""
        worn, notes = await asyncio.gather(self.worn(scope), self._given(scope))
        given = sorted(notes, key=lambda item: notes[item], reverse=True)[:GIFTS]
        if worn is None and not given:
            return None
        titles = await self._items.titles(scope.tenant, given)
        return Wardrobe(worn.title if worn else None, tuple(titles[one] for one in given if one in titles))

    async def worn(self, scope: Scope) -> Item | None:
        """What the character has on."""
        return await self._worn.get(scope.tenant, scope.user, scope.character)

    async def put(self, scope: Scope, item: str) -> None:
        """Puts something on.

        Raises:
            NotFound, Forbidden, NotVisual: there is no such item, the person does not own it, or it cannot be seen.
        """
        await self._worn.put(scope.tenant, scope.user, scope.character, item)

    async def give(self, scope: Scope, item: str, message_id: str) -> None:
        """Notes that the person gave it to the character, and where they did; the first time counts."""
        note = f"{self._clock().astimezone(UTC).isoformat()} {message_id}"
        with store_errors("pictures"):
            await self._state.hsetnx(Keys.in_scope(scope).given, f"{scope.character} {item}", note)

    async def tidy(self, scope: Scope, removed: Removed) -> None:
        """Takes out what was given in messages that are not there any more."""
        notes = await self._given(scope)
        names = [f"{scope.character} {item}" for item, note in notes.items() if removed(note.split(" ")[1])]
        if names:
            with store_errors("pictures"):
                await self._state.hdel(Keys.in_scope(scope).given, *names)

    async def erase(self, tenant: str, user: str, character: str | None = None) -> None:
        """Takes out what a person gave to a character, or to all; what is worn is the catalog's to take out."""
        given = Keys.of(tenant, user).given
        with store_errors("pictures"):
            if character is None:
                await self._state.delete(given)
                return
            names = [name for name in map(str, await self._state.hkeys(given)) if name.startswith(f"{character} ")]
            if names:
                await self._state.hdel(given, *names)

    async def _given(self, scope: Scope) -> dict[str, str]:
        """Item → when and in which message it was given."""
        with store_errors("pictures"):
            found = await self._state.hgetall(Keys.in_scope(scope).given)
        prefix = f"{scope.character} "
        return {str(name)[len(prefix) :]: str(note) for name, note in found.items() if str(name).startswith(prefix)}
