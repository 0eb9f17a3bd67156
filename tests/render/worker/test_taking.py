"""Which job a worker takes from a line whose first ones no host can run now."""

from dataclasses import replace
from typing import Any

import pytest

from server.render.graphs.nodes import File
from server.render.jobs.codec import order_of
from server.render.jobs.jobs import new_job_id
from server.render.jobs.scripts import key
from server.render.worker import taking
from server.render.worker.taking import Taker
from tests.render.previews.studio import MakeSettings, studio


@pytest.mark.parametrize(("pages", "looks"), [(8, 1), (3, 2)], ids=["at once", "with the next look"])
async def test_those_that_no_host_has_all_for_hide_nobody_behind_them(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, pages: int, looks: int
) -> None:
    async with studio(make_settings, worker=False) as s:
        asked = await s.ask(await s.item())
        fields: Any = await s.jobs.scripts.state.hgetall(key("job", asked["job"]["id"]))
        order = order_of(fields)
        await s.jobs.cancel(asked["job"]["id"], None, anyway=True)
        lacking = replace(order.needs, files=(File("checkpoints", "of-a-host-that-is-down.safetensors"),))
        ids = {name: new_job_id() for name in ("ahead", "first", "second")}
        await s.jobs.ask(replace(order, user=None), line="prerender", id=ids["ahead"], price=0)
        for at in range(6):
            await s.jobs.ask(replace(order, key=f"{at:064}", needs=lacking), line="user", id=new_job_id(), price=0)
        for name in ("first", "second"):
            await s.jobs.ask(replace(order, key=f"{name:0>64}"), line="user", id=ids[name], price=0)

        monkeypatch.setattr(taking, "HEADS", 2)
        monkeypatch.setattr(taking, "PAGES", pages)
        taker = Taker(s.jobs.scripts, s.fleet, "a worker")
        taken = [one.held.id for one in [await taker.take() for _ in range(looks)] if one is not None]
        assert taken[-1] == ids["first"]
