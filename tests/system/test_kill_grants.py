"""kill -9 of the server while items are granted and given: asked again, each is owned once, and each is told."""

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest

from server.stores.valkey import plain_client
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json
from tests.system.instance import Instance, start
from tests.system.stored import stored

pytestmark = pytest.mark.timeout(180)

ITEMS, KILLS = 12, 2
UNTOLD = "vestige:catalog:untold"


class Shopping:
    """One bout of grants to the owner, of which every other is given on to Anna."""

    def __init__(self, number: int, anna: str) -> None:
        self.ids = [f"thing-{number}-{each}" for each in range(ITEMS)]
        self.anna = anna
        self.grants = [({"item_id": id, "user_id": "owner", "how": "bought"}, f"buy-{id}") for id in self.ids]
        self.gifts = [({"item_id": id, "to": anna}, f"give-{id}") for id in self.ids[::2]]

    async def until_killed(self, server: Instance, seconds: float) -> None:
        """Asks for all of it, for some of it twice at once, until the server dies."""
        for id in self.ids:
            assert (await server.ask("POST", "/v1/items", json={"id": id, "title": id}))[0] == 201
        asking = [asyncio.create_task(self._ask(server, each)) for each in (self.grants, self.grants, self.gifts)]
        await asyncio.sleep(seconds)
        await server.kill()
        await asyncio.gather(*asking)

    async def again(self, server: Instance) -> None:
        """The same with the same keys: all of it is there, once."""
        for body, key in (*self.grants, *self.gifts):
            assert await ask(server, body, key) in (200, 201)
        assert await owned(server, self.anna) & set(self.ids) == set(self.ids[::2])
        assert await owned(server, "owner") & set(self.ids) == set(self.ids[1::2])

    async def _ask(self, server: Instance, asked: list[tuple[Json, str]]) -> None:
        for body, key in asked:
            await ask(server, body, key)


async def ask(server: Instance, body: Json, key: str) -> int | None:
    """The answer's status; None where the server died."""
    try:
        status, _ = await server.ask("POST", "/v1/inventory", json=body, headers={"Idempotency-Key": key})
    except aiohttp.ClientError:
        return None
    return status


async def owned(server: Instance, user: str) -> set[str]:
    _, page = await server.ask("GET", f"/v1/inventory?limit=200&user_id={user}")
    return {each["item"]["id"] for each in page["owned"]}


async def test_grants_outlive_kills(tmp_path: Path) -> None:
    rng, data, before = random.Random(3), tmp_path / "data", None
    async with FakeOpenAI() as fake:
        for number in range(KILLS + 1):
            async with start(data, fake.base_url) as server:
                if before is not None:
                    await before.again(server)
                _, added = await server.ask("POST", "/v1/admin/users", json={"name": "Anna"})
                before = Shopping(number, added["user"]["id"])
                await before.until_killed(server, rng.uniform(0.01, 0.15))
        async with stored(data) as store:  # what a dead server was telling is due again, as after a minute
            for id in await store.redis.state.hkeys(UNTOLD):
                await store.redis.state.zadd(f"{UNTOLD}:due", {str(id): 0})
        async with start(data, fake.base_url), plain_client(data / "run" / "valkey.sock") as state:
            while await state.hlen(UNTOLD):  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.05)
