"""Items, inventories and what is worn, over a real Valkey; the pictures that are there are named, not stored."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.catalog.items.drafts import ItemDraft
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.catalog.worn import Worn
from server.errors import NotFound
from server.stores.redis import RedisPair
from tests.catalog.conftest import Clock

ANNA, BEN, KEEPER, ADMIN = Viewer("anna"), Viewer("ben"), Viewer(None, keeper=True), Viewer("root", admin=True)
RED, BLUE = "a" * 64, "b" * 64


@dataclass
class Pictures:
    """Who brought which picture: (sha256, tenant, user)."""

    brought: set[tuple[str, str, str | None]] = field(default_factory=set)

    async def get(self, sha256: str) -> object:
        if all(each != sha256 for each, _, _ in self.brought):
            raise NotFound("There is no such reference.")
        return sha256

    async def may_use(self, sha256: str, tenant: str, user: str | None) -> bool:
        return (sha256, tenant, user) in self.brought

    async def known_in(self, sha256: str, tenant: str) -> bool:
        return any(each[:2] == (sha256, tenant) for each in self.brought)


@pytest.fixture
def pictures() -> Pictures:
    return Pictures({(RED, "home", None), (RED, "home", "anna"), (BLUE, "home", "anna")})


@pytest.fixture
async def items(redis_pair: RedisPair, pictures: Pictures, clock: Clock) -> Items:
    return Items(redis_pair.busy, pictures, clock=clock)


@pytest.fixture
async def inventory(redis_pair: RedisPair, items: Items, clock: Clock) -> Inventory:
    return Inventory(redis_pair.busy, items, clock=clock)


@pytest.fixture
async def worn(redis_pair: RedisPair) -> Worn:
    return Worn(redis_pair.busy)


Make = Callable[..., Awaitable[Item]]


@pytest.fixture
def make(items: Items, clock: Clock) -> Make:
    """A new item of the shop, or of `owner`; each a second younger than the one before."""

    async def made(title: str = "Red coat", *, owner: str | None = None, tenant: str = "home", **fields: Any) -> Item:
        clock.forward(seconds=1)
        viewer = KEEPER if owner is None else Viewer(owner)
        return await items.create(tenant, ItemDraft(title=title, private=owner is not None, **fields), viewer)

    return made
