"""A server, its workers and its Valkey as processes, two hosts, and what was asked of them."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from server.datafolder import DataFolder
from server.render.jobs.queue import NAMESPACE
from server.stores.valkey import running_socket
from tests.chaos.host import SIZE, MortalHost, Shown, mortal_host
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json
from tests.render.graphs.described import CHECKPOINTS, described
from tests.render.previews.studio import photo
from tests.system.instance import Instance, children, start, until, until_gone
from tests.system.promises import LOST

TOKEN = "a-token-of-the-pack-0123456789"
SEED = 1_000
ITEMS = 3
MIDST_SECONDS = 2.5
PATIENCE = 120.0
"""Seconds until a picture must be there, whatever happened: leases, rests and waits of half a minute are among it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture that somebody waits for: nothing but `shown` may ever be seen under `key`."""

    key: str
    job: str
    shown: Shown


@dataclass
class Tally:
    """What became of everything that was asked for."""

    pictures: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    again: int = 0
    """Renders that a host's death made right."""


@dataclass
class ChaosWorld:
    """`gpu1` has our pack, `gpu2` has not. `server` is the one that runs now."""

    data: Path
    objects: Path
    hosts: list[MortalHost]
    model: FakeOpenAI
    workers: int = 1
    tally: Tally = field(default_factory=Tally)
    server: Instance = field(init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _character: str = ""
    _items: list[Json] = field(default_factory=list)
    _asked: int = 0

    async def again(self) -> None:
        """Starts a server on the data, whose last one has ended."""
        await self._stack.aclose()
        settings = {
            "comfy_hosts": ", ".join(f"gpu{n}={host.url}" for n, host in enumerate(self.hosts, 1)),
            "comfy_token": TOKEN,
            "comfy_render_seconds": 1,
            "comfy_swap_seconds": 0,
            "objects_url": self.objects,
            "render_workers": self.workers,
            "render_waiting": 1_000,
            "key_requests_per_minute": 1_000_000,
        }
        self.server = await self._stack.enter_async_context(start(self.data, self.model.base_url, **settings))

    async def close(self) -> None:
        await self._stack.aclose()

    async def furnish(self) -> None:
        """A character with a look, and items with pictures of their own."""
        self._character = await self.server.character(name="Mira", shared=True)
        scene = {"prompt": "in a garden", "seed": SEED, "width": SIZE[0], "height": SIZE[1], "steps": 4}
        look = {"checkpoint": CHECKPOINTS[1], "scene": scene}
        await self._put("PUT", f"/v1/characters/{self._character}/look", json=look)
        for number in range(ITEMS):
            picture = photo((number * 40, 120, 40), (320, 320))
            reference = await self._put("POST", "/v1/references", data=picture, headers={"Content-Type": "image/png"})
            hint, sha256 = f"coat {number}", reference["sha256"]
            draft = {"title": hint, "category": "outfit", "reference": sha256, "prompt_hint": hint}
            self._items.append(await self._put("POST", "/v1/items", json=draft) | {"sha256": sha256, "hint": hint})

    async def ask(self, *, times: int = 1) -> Asked:
        """For a picture that nobody asked for before, so often at once."""
        self._asked += 1
        variant, item = self._asked // ITEMS, self._items[self._asked % ITEMS]
        body = {"character_id": self._character, "item_id": item["id"], "variant": variant}
        answers = await asyncio.gather(*(self._put("POST", "/v1/previews", json=body) for _ in range(times)))
        assert len({one["key"] for one in answers}) == 1
        assert len({one["job"]["id"] for one in answers if one["job"]}) == 1
        shown = Shown(SEED + variant, f"in a garden, {item['hint']}", f"vestige/{item['sha256']}.png")
        return Asked(answers[0]["key"], next(one["job"]["id"] for one in answers if one["job"]), shown)

    async def midst(self, dice: random.Random, count: int) -> list[Asked]:
        """Asks for so many pictures; returns at a random point of their renders."""
        asked = [await self.ask() for _ in range(count)]
        await until(lambda: any(host.running for host in self.hosts))
        await asyncio.sleep(dice.random() * MIDST_SECONDS)
        return asked

    async def settle(self, asked: Sequence[Asked]) -> None:
        """Waits for all of them and counts what is not as it was promised."""
        for one in asked:
            self.tally.pictures += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    picture = await self._picture(one)
            except TimeoutError:
                self.tally.lost += 1
                continue
            self.tally.wrong += not one.shown.is_in(picture)
            completed = sum(host.completed[one.shown] for host in self.hosts)
            excused = sum(host.excused[one.shown] for host in self.hosts)
            self.tally.twice += max(0, completed - 1 - excused)
            self.tally.again += sum(host.began[one.shown] for host in self.hosts) > 1

    async def rest(self) -> None:
        """Returns once the hosts are as if nothing had happened."""
        for host in self.hosts:
            host.cuts = host.breaks = host.lose_answers = 0
            host.dripping = False
        for name in ("gpu1", "gpu2"):
            await self._put("POST", f"/v1/admin/hosts/{name}/probe")

    # what strikes

    async def kill_worker(self, dice: random.Random) -> None:
        """One of them; nothing where none runs yet."""
        found = [pid for pid, name in children(self.server.process.pid).items() if name.startswith("python")]
        if found:
            pid = dice.choice(found)
            os.kill(pid, signal.SIGKILL)
            await until_gone({pid})

    async def kill_server(self) -> None:
        await self.server.kill()
        await self.again()

    async def kill_valkey(self) -> None:
        pid = self.server.valkey()
        os.kill(pid, signal.SIGKILL)
        await until_gone({pid})

    def lose_tickets(self) -> None:
        """Takes away all that dramatiq has to give out."""
        with redis.Redis(unix_socket_path=str(running_socket(DataFolder(self.data).redis))) as client:
            names = list(client.scan_iter(f"{NAMESPACE}:*"))
            if names:
                client.delete(*names)

    async def _picture(self, asked: Asked) -> bytes:
        """Once it is there. It is never asked for again: what was accepted once must come by itself."""
        while True:
            try:
                status, answer = await self.server.ask("GET", f"/v1/previews/{asked.key}")
                assert status in (200, 503), f"{asked} is not known any more: {answer}"
                if status == 200:
                    job = answer["job"]
                    assert answer["state"] in ("ready", "waiting", "running"), answer
                    assert job is None or job["id"] == asked.job, "another job than the first time"
                    if answer["state"] == "ready":
                        status, picture = await self.server.ask("GET", answer["url"])
                        if status == 200:
                            return picture
            except LOST:
                pass
            await asyncio.sleep(0.25)

    async def _put(self, method: str, path: str, **more: Any) -> Json:
        """Insists, as a client does on a server whose store comes back."""
        async with asyncio.timeout(PATIENCE):
            while True:
                status, answer = await self.server.ask(method, path, **more)
                if status != 503:
                    assert status in (200, 201, 202), answer
                    return answer
                await asyncio.sleep(0.25)


@asynccontextmanager
async def chaos_world(folder: Path, objects: Path, *, workers: int = 1) -> AsyncIterator[ChaosWorld]:
    how = {"nodes": described(), "token": TOKEN, "steps": 4, "pause": 0.3}
    async with mortal_host(**how) as first, mortal_host(**how, pack=False) as second, FakeOpenAI() as model:
        world = ChaosWorld(folder / "data", objects, [first, second], model, workers)
        try:
            await world.again()
            await world.furnish()
            yield world
        finally:
            await world.close()
