"""Many people, few things, two servers: whatever comes at once, nothing is doubled, lost, or worn by who lacks it."""

import asyncio
import random
from typing import Any

from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.worn import Worn
from server.errors import VestigeError
from server.stores.redis import RedisPair
from tests.catalog.items.conftest import KEEPER, Make, Pictures

PEOPLE = [f"user-{number}" for number in range(6)]
STEPS = 400


async def test_gifts_revocations_and_dressing_all_at_once(
    items: Items, inventory: Inventory, make: Make, redis_pair: RedisPair, pictures: Pictures
) -> None:
    rng = random.Random(7)
    things = [await make(f"Thing {number}") for number in range(4)]
    doomed = await make("Doomed")
    for thing in (*things, doomed):
        await inventory.grant("home", rng.choice(PEOPLE), thing)
    # each server with a client and scripts of its own, over the same store
    servers = [(inventory, Worn(redis_pair.busy))]
    servers.append((Inventory(redis_pair.state, Items(redis_pair.state, pictures)), Worn(redis_pair.state)))
    given = 0

    async def step(number: int) -> None:
        nonlocal given
        owned, worn = servers[number % 2]
        person, other, thing = rng.choice(PEOPLE), rng.choice(PEOPLE), rng.choice([*things, doomed])
        try:
            if rng.random() < 0.3:
                await worn.put("home", person, "mira", thing.id)
            else:
                granted = await owned.grant("home", other, thing, giver=person, key=f"{number}")
                given += granted.new
        except VestigeError:
            pass  # not theirs, worn by nobody, gone: what may be refused is

    await asyncio.gather(*(step(number) for number in range(STEPS)), items.delete("home", doomed.id, KEEPER))
    held: dict[str, list[Any]] = {}
    for person in PEOPLE:
        for each in (await inventory.owned("home", person)).owned:
            held.setdefault(each.item.id, []).append(person)
        on = await servers[0][1].get("home", person, "mira")
        assert on is None or await inventory.owns("home", person, on.id)
    assert {id: len(people) for id, people in held.items()} == {thing.id: 1 for thing in things}
    assert given > 10
    told = 0

    async def hear(_: object) -> None:
        nonlocal told
        told += 1

    inventory.on_grant(hear)
    while await inventory.teller.tell():
        pass
    assert told == given + len(things) + 1
