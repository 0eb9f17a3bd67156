"""A state Redis that does not answer: everything in the catalog says so, with one typed error."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.catalog.catalog import Catalog
from server.catalog.items.drafts import ItemChanges, ItemDraft
from server.catalog.items.model import Item
from server.catalog.looks.model import LookFields
from server.errors import StoreUnavailable
from server.loras.registry import Registry
from tests.catalog.items.conftest import ADMIN, ANNA, Pictures

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEM = Item("coat", "Coat", "coats", True, "", None, None, None, True, NOW, NOW)
LOOK = LookFields(checkpoint="base.safetensors")
CALLS: dict[str, Callable[[Catalog], Awaitable[object]]] = {
    "list": lambda catalog: catalog.items.list("home", ANNA),
    "get": lambda catalog: catalog.items.get("home", "coat", ANNA),
    "titles": lambda catalog: catalog.items.titles("home", ["coat"]),
    "create": lambda catalog: catalog.items.create("home", ItemDraft(title="Coat"), ADMIN),
    "update": lambda catalog: catalog.items.update("home", "coat", ItemChanges(title="Coat"), ADMIN),
    "delete": lambda catalog: catalog.items.delete("home", "coat", ADMIN),
    "shown": lambda catalog: catalog.items.shown(["a" * 64]),
    "grant": lambda catalog: catalog.inventory.grant("home", "anna", ITEM, key="k"),
    "answered": lambda catalog: catalog.inventory.answered("home", "anna", "coat", key="k"),
    "revoke": lambda catalog: catalog.inventory.revoke("home", "anna", "coat"),
    "owned": lambda catalog: catalog.inventory.owned("home", "anna"),
    "owns": lambda catalog: catalog.inventory.owns("home", "anna", "coat"),
    "tell": lambda catalog: catalog.inventory.teller.tell(),
    "worn": lambda catalog: catalog.worn.get("home", "anna", "mira"),
    "wear": lambda catalog: catalog.worn.put("home", "anna", "mira", "coat"),
    "take off": lambda catalog: catalog.worn.take_off("home", "anna", "mira"),
    "look": lambda catalog: catalog.looks.get("home", "mira"),
    "put look": lambda catalog: catalog.looks.put("home", "mira", LOOK, names=()),
    "looks": lambda catalog: catalog.looks.all("home"),
    "erase": lambda catalog: catalog.erase("home", "anna"),
    "export": lambda catalog: catalog.export("home", "anna"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_it_says_so(tmp_path: Path, name: str) -> None:
    async with Redis(unix_socket_path=str(tmp_path / "nobody"), retry=Retry(NoBackoff(), 0)) as nobody:
        with pytest.raises(StoreUnavailable) as refused:
            await CALLS[name](Catalog.over(nobody, Pictures(), Registry(nobody)))
    assert refused.value.details["store"] == "catalog"
