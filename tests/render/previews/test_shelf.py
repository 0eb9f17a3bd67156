"""How previews stand, asked and removed in the very moment in which that changes."""

from collections.abc import Sequence

import pytest

from server.api.services import OBJECTS
from server.render.jobs.jobs import Jobs
from server.render.jobs.types import Job
from server.render.previews import places
from server.render.previews.shelf import Shelf
from tests.harness import Json
from tests.render.previews.studio import MakeSettings, studio


async def test_a_picture_that_is_done_between_two_looks_is_there(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, waits = Jobs.look, True

    async def late(self: Jobs, ids: Sequence[str]) -> list[Job | None]:
        nonlocal waits
        if waits and ids:
            waits = False
            await s.ended(ids[0])
        return await look(self, ids)

    async with studio(make_settings, comfy={"pause": 0.1}) as s:
        asked = await s.ask(await s.item())
        monkeypatch.setattr(Jobs, "look", late)
        status, found = await s.server.ask("GET", f"/v1/previews/{asked['key']}")
        assert (status, found["state"]) == (200, "ready")


async def test_a_picture_whose_file_is_lost_can_be_asked_for_again(make_settings: MakeSettings) -> None:
    async with studio(make_settings) as s:
        item = await s.item()
        preview = await s.finished(await s.ask(item))
        async for stored in s.server.app[OBJECTS].list("previews"):
            await s.server.app[OBJECTS].delete(stored.path)
        assert (await s.server.ask("GET", preview["url"]))[0] == 404
        await s.finished(await s.ask(item, status=202))
        assert (await s.server.ask("GET", preview["url"]))[0] == 200


async def test_what_is_made_anew_while_it_is_removed_stays(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_files = Shelf.remove_files

    async def late(self: Shelf, folder: str) -> None:
        again.append(await s.finished(await s.ask(item)))
        await remove_files(self, folder)

    again: list[Json] = []
    async with studio(make_settings) as s:
        item = await s.item()
        preview = await s.finished(await s.ask(item))
        with monkeypatch.context() as patched:
            patched.setattr(Shelf, "remove_files", late)
            await s.pictures.previews.shelf.remove("home", [preview["key"]])
        assert again[0]["key"] == preview["key"]
        assert (await s.server.ask("GET", preview["url"]))[0] == 200

        objects, shelf = s.server.app[OBJECTS], s.pictures.previews.shelf
        there = {places.key_and_job(stored.path) async for stored in objects.list("previews")}
        assert len(there) == 1 and await shelf.left(there) == []
        dead = (preview["key"], "job-of-a-worker-that-died")
        assert await shelf.left([*there, dead]) == [places.folder(*dead)]
