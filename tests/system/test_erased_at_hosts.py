"""What hosts are to forget outlives the server: killed right after the answer, it goes on where it was."""

from pathlib import Path

import pytest

from tests.fakes.comfyui import fake_comfy
from tests.harness import until
from tests.render.graphs.described import described
from tests.render.previews.studio import photo
from tests.system.test_deleted import join
from tests.system.test_render_worker import PNG, dressed, house, ready

pytestmark = pytest.mark.timeout(120)

TOKEN = "a-token-of-the-tests"


async def test_a_host_that_was_away_forgets_though_the_server_was_killed_meanwhile(tmp_path: Path) -> None:
    data, how = tmp_path / "data", {"nodes": described(), "picture": lambda _: photo(), "token": TOKEN}
    async with fake_comfy(**how) as host:
        async with house(data, host, comfy_token=TOKEN) as server:
            body, anna = await dressed(server), await join(server, "Anna")
            _, reference = await anna.ask("POST", "/v1/references", data=photo((7, 8, 9), (320, 320)), headers=PNG)
            mine = {"title": "Mine", "category": "outfit", "reference": reference["sha256"], "private": True}
            _, item = await anna.ask("POST", "/v1/items", json=mine)
            await ready(anna, body | {"item_id": item["id"]})
            host.broken = True
            answer = await anna.do("DELETE", "/v1/memory?account=true")
            (left,) = answer["hosts"]
            assert left["name"] == "gpu1" and left["things"] >= 1 and left["why"].startswith("gpu1 answers with status")
            await server.kill()
        assert list(host.uploads) == [f"vestige/{reference['sha256']}.png"]
        host.broken = False
        async with house(data, host, comfy_token=TOKEN):

            async def gone() -> bool:
                return not (host.uploads or host.history or host.saved or host.filed)

            await until(gone, 60)
