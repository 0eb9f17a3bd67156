"""Many hands on one conversation at once: whatever they do, it stays one conversation."""

import asyncio
import random
from pathlib import Path

import pytest

from server.settings import Plan, Settings
from tests.fakes.openai_server import FakeOpenAI, says
from tests.harness import Json, Server, running
from tests.system.promises import check_windows, history

pytestmark = pytest.mark.timeout(180)

HANDS = 6
STEPS = 40


class Hand:
    """Does what comes to mind with what it last saw; by then that may be gone, which is a typed error and no more."""

    def __init__(self, server: Server, character: str, dice: random.Random) -> None:
        self.server, self.character, self.dice = server, character, dice
        self.said: set[str] = set()
        self.deleted: set[str] = set()

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json | None:
        status, answer = await self.server.ask(method, path, json=body, headers={"Accept": "application/json"})
        assert status in (200, 201, 400, 404, 409), answer
        if status < 300:
            return answer
        assert answer["error"]["code"] in ("invalid_request", "not_found", "conflict")
        return None

    async def step(self) -> None:
        seen = await history(self.server, self.character)
        ids = [message["id"] for message in seen[-12:]]
        chat, memory = f"/v1/chat/{self.character}", f"/v1/memory/{self.character}"
        what = self.dice.randrange(20)
        if what < 9 or not ids:
            done = await self.ask("POST", "/v1/chat", {"character_id": self.character, "message": "Well?"})
            if done is not None:
                self.said.add(done["message_ids"]["user"])
        elif what < 12:
            await self.ask("PATCH", f"{chat}/messages/{self.dice.choice(ids)}", {"text": f"Rather {what}"})
        elif what < 14:
            await self.ask("POST", f"{chat}/regenerate", {"message_id": self.dice.choice(ids)})
        elif what < 15:
            await self.ask("POST", f"{chat}/continue", {})
        elif what < 16:
            await self.ask("POST", f"{chat}/swipe", {"message_id": self.dice.choice(ids), "index": 0})
        elif what < 18:
            gone = self.dice.sample(ids, min(len(ids), 2))
            if await self.ask("POST", f"{memory}/forget", {"message_ids": gone}) is not None:
                self.deleted.update(gone)
        elif what < 19:
            first = self.dice.choice(ids[-4:])
            if await self.ask("DELETE", f"{chat}/messages/{first}") is not None:
                self.deleted.add(first)
        else:
            await self.ask("GET", f"{memory}/search?q=well&tokens=500")


@pytest.mark.parametrize("seed", [1, 2])
async def test_many_hands(tmp_path: Path, seed: int) -> None:
    async with FakeOpenAI() as fake:
        fake.respond = lambda _: says("So it is.")
        settings = Settings(
            data=tmp_path / "data",
            embedder="hash",
            shards=1,
            window_messages=4,
            write_facts=False,
            llm_base_url=fake.base_url,
            plans={"free": Plan(turns_per_minute=100_000)},
        )
        async with running(settings, fake) as server:
            character = await server.character()
            hands = [Hand(server, character, random.Random(f"{seed}-{number}")) for number in range(HANDS)]

            async def work(hand: Hand) -> None:
                for _ in range(STEPS):
                    await hand.step()

            await asyncio.gather(*(work(hand) for hand in hands))
            deleted = {id for hand in hands for id in hand.deleted}
            before = await history(server, character)
            ids = [message["id"] for message in before]
            assert ids == sorted(set(ids), key=lambda id: int(id.partition("-")[2]))
            assert not deleted & set(ids)
            assert {message["status"] for message in before} <= {"complete"}
            await server.memory.idle()
            await check_windows(server, character, before)
        async with running(settings, fake) as server:
            assert await history(server, character) == before
            await check_windows(server, character, before)
