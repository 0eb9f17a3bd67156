"""A worker that died leaves its render to the next one, however far it was."""

from collections.abc import Mapping

import pytest

from server.render.jobs.codec import order_of, pairs
from tests.render.previews.studio import MakeSettings, Studio, studio


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
