"""Inventories: grants, gifts, and what comes off a character when an item goes."""

import asyncio
from typing import Any

import pytest

from server.catalog.items import limits
from server.catalog.items.drafts import ItemChanges
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Grant
from server.catalog.items.telling import FIRST_DELAY, GIVE_UP_SECONDS
from server.catalog.worn import Worn
from server.ending import end
from server.errors import (
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    NotVisual,
    TooLarge,
    Unavailable,
    VestigeError,
)
from server.stores.redis import RedisPair
from tests.catalog.conftest import Clock
from tests.catalog.items.conftest import ANNA, BEN, KEEPER, Make


async def owners(inventory: Inventory, item: str, *users: str) -> list[str]:
    return [user for user in users if await inventory.owns("home", user, item)]


async def test_what_is_granted_is_owned(inventory: Inventory, make: Make) -> None:
    item = await make()
    granted = await inventory.grant("home", "anna", item, "bought")
    assert (granted.new, granted.grant.how, granted.grant.giver) == (True, "bought", None)
    page = await inventory.owned("home", "anna")
    assert [(owned.item, owned.grant) for owned in page.owned] == [(item, granted.grant)]
    assert await owners(inventory, item.id, "anna", "ben") == ["anna"]
    assert not await inventory.owns("acme", "anna", item.id)
    again = await inventory.grant("home", "anna", item, "granted")
    assert (again.new, again.grant) == (False, granted.grant)


async def test_a_retried_grant_is_one_grant(inventory: Inventory, make: Make) -> None:
    item, other = await make(), await make()
    first, second = await asyncio.gather(*(inventory.grant("home", "anna", item, key="k1") for _ in range(2)))
    assert first.grant == second.grant
    assert sorted([first.new, second.new]) == [False, True]
    await inventory.revoke("home", "anna", item.id)
    assert (await inventory.grant("home", "anna", item, key="k1")).grant == first.grant
    assert not await inventory.owns("home", "anna", item.id)
    with pytest.raises(IdempotencyMismatch):
        await inventory.grant("home", "anna", other, key="k1")
    with pytest.raises(IdempotencyMismatch):
        await inventory.grant("home", "anna", item, "bought", key="k1")


async def test_nobody_uses_up_the_shops_keys(inventory: Inventory, make: Make) -> None:
    item, other = await make(), await make()
    await inventory.grant("home", "anna", item)
    await inventory.grant("home", "ben", item, giver="anna", key="order-1")
    assert (await inventory.grant("home", "ben", other, "bought", key="order-1")).new


