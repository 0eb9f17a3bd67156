"""What can be worn, by whom, and how: items, inventories, looks and what characters have on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from redis.asyncio import Redis

from server.catalog.folder_exchange.importing import Importer
from server.catalog.items.codec import grant_data, item_data
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items, KnownReferences
from server.catalog.looks.looks import Looks, LoraVersions
from server.catalog.worn import Worn
from server.ending import end

__all__ = ["Catalog"]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog of every tenant. Servers and workers each have one over the same Redis, and see the same."""

    items: Items
    inventory: Inventory
    looks: Looks
    worn: Worn
    importer: Importer

    @classmethod
    def over(
        cls,
        state: Redis,
        references: KnownReferences,
        loras: LoraVersions,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        items = Items(state, references, clock=clock)
        inventory = Inventory(state, items, clock=clock)
        looks = Looks(state, loras)
        return cls(items, inventory, looks, Worn(state), Importer(state, items, looks, clock=clock))

    async def export(self, tenant: str, user: str) -> dict[str, Any]:
        """Everything that is a person's, as JSON: own uploads, inventory, what their characters have on."""
        own = await self.items.own(tenant, user)
        owned = (await self.inventory.owned(tenant, user)).owned
        worn = await self.worn.of(tenant, user)
        return {
            "items": [{"id": item.id, **item_data(item)} for item in own],
            "inventory": [{"title": each.item.title, **grant_data(each.grant)} for each in owned],
            "worn": {character: {"id": item.id, "title": item.title} for character, item in worn.items()},
        }

    async def erase(self, tenant: str, user: str) -> Mapping[str, int]:
        """Removes everything that is a person's, and their name where they gave something; says how much of what.

        Raises:
            StoreUnavailable: something may be left; the same call again takes it out.
        """
        own = await self.items.erase(tenant, user)
        owned = await self.inventory.erase(tenant, user)
        return {"items": own, "inventory": owned}

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Meanwhile, those who listen to the inventory are told of grants."""
        task = asyncio.create_task(self.inventory.teller.run(), name="grant-teller")
        try:
            yield
        finally:
            await end([task])
