"""Pictures in conversations, put together from the services they stand on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from redis.asyncio import Redis

from server.accounts.service import Accounts
from server.catalog.catalog import Catalog
from server.catalog.store import CharacterStore
from server.chat.pictures.beside import BesidePictures, Dropper
from server.chat.pictures.dresser import Dresser
from server.chat.pictures.gifts import GiftNews
from server.chat.pictures.service import ChatPictures, Painter
from server.chat.pictures.shown import ShownPictures
from server.memory.service import Memory

__all__ = ["PicturesInChat", "Previews", "open_pictures_in_chat"]


class Previews(Painter, Dropper, Protocol):
    """What makes pictures and throws them away: `server.render.previews`."""


@dataclass(frozen=True, slots=True)
class PicturesInChat:
    """`pictures` for who asks for one, `beside` for chat."""

    pictures: ChatPictures
    beside: BesidePictures


def open_pictures_in_chat(
    state: Redis,
    memory: Memory,
    accounts: Accounts,
    characters: CharacterStore,
    catalog: Catalog,
    previews: Previews,
    shown: ShownPictures,
    clock: Callable[[], datetime],
) -> PicturesInChat:
    """From now on companions hear of gifts. `shown`: the same that previews ask before they throw one away."""
    dresser = Dresser(state, catalog.worn, catalog.items, clock)
    news = GiftNews(state, memory, accounts, characters, catalog.items, catalog.inventory, clock)
    catalog.inventory.on_grant(news.granted)
    pictures = ChatPictures(memory, previews, catalog.items, catalog.inventory, dresser, shown, news, clock)
    return PicturesInChat(pictures, BesidePictures(dresser, news, shown, previews))
