"""What lies on hosts goes: of a render once its picture is stored, and of a person who is erased, however hosts are."""

from collections.abc import Mapping
from typing import Any

import pytest

from server.api.keys import ERASE
from server.api.services import REFERENCES
from server.render.forgetting import asking, forgetting
from server.render.worker import rendering
from tests.fakes.comfyui import FakeComfy
from tests.harness import Json, until
from tests.render.previews.studio import MakeSettings, Studio, photo, studio

USER = "owner"
TOKEN = "a-token-of-the-tests"
WITH_PACK: dict[str, Any] = {"token": TOKEN}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "STEP_SECONDS", 0.05)
    monkeypatch.setattr(forgetting, "AWAY_SECONDS", 0.2)
    monkeypatch.setattr(forgetting, "FREE_SECONDS", 0.2)
    monkeypatch.setattr(rendering, "FETCH_SECONDS", 0.01)
    monkeypatch.setattr(asking, "SOON_SECONDS", 0.1)
    monkeypatch.setattr(asking, "DISK_SECONDS", 0.1)
    monkeypatch.setattr(asking, "PERSON_SECONDS", 0.2)


async def erased(s: Studio) -> Mapping[str, str]:
    """What hosts have left, in words, by name."""
    erasure = await s.server.app[ERASE]("home", USER)
    return {one.host: one.why for one in erasure.hosts}


async def spotless(s: Studio) -> None:
    """Once no host has anything to forget any more."""

    async def nothing() -> bool:
        return not await s.pictures.forgetting.todo.left()

    await until(nothing, 20)


def traces(host: FakeComfy) -> list[object]:
    """What a host knows of renders and references."""
    return [*host.history, *host.filed, *host.saved, *host.uploads]


async def private(s: Studio) -> Json:
    """A preview of somebody's own upload."""
    return await s.ask(await s.item(owner=USER), scene="under a bridge")


async def test_a_stored_picture_leaves_nothing_but_the_reference(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy=WITH_PACK) as s:
        (host,) = s.hosts
        item = await s.item()
        preview = await s.finished(await s.ask(item))
        await spotless(s)
        assert traces(host) == [f"vestige/{item.reference}.png"]
        assert host.freed == []
        status, _ = await s.server.ask("GET", preview["url"])
        assert status == 200
        graph = next(iter(host.graphs.values()))
        assert graph["picture"]["inputs"]["filename_prefix"] == f"vestige/{preview['key']}"
        _, record = await s.server.ask("GET", f"/v1/previews/{preview['key']}/record")
        assert record["workflow"]["picture"]["inputs"]["filename_prefix"] == "vestige/preview"


async def test_without_the_pack_it_is_temporary_and_the_last_render_alone_is_remembered(
    make_settings: MakeSettings,
) -> None:
    """By that a restart is noticed there."""
    async with studio(make_settings) as s:
        (host,) = s.hosts
        for _ in range(2):
            await s.finished(await s.ask(await s.item()))
        await host.until(lambda: len(host.history) == 1)
        assert list(host.history) == [list(host.started)[-1]]
        assert {kind for kind, _, _ in host.saved} == {"temp"}
        assert host.freed == []


async def test_who_is_erased_is_nowhere_on_any_host(make_settings: MakeSettings) -> None:
    async with studio(make_settings, hosts=2, comfy=WITH_PACK) as s:
        mine = [await s.finished(await private(s)) for _ in range(3)]
        kept = await s.item()
        await s.finished(await s.ask(kept))
        used = [host for host in s.hosts if host.started]
        assert await erased(s) == {}
        await spotless(s)
        assert {one for host in s.hosts for one in traces(host)} == {f"vestige/{kept.reference}.png"}
        assert all(host.freed for host in used)
        for preview in mine:
            assert (await s.server.ask("GET", f"/v1/previews/{preview['key']}"))[0] == 404


