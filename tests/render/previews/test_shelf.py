"""How previews stand, asked in the very moment in which that changes."""

from collections.abc import Sequence

import pytest

from server.render.jobs.jobs import Jobs
from server.render.jobs.types import Job
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
