"""Hosts over HTTP: how they do, draining and probing them, by this server's own admins."""

from collections.abc import AsyncIterator, Callable

import pytest

from server.settings import Settings
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Server, running
from tests.render.graphs.described import described

TOKEN = "the-token-of-the-tests"
HOSTS = "/v1/admin/hosts"


@pytest.fixture
async def host() -> AsyncIterator[FakeComfy]:
    async with fake_comfy(token=TOKEN, nodes=described()) as fake:
        yield fake


@pytest.fixture
async def server(host: FakeComfy, make_settings: Callable[..., Settings]) -> AsyncIterator[Server]:
    hosts = {"gpu1": host.url, "gpu2": "http://127.0.0.1:9"}
    async with FakeOpenAI() as fake:
        settings = make_settings(llm_base_url=fake.base_url, comfy_hosts=hosts, comfy_token=TOKEN, render_workers=0)
        async with running(settings, fake) as server:
            yield server


async def test_hosts_are_seen_drained_and_probed(server: Server, host: FakeComfy) -> None:
    status, found = await server.ask("GET", HOSTS)
    assert status == 200, found
    gpu1, gpu2 = found["hosts"]
    assert (gpu1["name"], gpu1["usable"], gpu1["pack"], gpu1["opened"]) == ("gpu1", True, "vestige", True)
    assert (gpu2["usable"], gpu2["healthy"]) == (False, False)
    assert "gpu2 cannot be reached" in gpu2["why"]
    assert found["checkpoints"] == ["pony/halina-base.safetensors", "sdxl.safetensors"]
    assert TOKEN not in str(found)

    status, drained = await server.ask("POST", f"{HOSTS}/gpu1/drain", json={"on": True})
    assert (status, drained["drained"], drained["usable"]) == (200, True, False)
    status, used = await server.ask("POST", f"{HOSTS}/gpu1/drain", json={"on": False})
    assert (status, used["usable"]) == (200, True)

    host.broken = True
    status, probed = await server.ask("POST", f"{HOSTS}/gpu1/probe")
    assert (status, probed["healthy"]) == (200, False)
    host.broken = False
    assert (await server.ask("POST", f"{HOSTS}/gpu1/probe"))[1]["usable"]


async def test_what_is_refused(server: Server) -> None:
    assert (await server.ask("POST", f"{HOSTS}/gpu9/drain", json={"on": True}))[0] == 404
    assert (await server.ask("POST", f"{HOSTS}/gpu9/probe"))[0] == 404
    assert (await server.ask("POST", f"{HOSTS}/gpu1/drain", json={"on": "perhaps"}))[0] == 400
    assert (await server.ask("POST", f"{HOSTS}/gpu1/drain", json={}))[0] == 400
    assert (await server.ask("GET", f"{HOSTS}?name=gpu1"))[0] == 400
    key = {"name": "theirs", "scopes": ["admin"], "tenant": "acme"}
    _, made = await server.ask("POST", "/v1/admin/keys", json=key)
    theirs = {"Authorization": f"Bearer {made['secret']}"}
    status, found = await server.ask("POST", f"{HOSTS}/gpu1/drain", json={"on": True}, headers=theirs)
    assert (status, found["error"]["code"]) == (403, "forbidden")
    assert (await server.ask("GET", HOSTS, headers=theirs))[0] == 200
