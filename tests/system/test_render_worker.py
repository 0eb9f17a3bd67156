"""`vestige serve` with its render worker, as processes of their own, and what a kill of either leaves."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.processes import spawn_child
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Client, Json, until
from tests.render.graphs.described import CHECKPOINTS, described
from tests.render.previews.studio import photo
from tests.system.instance import ROOT, Instance, children, environment, start, vestige, vestige_run

pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def house(data: Path, fake: FakeComfy, **settings: object) -> AsyncIterator[Instance]:
    comfy_hosts = f"gpu1={fake.url}"
    async with (
        FakeOpenAI() as model,
        start(data, model.base_url, comfy_hosts=comfy_hosts, **({"log_level": "info"} | settings)) as server,
    ):
        yield server


async def dressed(server: Client) -> Json:
    """The body of an ask: a character with a look, and an item with a picture."""
    character = await server.character(name="Mira", shared=True)
    status, reference = await server.ask("POST", "/v1/references", data=photo(size=(320, 320)), headers=PNG)
    assert status == 201, reference
    draft = {"title": "Coat", "category": "outfit", "reference": reference["sha256"]}
    status, item = await server.ask("POST", "/v1/items", json=draft)
    assert status == 201, item
    scene = {"prompt": "in a garden", "width": 64, "height": 96, "steps": 4}
    look = {"checkpoint": CHECKPOINTS[1], "scene": scene}
    status, put = await server.ask("PUT", f"/v1/characters/{character}/look", json=look)
    assert status in (200, 201), put
    return {"character_id": character, "item_id": item["id"]}


PNG = {"Content-Type": "image/png"}


async def ready(server: Client, body: Json) -> Json:
    """The answer once the picture is there."""
    answer: Json = {}

    async def there() -> bool:
        nonlocal answer
        status, answer = await server.ask("POST", "/v1/previews", json=body)
        assert status in (200, 202), answer
        return status == 200

    await until(there)
    return answer


def worker_pid(server: Instance) -> int | None:
    """Its child that is no store; the one that begins has the script's name until it has become the worker."""
    found = [pid for pid, name in children(server.process.pid).items() if name.startswith("python")]
    return found[0] if found else None


async def new_worker(server: Instance, old: int | None = None) -> int:
    async def there() -> bool:
        return worker_pid(server) not in (None, old)

    await until(there)
    pid = worker_pid(server)
    assert pid is not None
    return pid


async def test_a_killed_worker_leaves_its_render_to_the_next_one(tmp_path: Path) -> None:
    async with (
        fake_comfy(nodes=described(), steps=6, pause=0.5, picture=lambda _: photo()) as fake,
        house(tmp_path / "data", fake) as server,
    ):
        body = await dressed(server)
        first = await new_worker(server)
        assert (await server.ask("POST", "/v1/previews", json=body))[0] == 202
        await fake.until(lambda: fake.running is not None)
        os.kill(first, signal.SIGKILL)
        await new_worker(server, first)
        await ready(server, body)
        assert sum(fake.started.values()) == 1
        assert len(fake.graphs) == 1


async def test_a_killed_server_takes_its_worker_along_and_the_next_one_finds_the_render(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with fake_comfy(nodes=described(), steps=6, pause=0.5, picture=lambda _: photo()) as fake:
        async with house(data, fake) as server:
            body = await dressed(server)
            await new_worker(server)
            assert (await server.ask("POST", "/v1/previews", json=body))[0] == 202
            await fake.until(lambda: fake.running is not None)
            await server.kill()  # waits until everything it had started is gone
        async with house(data, fake) as server:
            await ready(server, body)
        assert sum(fake.started.values()) == 1


@asynccontextmanager
async def beside(server: Instance, fake: FakeComfy) -> AsyncIterator[None]:
    """A worker that finds the running server by its data folder."""
    env = environment(comfy_hosts=f"gpu1={fake.url}")
    argv = vestige("worker", "--data", str(server.data), "--threads", "2")
    child = spawn_child(argv, env=env, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        assert await child.stop() == 0


async def test_no_worker_runs_without_a_host_and_none_where_none_is_wanted(tmp_path: Path) -> None:
    async with fake_comfy(nodes=described()) as fake, house(tmp_path / "data", fake, render_workers=0) as server:
        body = await dressed(server)
        status, asked = await server.ask("POST", "/v1/previews", json=body)
        assert status == 202 and asked["job"]["waiting"] == "no_worker"
        assert worker_pid(server) is None
        code, out, err = await vestige_run("previews", "jobs", "--data", str(server.data))
        assert code == 0 and asked["job"]["id"] in out and "no_worker" in out, err
        code, out, err = await vestige_run("previews", "collect", "--data", str(server.data))
        assert (code, out.strip()) == (
            0,
            "0 of 0 pictures that are old enough (preview_days), 0.0 MB: would go (--delete deletes them).",
        ), err
        async with beside(server, fake):
            await ready(server, body)
        assert await server.stop() == 0
