"""A worker that died leaves its render to the next one, however far it was."""

import json
from collections.abc import Mapping

import pytest

from server.api.services import OBJECTS
from server.render.jobs.codec import order_of, pairs
from server.render.jobs.scripts import key
from server.render.previews import places
from server.render.worker.pictures import clean
from tests.render.previews.studio import MakeSettings, Studio, photo, studio


async def abandoned(s: Studio, *, submit: bool) -> Mapping[str, str]:
    """A job whose worker died right after it had begun."""
    (id, *_) = await s.jobs.scripts.run("heads", 64, 0)
    held = pairs(await s.jobs.scripts.run("lease", id, "dead", 0, "gpu1", "{}", "5a1e0d5c-0000-4000-8000-000000000001"))
    order = order_of(held)
    if submit:
        graph = await s.fleet.localise(order.graph, "gpu1", lambda: s.content(order.reference))
        await s.fleet.host("gpu1").submit(graph, held["prompt_id"], "client")
    return held


@pytest.mark.parametrize("moment", ["not sent", "waiting", "running", "ended"])
async def test_the_next_worker_finds_what_was_begun(make_settings: MakeSettings, moment: str) -> None:
    async with studio(make_settings, worker=False, comfy={"pause": 0.0 if moment == "ended" else 0.2}) as s:
        asked = await s.ask(await s.item())
        held = await abandoned(s, submit=moment != "not sent")
        (fake,) = s.hosts
        if moment == "running":
            await fake.until(lambda: fake.running is not None)
        if moment == "ended":
            await fake.until(lambda: bool(fake.history))
        async with s.working():
            await s.finished(asked)
        assert dict(fake.started) == {held["prompt_id"]: 1}


async def test_a_picture_of_the_same_content_is_taken_over_without_whose_it_was(make_settings: MakeSettings) -> None:
    """Another tenant's character and item may come to the very same picture: all that is known of it stays theirs."""
    async with studio(make_settings, worker=False) as s:
        item = await s.item()
        asked = await s.ask(item)
        folder = places.folder(asked["key"], "job-theirs")
        theirs = {"key": asked["key"], "job": "job-theirs", "owner": None, "character": "theirs", "item": "theirs"}
        theirs |= {"made_with": "theirs@1", "width": 64, "height": 96, "created": "2026-01-01T00:00:00+00:00"}
        await s.server.app[OBJECTS].put(places.picture(folder), clean(photo()).data)
        await s.server.app[OBJECTS].put(places.record(folder), json.dumps({"version": 1, "preview": theirs}).encode())
        await s.jobs.scripts.state.sadd(key("tenants"), "acme")
        await s.jobs.scripts.state.set(key("preview", "acme", asked["key"]), json.dumps(theirs))
        async with s.working():
            found = await s.finished(asked)
        assert s.renders == 0
        assert (found["character_id"], found["item_id"], found["made_with"]) == (s.character, item.id, {})
        status, record = await s.server.ask("GET", f"/v1/previews/{asked['key']}/record")
        assert status == 200 and "theirs" not in json.dumps(record)
        assert (record["host"], record["prompt_id"], record["preview"]["job"]) == (None, None, asked["job"]["id"])
        assert record["provenance"]["reference"] == item.reference
        assert record["workflow"]["positive"]["inputs"]["text"] == "in a garden"

        await s.pictures.previews.shelf.remove("home", [asked["key"]])
        assert await s.server.app[OBJECTS].head(places.picture(folder)) is not None
