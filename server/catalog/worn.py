"""What a user's character has on: one item, that the user owns."""

from collections.abc import Mapping
from typing import cast

from redis.asyncio import Redis

from server.catalog.items.codec import decode_item
from server.catalog.items.model import Item
from server.catalog.keys import Keys
from server.catalog.scripts import STORE, Scripts
from server.errors import Forbidden, NotFound, NotVisual
from server.ids import Scope
from server.stores.errors import store_errors

__all__ = ["Worn"]


class Worn:
    """Worn items by tenant, user and character. Every method may raise `StoreUnavailable`.

    What is revoked, given away or deleted, or is not visual any more, comes off by itself.
    """

    def __init__(self, state: Redis) -> None:
        self._state = state
        self._scripts = Scripts(state)

    async def get(self, tenant: str, user: str, character: str) -> Item | None:
        """What the character has on, in one round trip."""
        keys = Keys(tenant)
        found = await self._scripts.run("worn", (keys.items, keys.inventory(user), keys.worn(user)), character)
        return None if found is None else decode_item(str(found[0]), str(found[1]))

    async def put(self, tenant: str, user: str, character: str, item: str) -> Item:
        """The character has this on from now on, and nothing else.

        Raises:
            InvalidId: user or character cannot be an id.
            NotFound: there is no such item.
            Forbidden: the user does not own it.
            NotVisual: it cannot be seen.
        """
        scope, keys = Scope(tenant, user, character), Keys(tenant)
        state, raw = await self._scripts.run(
            "wear", (keys.items, keys.inventory(scope.user), keys.worn(scope.user)), item, scope.character
        )
        match state:
            case "on":
                return decode_item(item, str(raw))
            case "not_owned":
                raise Forbidden("Only what one owns can be worn.", item_id=item, reason="not_owned")
            case "not_visual":
                raise NotVisual("This item cannot be seen, so it cannot be worn.", item_id=item)
            case _:
                raise NotFound("There is no such item.", item_id=item)

    async def take_off(self, tenant: str, user: str, character: str) -> bool:
        """Whether there was something to take off."""
        with store_errors(STORE):
            return bool(await self._state.hdel(Keys(tenant).worn(user), character))

    async def of(self, tenant: str, user: str) -> Mapping[str, Item]:
        """What each of a user's characters has on."""
        with store_errors(STORE):
            characters = cast(list[str], await self._state.hkeys(Keys(tenant).worn(user)))
        found = {character: await self.get(tenant, user, character) for character in characters}
        return {character: item for character, item in found.items() if item is not None}
