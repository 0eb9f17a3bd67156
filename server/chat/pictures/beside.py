"""What chat knows and tells of pictures, gifts and clothes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from server.chat.beside import Removed, Wardrobe
from server.chat.party import Party
from server.chat.pictures.dresser import Dresser
from server.chat.pictures.gifts import GiftNews
from server.chat.pictures.shown import ShownPictures
from server.ids import Scope

__all__ = ["BesidePictures", "Dropper"]


class Dropper(Protocol):
    """What throws pictures away: `server.render.previews`."""

    async def drop(self, tenant: str, keys: Sequence[str]) -> object:
        """Throws away what is private among these previews, and stops what makes them."""
        ...


class BesidePictures:
    """A `Beside` over the catalog and the previews."""

    def __init__(self, dresser: Dresser, news: GiftNews, shown: ShownPictures, dropper: Dropper) -> None:
        self._dresser = dresser
        self._news = news
        self._shown = shown
        self._dropper = dropper

    async def wardrobe(self, scope: Scope) -> Wardrobe | None:
        return await self._dresser.wardrobe(scope)

    async def before_turn(self, party: Party) -> None:
        await self._news.catch_up(party)

    async def after_removal(self, scope: Scope, removed: Removed) -> None:
        await self._dresser.tidy(scope, removed)
        await self._drop(scope.tenant, await self._shown.gone(scope, removed))

    async def before_clearing(self, tenant: str, user: str, character: str | None = None) -> None:
        await self._dresser.erase(tenant, user, character)
        await self._drop(tenant, await self._shown.erase(tenant, user, character))

    async def _drop(self, tenant: str, gone: Collection[str]) -> None:
        if gone:
            await self._dropper.drop(tenant, sorted(gone))
