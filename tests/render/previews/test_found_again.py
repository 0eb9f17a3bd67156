"""A worker that died leaves its render to the next one, however far it was."""

import json
from collections.abc import Mapping

import pytest

from server.api.services import OBJECTS
from server.render.jobs.codec import order_of, pairs
from server.render.previews import places
from tests.render.previews.studio import MakeSettings, Studio, photo, studio


async def abandoned(s: Studio, *, submit: bool) -> Mapping[str, str]:
    """A job whose worker died right after it had begun."""
    (id, *_) = await s.jobs.scripts.run("heads", 64)
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
    """Another tenant's character and item may come to the very same picture: their names stay theirs."""
    async with studio(make_settings, worker=False) as s:
        item = await s.item()
        asked = await s.ask(item)
        theirs = {"key": asked["key"], "owner": None, "character": "theirs", "item": "secret", "made_with": "soft@1"}
        preview = {**theirs, "width": 64, "height": 96, "bytes": 9, "created": "2026-01-01T00:00:00+00:00"}
        objects = s.server.app[OBJECTS]
        await objects.put(places.picture(asked["key"]), photo())
        await objects.put(places.record(asked["key"]), json.dumps({"preview": preview}).encode())
        async with s.working():
            found = await s.finished(asked)
        assert s.renders == 0
        assert (found["character_id"], found["item_id"], found["made_with"]) == (s.character, item.id, {})
