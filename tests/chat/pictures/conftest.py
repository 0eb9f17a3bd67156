"""Chat's pictures over a real Valkey, a real Chroma and the real catalog; only who paints is a fake."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.accounts.service import Accounts
from server.catalog.cards import Card
from server.catalog.items.drafts import ItemDraft
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.models import CharacterDraft
from server.catalog.records import Viewer
from server.catalog.store import CharacterStore
from server.catalog.worn import Worn
from server.chat.party import Party, Who
from server.chat.pictures.beside import BesidePictures
from server.chat.pictures.dresser import Dresser
from server.chat.pictures.gifts import GiftNews
from server.chat.pictures.service import ChatPictures
from server.chat.pictures.shown import ShownPictures
from server.datafolder import DataFolder
from server.errors import VestigeError
from server.ids import Scope
from server.memory.embedding import HashEmbedder
from server.memory.service import Memory
from server.memory.views import MemoryOptions
from server.render.previews.types import Person, Preview, PreviewState
from server.settings import Settings
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair

DRAFT = CharacterDraft(name="Mira", first_mes="Good evening.")
KEEPER = Viewer(None, admin=True)
OWNER_TOKEN = "owner-token-of-this-process-0123456789"


@dataclass
class FakePainter:
    """Says of each picture that it waits, unless told otherwise; `refuses` is raised instead."""

    asked: list[tuple[str, str | None, str | None, int]] = field(default_factory=list)
    known: dict[str, Preview] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    refuses: VestigeError | None = None
    begins_as: PreviewState = "waiting"

    async def ask(
        self, person: Person, character: str, item: str | None = None, *, scene: str | None = None, variant: int = 0
    ) -> Preview:
        self.asked.append((character, item, scene, variant))
        if self.refuses is not None:
            raise self.refuses
        key = f"{character}-{item}-{scene}-{variant}".replace(" ", "_")
        self.known[key] = Preview(key, self.begins_as, character, item)
        return self.known[key]

    async def states(self, person: Person, keys: Sequence[str]) -> Mapping[str, Preview]:
        return {key: self.known[key] for key in keys if key in self.known}

    async def drop(self, tenant: str, keys: Sequence[str]) -> None:
        self.dropped |= set(keys)

    def becomes(self, key: str, state: PreviewState) -> None:
        self.known[key] = replace(self.known[key], state=state)


class NoReferences:
    async def may_use(self, sha256: str, tenant: str, user: str | None) -> bool:
        raise AssertionError("no item here has a picture")

    async def known_in(self, sha256: str, tenant: str) -> bool:
        raise AssertionError("no item here has a picture")

    async def get(self, sha256: str) -> object:
        raise AssertionError("no item here has a picture")


@dataclass
class Studio:
    """All of it, and the party of Ann with Mira."""

    party: Party
    memory: Memory
    items: Items
    inventory: Inventory
    worn: Worn
    accounts: Accounts
    painter: FakePainter
    pictures: ChatPictures
    shown: ShownPictures
    news: GiftNews
    beside: BesidePictures

    @property
    def scope(self) -> Scope:
        return self.party.scope

    async def item(self, title: str, *, owned: bool = True, **fields: Any) -> Item:
        item = await self.items.create("home", ItemDraft.model_validate({"title": title, **fields}), KEEPER)
        if owned:
            await self.inventory.grant("home", self.scope.user, item)
        return item

    async def said(self) -> list[tuple[str, str]]:
        page = await self.memory.history(self.scope)
        return [(one.role.value, one.text) for one in page.messages]


@pytest.fixture
async def studio(
    redis_pair: RedisPair,
    chroma: ChromaShards,
    make_settings: Callable[..., Settings],
    tmp_path: Any,
) -> AsyncIterator[Studio]:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def clock() -> datetime:
        nonlocal now
        now += timedelta(seconds=1)
        return now

    settings = make_settings()
    memory = Memory(redis_pair, chroma, HashEmbedder(), options=MemoryOptions(window_messages=4), clock=clock)
    state = redis_pair.state
    items = Items(state, NoReferences(), clock=clock)
    inventory, worn, painter = Inventory(state, items, clock=clock), Worn(state), FakePainter()
    accounts = Accounts(state, settings, owner_token=OWNER_TOKEN, clock=clock)
    folder = DataFolder(tmp_path / "characters")
    with folder.open():
        characters = CharacterStore(folder.characters, clock=clock)
        ann = await accounts.add_user("home", "Ann")
        mira = await characters.create("home", DRAFT, owner=ann.id)
        scope = Scope("home", ann.id, mira.id)
        dresser = Dresser(state, worn, items, clock)
        shown = ShownPictures(state, memory)
        news = GiftNews(state, memory, accounts, characters, items, inventory, clock)
        yield Studio(
            party=Party.of(Who(scope, "free", "Ann"), Card.new({"name": "Mira", "first_mes": "Good evening."})),
            memory=memory,
            items=items,
            inventory=inventory,
            worn=worn,
            accounts=accounts,
            painter=painter,
            pictures=ChatPictures(memory, painter, items, inventory, dresser, shown, news, clock),
            shown=shown,
            news=news,
            beside=BesidePictures(dresser, news, shown, painter),
        )
    await memory.aclose()