async def test_keys_are_remembered_in_bounds(
    inventory: Inventory, make: Make, redis_pair: RedisPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWERS", 3)
    item = await make()
    for number in range(5):
        await inventory.grant("home", "anna", item, key=f"k{number}")
    for name in ("answered", "answered-age"):
        key = f"vestige:catalog:home:{name}:anna"
        length = redis_pair.state.hlen if name == "answered" else redis_pair.state.zcard
        assert await length(key) == 3
        assert 0 < await redis_pair.state.ttl(key) <= limits.ANSWER_SECONDS


async def test_a_gift_moves(inventory: Inventory, worn: Worn, make: Make) -> None:
    item = await make()
    await inventory.grant("home", "anna", item)
    await worn.put("home", "anna", "mira", item.id)
    given = await inventory.grant("home", "ben", item, giver="anna")
    assert (given.grant.how, given.grant.giver) == ("gift", "anna")
    assert await owners(inventory, item.id, "anna", "ben") == ["ben"]
    assert await worn.get("home", "anna", "mira") is None


async def test_one_item_given_to_many_at_once_is_given_once(inventory: Inventory, make: Make) -> None:
    item, users = await make(), [f"user-{number}" for number in range(8)]
    await inventory.grant("home", "anna", item)
    gifts = await asyncio.gather(
        *(inventory.grant("home", user, item, giver="anna") for user in users), return_exceptions=True
    )
    assert sum(isinstance(gift, Forbidden) for gift in gifts) == 7
    assert len(await owners(inventory, item.id, "anna", *users)) == 1


async def test_what_cannot_be_given(inventory: Inventory, make: Make) -> None:
    item, own = await make(), await make(owner="anna")
    await inventory.grant("home", "anna", item)
    with pytest.raises(Forbidden):
        await inventory.grant("home", "anna", item, giver="ben")
    with pytest.raises(InvalidRequest):
        await inventory.grant("home", "anna", item, giver="anna")
    with pytest.raises(InvalidRequest):
        await inventory.grant("home", "ben", own, giver="anna")
    await inventory.grant("home", "ben", item)
    with pytest.raises(Conflict):
        await inventory.grant("home", "ben", item, giver="anna")
    assert await owners(inventory, item.id, "anna", "ben") == ["anna", "ben"]


async def test_an_inventory_has_an_end(inventory: Inventory, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OWNED", 1)
    item, other = await make(), await make()
    await inventory.grant("home", "anna", item)
    await inventory.grant("home", "ben", other)
    with pytest.raises(TooLarge):
        await inventory.grant("home", "anna", other, giver="ben")
    assert await owners(inventory, other.id, "anna", "ben") == ["ben"]


async def test_an_upload_is_owned_from_the_first_moment(inventory: Inventory, items: Items, make: Make) -> None:
    own = await make(owner="anna")
    (owned,) = (await inventory.owned("home", "anna")).owned
    assert (owned.item, owned.grant.how) == (own, "uploaded")
    with pytest.raises(InvalidRequest):
        await inventory.revoke("home", "anna", own.id)
    await items.delete("home", own.id, ANNA)
    assert (await inventory.owned("home", "anna")).owned == []


async def test_pages_of_an_inventory(inventory: Inventory, items: Items, make: Make, clock: Clock) -> None:
    made = [await make(f"Coat {number}") for number in range(5)]
    for item in made:
        clock.forward(seconds=1)
        await inventory.grant("home", "anna", item)
    await items.delete("home", made[3].id, KEEPER)
    first = await inventory.owned("home", "anna", limit=2)
    assert [owned.item.title for owned in first.owned] == ["Coat 4"]
    rest = await inventory.owned("home", "anna", after=first.next)
    assert ([owned.item.title for owned in rest.owned], rest.next) == (["Coat 2", "Coat 1", "Coat 0"], None)


async def test_what_is_worn(inventory: Inventory, items: Items, worn: Worn, make: Make) -> None:
    item, unseen = await make(), await make(visual=False)
    with pytest.raises(Forbidden):
        await worn.put("home", "anna", "mira", item.id)
    with pytest.raises(NotFound):
        await worn.put("home", "anna", "mira", "nothing")
    for each in (item, unseen):
        await inventory.grant("home", "anna", each)
    with pytest.raises(NotVisual):
        await worn.put("home", "anna", "mira", unseen.id)
    assert await worn.put("home", "anna", "mira", item.id) == item
    assert await worn.get("home", "anna", "mira") == item
    assert await worn.get("home", "ben", "mira") is None
    assert await worn.of("home", "anna") == {"mira": item}
    assert await worn.take_off("home", "anna", "mira")
    assert not await worn.take_off("home", "anna", "mira")


@pytest.mark.parametrize("how", ["revoked", "deleted", "unseen"])
async def test_what_goes_comes_off(inventory: Inventory, items: Items, worn: Worn, make: Make, how: str) -> None:
    item = await make()
    await inventory.grant("home", "anna", item)
    await worn.put("home", "anna", "mira", item.id)
    match how:
        case "revoked":
            await inventory.revoke("home", "anna", item.id)
        case "deleted":
            await items.delete("home", item.id, KEEPER)
        case _:
            await items.update("home", item.id, ItemChanges(visual=False), KEEPER)
    assert await worn.get("home", "anna", "mira") is None
    if how != "unseen":
        with pytest.raises(NotFound):
            await inventory.revoke("home", "anna", item.id)


async def test_grants_are_told_once_each(inventory: Inventory, make: Make) -> None:
    heard: list[Grant] = []

    async def hear(grant: Grant) -> None:
        heard.append(grant)

    inventory.on_grant(hear)
    item = await make()
    await make(owner="anna")
    bought = await inventory.grant("home", "anna", item, "bought")
    gift = await inventory.grant("home", "ben", item, giver="anna")
    assert await inventory.teller.tell() == 2
    assert heard == [bought.grant, gift.grant]
    assert await inventory.teller.tell() == 0


async def test_a_grant_that_cannot_be_told_is_told_later(
    inventory: Inventory, make: Make, redis_pair: RedisPair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    errors: list[VestigeError] = [Unavailable("Not now.")]

    async def hear(grant: Grant) -> None:
        heard.append(grant.id)
        if errors:
            raise errors.pop()

    inventory.on_grant(hear)
    granted = await inventory.grant("home", "anna", await make())
    assert await inventory.teller.tell() == 1
    due = await redis_pair.state.zscore("vestige:catalog:untold:due", granted.grant.id)
    seconds, micro = await redis_pair.state.time()
    assert due is not None
    assert 0 < due - (seconds * 1000 + micro // 1000) <= FIRST_DELAY * 1000
    await redis_pair.state.zadd("vestige:catalog:untold:due", {granted.grant.id: 0})
    assert await inventory.teller.tell() == 1
    assert heard == [granted.grant.id] * 2
    assert await redis_pair.state.exists("vestige:catalog:untold", "vestige:catalog:untold:due") == 0


async def test_who_dies_while_telling_leaves_it_to_the_next(
    inventory: Inventory, items: Items, make: Make, redis_pair: RedisPair
) -> None:
    async def never(grant: Grant) -> None:
        await asyncio.Event().wait()

    inventory.on_grant(never)
    granted = await inventory.grant("home", "anna", await make())
    dying = asyncio.create_task(inventory.teller.tell())
    await asyncio.sleep(0.05)
    await end([dying])
    other, heard = Inventory(redis_pair.busy, items), list[str]()

    async def hear(grant: Grant) -> None:
        heard.append(grant.id)

    other.on_grant(hear)
    assert await other.teller.tell() == 0  # the dead one's lease
    await redis_pair.state.zadd("vestige:catalog:untold:due", {granted.grant.id: 0})
    assert await other.teller.tell() == 1
    assert heard == [granted.grant.id]


async def test_what_is_never_told_is_given_up_in_the_end(inventory: Inventory, make: Make, clock: Clock) -> None:
    async def broken(grant: Grant) -> None:
        raise RuntimeError("a bug")

    inventory.on_grant(broken)
    await inventory.grant("home", "anna", await make())
    clock.forward(seconds=GIVE_UP_SECONDS + 1)
    assert await inventory.teller.tell() == 1
    assert await inventory.teller.tell() == 0


async def test_a_grant_is_told_as_soon_as_it_is_made(inventory: Inventory, make: Make) -> None:
    told = asyncio.Event()

    async def hear(grant: Grant) -> None:
        told.set()

    inventory.on_grant(hear)
    running = asyncio.create_task(inventory.teller.run())
    await inventory.grant("home", "anna", await make())
    async with asyncio.timeout(30):
        await told.wait()
    await end([running])


async def test_erasing_a_person_leaves_no_trace_of_them(
    inventory: Inventory, items: Items, worn: Worn, make: Make, redis_pair: RedisPair
) -> None:
    kept, given, got = await make(), await make(), await make()
    await make(owner="anna")
    await inventory.grant("home", "anna", kept, key="k1")
    await inventory.grant("home", "anna", given)
    await inventory.grant("home", "ben", given, giver="anna", key="k2")
    await inventory.grant("home", "ben", got)
    await inventory.grant("home", "anna", got, giver="ben")
    await worn.put("home", "anna", "mira", kept.id)
    await items.erase("home", "anna")
    assert await inventory.erase("home", "anna") == 2
    for key in map(str, await redis_pair.state.keys("*")):
        assert "anna" not in key
        held = str(await redis_pair.state.type(key))
        content: Any = {
            "hash": redis_pair.state.hgetall,
            "set": redis_pair.state.smembers,
            "zset": lambda name: redis_pair.state.zrange(name, 0, -1),
        }[held](key)
        assert "anna" not in str(await content), key
    (owned,) = (await inventory.owned("home", "ben")).owned
    assert (owned.item.id, owned.grant.giver, owned.grant.how) == (given.id, None, "gift")
    assert await inventory.erase("home", "anna") == 0


async def test_viewers_do_not_matter_to_what_is_owned(inventory: Inventory, items: Items, make: Make) -> None:
    item = await make()
    await inventory.grant("home", "ben", item)
    await items.update("home", item.id, ItemChanges(public=False), KEEPER)
    assert await items.get("home", item.id, BEN)
    assert await inventory.owns("home", "ben", item.id)
