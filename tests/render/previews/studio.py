"""A server, a worker and fake ComfyUI hosts in one process: from an ask to a picture.

async with studio(make_settings) as s:
    preview = await s.finished(await s.ask(item))
"""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server.api.services import CATALOG, FLEET, PICTURES, REFERENCES
from server.app import REDIS
from server.catalog.catalog import Catalog
from server.catalog.items.drafts import ItemDraft
from server.catalog.items.model import Item
from server.catalog.looks.model import LookFields, Scene
from server.catalog.records import Viewer
from server.datafolder import DataFolder
from server.render.fleet.fleet import Fleet
from server.render.jobs.jobs import Jobs
from server.render.previews.open import Pictures
from server.render.previews.types import Person
from server.render.worker.process import opened
from server.render.worker.worker import Worker
from server.settings import Plan, Settings
from server.stores.valkey import running_socket
from tests.conftest import LOOK as FIND
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running, until
from tests.render.graphs.described import CHECKPOINTS, described

MakeSettings = Callable[..., Settings]
SCENE = Scene(prompt="in a garden", width=64, height=96, steps=4)
LOOK = LookFields(checkpoint=CHECKPOINTS[1], scene=SCENE)


def photo(colour: tuple[int, int, int] = (200, 30, 40), size: tuple[int, int] = (64, 96)) -> bytes:
    """A PNG that says what it was made of, as ComfyUI's do."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@dataclass
class Studio:
    """`hosts` render; `server` answers; `worker` works unless the studio was opened without."""

    server: Server
    hosts: list[FakeComfy]
    settings: Settings
    character: str = ""
    worker: Worker | None = None
    _items: int = field(default=0)

    @property
    def pictures(self) -> Pictures:
        return self.server.app[PICTURES]

    @property
    def jobs(self) -> Jobs:
        return self.pictures.previews.jobs

    @property
    def catalog(self) -> Catalog:
        return self.server.app[CATALOG]

    @property
    def fleet(self) -> Fleet:
        return self.server.app[FLEET]

    def person(self, server: Server) -> Person:
        """Who asks through this server."""
        return Person("home", server.made["user"], "free", "Somebody")

    @property
    def renders(self) -> int:
        """How often a host began a render."""
        return sum(sum(host.started.values()) for host in self.hosts)

    async def item(self, *, owner: str | None = None, **fields: Any) -> Item:
        """An item that nobody else's picture shows."""
        self._items += 1
        picture = photo((self._items, 120, 40), (320, 320))
        reference = await self.server.app[REFERENCES].add(picture, "home", owner)
        fields = {"private": owner is not None, **fields}
        draft: dict[str, Any] = {"title": f"Coat {self._items}", "category": "outfit"}
        draft |= {"reference": reference.sha256} | fields
        viewer = Viewer(owner, keeper=owner is None)
        return await self.catalog.items.create("home", ItemDraft(**draft), viewer)

    async def content(self, reference: str | None) -> bytes:
        """The item's picture, by its sha256."""
        assert reference is not None
        return await self.server.app[REFERENCES].content(reference)

    async def look(self, character: str, **fields: Any) -> None:
        await self.catalog.looks.put("home", character, LOOK.model_copy(update=fields), names=())

    async def ask(
        self, item: Item | None, *, status: int | None = None, server: Server | None = None, **body: Any
    ) -> Json:
        sent = {"character_id": self.character, "item_id": item.id if item else None, **body}
        got, answer = await (server or self.server).ask("POST", "/v1/previews", json=sent)
        assert got == status if status is not None else got in (200, 202), answer
        return answer

    async def job(self, id: str) -> Json:
        status, job = await self.server.ask("GET", f"/v1/jobs/{id}")
        assert status == 200, job
        return job

    async def ended(self, id: str, seconds: float = 30.0) -> Json:
        """The job once nothing more happens to it."""

        async def over() -> bool:
            return (await self.job(id))["state"] in ("done", "failed", "cancelled", "dead")

        await until(over, seconds)
        return await self.job(id)

    async def finished(self, preview: Json) -> Json:
        """The preview once it is ready."""
        if preview["state"] != "ready":
            job = await self.ended(preview["job"]["id"])
            assert job["state"] == "done", job
        status, found = await self.server.ask("GET", f"/v1/previews/{preview['key']}")
        assert status == 200 and found["state"] == "ready", found
        return found

    async def state(self, id: str, state: str) -> None:
        async def so() -> bool:
            return (await self.job(id))["state"] == state

        await until(so, 30)

    def on_disk(self, text: str) -> list[str]:
        """The files of the data folder that hold this text, as another process sees them."""
        argv = [sys.executable, "-I", "-c", FIND, str(self.settings.data), text]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    async def valkey_pid(self) -> int:
        """Of this server's embedded Valkey: other tests of this process have their own."""
        return (await self.server.app[REDIS].state.info("server"))["process_id"]

    async def finished_whatever(self, preview: Json) -> None:
        """Once the picture is there, through a store that does not always answer."""

        async def there() -> bool:
            status, found = await self.server.ask("GET", f"/v1/previews/{preview['key']}")
            return status == 200 and found["state"] == "ready"

        await until(there)

    @asynccontextmanager
    async def beside(self, data: Path) -> AsyncIterator[Server]:
        """Another server over the same stores, with the same characters."""
        shutil.copytree(self.settings.data / "characters", data / "characters")
        (data / "schema.json").write_bytes((self.settings.data / "schema.json").read_bytes())
        redis_url = f"unix://{running_socket(DataFolder(self.settings.data).redis)}"
        given = self.settings.model_dump() | {"data": data, "redis_url": redis_url}
        given["objects_url"] = str(DataFolder(self.settings.data).objects)
        async with running(Settings(**given), self.server.fake) as server:
            yield server

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        """Another worker, in this process."""
        async with opened(self.settings) as worker:
            yield worker


@asynccontextmanager
async def studio_in(data: Path, **how: Any) -> AsyncIterator[Studio]:
    """One studio for a whole module."""
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ:
            if name.startswith("VESTIGE_") or name.endswith(("_API_KEY", "_URL", "LLM_MODEL")):
                environment.delenv(name)

        def make(**fields: Any) -> Settings:
            return Settings(**({"data": data, "embedder": "hash"} | fields))

        async with studio(make, **how) as made:
            yield made


@asynccontextmanager
async def studio(
    make_settings: MakeSettings,
    *,
    hosts: int = 1,
    worker: bool = True,
    comfy: dict[str, Any] | None = None,
    **fields: Any,
) -> AsyncIterator[Studio]:
    """`comfy`: how the hosts are; `fields`: settings."""
    async with AsyncExitStack() as stack:
        how = {"nodes": described(), "picture": lambda _: photo()} | (comfy or {})
        fakes = [await stack.enter_async_context(fake_comfy(**how)) for _ in range(hosts)]
        model = await stack.enter_async_context(FakeOpenAI())
        given = {
            "llm_base_url": model.base_url,
            "shards": 1,
            "write_facts": False,
            "render_workers": 0,
            "plans": {"free": Plan(turns_per_minute=100_000)},
            "comfy_hosts": {f"gpu{n}": fake.url for n, fake in enumerate(fakes, 1)},
        }
        if "token" in how:
            given["comfy_token"] = how["token"]
        settings = make_settings(**(given | fields))
        server = await stack.enter_async_context(running(settings, model))
        made = Studio(server, fakes, settings)
        made.character = await server.character(name="Mira", shared=True)
        await made.look(made.character)
        if worker:
            made.worker = await stack.enter_async_context(opened(settings))
        yield made
