"""From an ask to a picture: server, worker and a fake host."""

import io

from PIL import Image

from tests.render.previews.studio import MakeSettings, studio


async def test_an_ask_becomes_a_picture_and_the_next_ask_finds_it(make_settings: MakeSettings) -> None:
    async with studio(make_settings) as s:
        item = await s.item(prompt_hint="a red coat")
        asked = await s.ask(item, status=202)
        assert (asked["state"], asked["url"]) == ("waiting", None)
        preview = await s.finished(asked)
        again = await s.ask(item, status=200)
        assert again["key"] == asked["key"] and again["url"] == preview["url"]
        assert s.renders == 1

        status, picture = await s.server.ask("GET", again["url"])
        assert status == 200
        with Image.open(io.BytesIO(picture)) as image:
            assert (image.format, image.size) == ("WEBP", (64, 96))
        (graph,) = s.hosts[0].graphs.values()
        assert graph["positive"]["inputs"]["text"] == "in a garden, a red coat"

        status, record = await s.server.ask("GET", f"/v1/previews/{again['key']}/record")
        assert status == 200 and record["host"] == "gpu1"
        assert record["prompt_id"] in s.hosts[0].started and record["provenance"]["reference"] == item.reference