async def test_a_host_that_is_away_forgets_when_it_is_back(make_settings: MakeSettings) -> None:
    async with studio(make_settings, hosts=2, comfy=WITH_PACK) as s:
        await s.finished(await private(s))
        (host,) = [one for one in s.hosts if one.uploads]
        host.broken = True
        left = await erased(s)
        (name,) = left
        assert left == {name: f"{name} answers with status 500: look at its log."}
        assert host.uploads
        _, told = await s.server.ask("GET", "/v1/admin/hosts")
        (problem,) = [one for host in told["hosts"] if host["name"] == name for one in host["problems"]]
        assert problem.endswith(f"wait to be deleted there: {left[name]}")
        host.broken = False
        await spotless(s)
        assert traces(host) == []


async def test_a_picture_that_somebody_else_has_too_stays(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy=WITH_PACK) as s:
        (host,) = s.hosts
        item = await s.item(owner=USER)
        await s.finished(await s.ask(item))
        await s.server.app[REFERENCES].add(await s.content(item.reference), "home", "ben")
        assert await erased(s) == {}
        await spotless(s)
        assert list(host.uploads) == [f"vestige/{item.reference}.png"]


async def test_one_that_is_brought_again_before_a_host_was_asked_stays(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy=WITH_PACK) as s:
        (host,) = s.hosts
        item = await s.item(owner=USER)
        await s.finished(await s.ask(item))
        picture, host.broken = await s.content(item.reference), True
        assert list(await erased(s)) == ["gpu1"]
        await s.server.app[REFERENCES].add(picture, "home", "ben")
        host.broken = False
        await spotless(s)
        assert list(host.uploads) == [f"vestige/{item.reference}.png"]


async def test_a_render_that_runs_while_its_owner_is_erased_leaves_nothing(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={**WITH_PACK, "pause": 0.3}) as s:
        (host,) = s.hosts
        await private(s)
        await host.until(lambda: host.running is not None)
        await s.server.app[ERASE]("home", USER)
        await spotless(s)
        await host.until(lambda: host.running is None)
        await spotless(s)
        assert traces(host) == []
        assert set(host.interrupted) == set(host.started)


async def test_without_the_pack_it_is_said_what_stays(make_settings: MakeSettings) -> None:
    """ComfyUI deletes no files: what a person has to do there is said, and noticed once it is done."""
    async with studio(make_settings, comfy={"pack": False}) as s:
        (host,) = s.hosts
        item = await s.item(owner=USER)
        await s.finished(await s.ask(item))
        left = await erased(s)
        assert list(left) == ["gpu1"]
        assert "has no Vestige pack that may delete files" in left["gpu1"]
        assert host.history == {} and host.freed != []
        host.uploads.clear()
        host.restart()
        await spotless(s)


async def test_a_pack_that_is_older_is_named_with_what_it_leaves(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={**WITH_PACK, "older": True}) as s:
        (host,) = s.hosts
        preview = await s.finished(await private(s))
        _, told = await s.server.ask("GET", "/v1/admin/hosts")
        assert told["hosts"][0]["problems"] == [
            "Its pack is older than this server and deletes no pictures: update it, then restart ComfyUI."
        ]
        (why,) = (await erased(s)).values()
        assert "delete output/vestige/" in why or "delete input/vestige/" in why
        assert host.history == {} and preview["key"] in next(iter(host.saved))[2]
        host.older = False  # it was updated, with the token that it had
        await spotless(s)
        assert traces(host) == []


async def test_a_picture_that_its_host_has_lost_is_made_anew(make_settings: MakeSettings) -> None:
    """ComfyUI would go on to name a file that it made before: its memory is freed first."""
    async with studio(make_settings, comfy={**WITH_PACK, "pause": 0.05}) as s:
        (host,) = s.hosts
        asked = await s.ask(await s.item())
        await host.until(lambda: host.running is not None)
        lost = host.running
        assert lost is not None
        host.picture = lambda prompt_id: b"" if prompt_id == lost else photo()
        await s.finished(asked)
        assert host.freed == [{"unload_models": True, "free_memory": True}]
        await spotless(s)
        assert not host.saved
