"""Two servers over one set of real stores, as behind a proxy: any of them takes any turn, and one may be killed."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Client
from tests.system.instance import Instance, start, until
from tests.system.promises import Conversation
from tests.system.shared_stores import shared_stores

pytestmark = pytest.mark.timeout(300)
TALKS, TURNS = 4, 8


@dataclass
class Proxy(Client):
    """What a person's requests go through: a server by chance, and only those that are left."""

    servers: list[Instance]
    session: aiohttp.ClientSession
    token: str
    rng: random.Random

    @property
    def port(self) -> int:  # type: ignore[override]
        return self.rng.choice(self.servers).port


async def test_one_is_killed_under_load_and_no_turn_is_lost_or_doubled(tmp_path: Path) -> None:
    with shared_stores(tmp_path / "stores") as stores:
        async with FakeOpenAI() as fake:
            settings = {**stores, "window_messages": 4}
            async with (
                start(tmp_path / "one", fake.base_url, **settings) as one,
                start(tmp_path / "two", fake.base_url, **settings) as two,
            ):
                _, made = await one.ask(
                    "POST",
                    "/v1/admin/keys",
                    json={"name": "app", "scopes": ["chat", "memory", "characters"], "user_id": "owner"},
                )
                proxy = Proxy([one, two], one.session, made["secret"], random.Random(7))
                characters = [await proxy.character(name=f"Mira {at}") for at in range(TALKS)]
                talks = [Conversation(f"talk-{at}", character) for at, character in enumerate(characters)]

                async def talk(each: Conversation) -> None:
                    for _ in range(TURNS):
                        said = await each.turn(proxy)
                        while said.reply is None:  # as a client does: the same key again, wherever it leads
                            await asyncio.sleep(0.05)
                            await each.follow(proxy, said)

                async def disaster() -> None:
                    await until(lambda: sum(len(each.said) for each in talks) >= TALKS * TURNS // 3)
                    proxy.servers = [two]
                    await one.kill()

                await asyncio.gather(disaster(), *map(talk, talks))
                for each in talks:
                    messages = await each.kept(proxy)
                    assert len(messages) == 2 * TURNS

                async with start(tmp_path / "one", fake.base_url, **settings) as again:
                    proxy.servers = [again, two]
                    for each in talks:
                        await each.turn(proxy)
                        await each.completed(proxy)


async def test_what_one_changes_the_other_knows_at_once(tmp_path: Path) -> None:
    with shared_stores(tmp_path / "stores") as stores:
        async with (
            FakeOpenAI() as fake,
            start(tmp_path / "one", fake.base_url, **stores) as one,
            start(tmp_path / "two", fake.base_url, **stores) as two,
        ):
            _, made = await one.ask(
                "POST", "/v1/admin/keys", json={"name": "app", "scopes": ["chat", "memory", "characters"]}
            )
            key = {"Authorization": f"Bearer {made['secret']}"}
            mira = await one.character(name="Mira")
            assert (await two.ask("GET", f"/v1/characters/{mira}"))[0] == 200
            assert (await one.say(mira, "My cat is called Ophelia"))[0] == 200
            found = await two.ask("GET", f"/v1/memory/{mira}/search?q=cat&tokens=100")
            assert "Ophelia" in str(found)
            asked = await two.ask("GET", f"/v1/memory/{mira}/recent?user_id=owner", headers=key)
            assert asked[0] == 200
            assert (await one.ask("DELETE", f"/v1/admin/keys/{made['key']['id']}"))[0] == 204
            assert (await two.ask("GET", "/v1/me", headers=key))[0] == 401
            assert (await two.ask("DELETE", f"/v1/memory/{mira}"))[0] == 204
            assert (await one.ask("GET", f"/v1/memory/{mira}/search?q=cat"))[1]["spans"] == []
