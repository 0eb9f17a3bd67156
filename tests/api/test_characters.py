"""Characters over HTTP: making, changing, importing, exporting, and whose they are."""

import json
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARD: Json = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        "name": "Vera",
        "description": "A clockmaker.",
        "first_mes": "Tick.",
        "extensions": {"other/tool": {"a": 1}},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("characters") / "data") as running:
        yield running


def picture(kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (64, 96), "teal").save(out, kind)
    return out.getvalue()


class TestMaking:
    async def test_created_listed_and_read(self, server: Server) -> None:
        status, made = await server.ask(
            "POST", "/v1/characters", json={"name": "Mira", "tags": ["sea"], "description": "x"}
        )
        assert status == 201
        assert (made["mine"], made["editable"], made["shared"], made["avatar"]) == (True, True, False, None)
        listed = (await server.ask("GET", "/v1/characters"))[1]["characters"]
        (entry,) = [one for one in listed if one["id"] == made["id"]]
        assert (entry["name"], entry["tags"], entry["last_message_at"]) == ("Mira", ["sea"], None)
        assert (await server.ask("GET", f"/v1/characters/{made['id']}"))[1] == made

    async def test_the_samples_are_there_from_the_start(self, server: Server) -> None:
        listed = (await server.ask("GET", "/v1/characters"))[1]["characters"]
        assert len([one for one in listed if one["shared"] and not one["mine"]]) >= 2

    async def test_the_list_says_when_one_talked_last(self, server: Server) -> None:
        mira = await server.character()
        _, done = await server.say(mira, "Hello")
        listed = (await server.ask("GET", "/v1/characters"))[1]["characters"]
        (entry,) = [one for one in listed if one["id"] == mira]
        assert entry["last_message_at"] == done["message"]["created"]

    @pytest.mark.parametrize(
        "body", [{}, {"name": ""}, {"name": "\u200b"}, {"name": "x" * 201}, {"name": "M", "oops": 1}, {"name": 5}, []]
    )
    async def test_what_is_no_character_is_refused(self, server: Server, body: object) -> None:
        assert (await server.ask("POST", "/v1/characters", json=body))[0] == 400

    async def test_a_copy_is_ones_own(self, server: Server) -> None:
        shared = await server.character(shared=True, description="Original")
        anna = await server.as_user("Anna")
        status, copy = await anna.ask("POST", f"/v1/characters/{shared}/duplicate")
        assert (status, copy["description"], copy["mine"], copy["shared"]) == (201, "Original", True, False)
        assert copy["id"] != shared


class TestChanging:
    async def test_only_what_is_sent_changes(self, server: Server) -> None:
        mira = await server.character(description="Old", personality="Kept")
        status, changed = await server.ask("PUT", f"/v1/characters/{mira}", json={"description": "New"})
        assert (status, changed["description"], changed["personality"]) == (200, "New", "Kept")
        server.fake.next("Hm")
        await server.say(mira, "Hello")
        assert "New" in server.fake.requests[-1].messages[0]["content"]

    async def test_a_stale_change_is_a_conflict(self, server: Server) -> None:
        mira = await server.character()
        _, read = await server.ask("GET", f"/v1/characters/{mira}")
        first = await server.ask(
            "PUT", f"/v1/characters/{mira}", json={"description": "1"}, headers={"If-Match": f'"{read["etag"]}"'}
        )
        second = await server.ask(
            "PUT", f"/v1/characters/{mira}", json={"description": "2"}, headers={"If-Match": f'"{read["etag"]}"'}
        )
        assert (first[0], second[0]) == (200, 409)

    async def test_gone_when_deleted(self, server: Server) -> None:
        mira = await server.character()
        assert (await server.ask("DELETE", f"/v1/characters/{mira}"))[0] == 204
        assert (await server.ask("GET", f"/v1/characters/{mira}"))[0] == 404
        assert (await server.ask("DELETE", f"/v1/characters/{mira}"))[0] == 404

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/duplicate"), ("GET", "/export"), ("GET", "/avatar")],
    )
    @pytest.mark.parametrize(
        ("id", "status"), [("nobody", 404), ("..%2F..", 400), ("a%3Ab", 400), ("%F0%9F%98%80", 400)]
    )
    async def test_an_id_that_is_none(self, server: Server, method: str, path: str, id: str, status: int) -> None:
        more = {"json": {}} if method == "PUT" else {}
        assert (await server.ask(method, f"/v1/characters/{id}{path}", **more))[0] == status


class TestFiles:
    @pytest.mark.parametrize("way", ["body", "form"])
    async def test_a_card_comes_in_and_goes_out_with_every_key(self, server: Server, way: str) -> None:
        raw = json.dumps(CARD).encode()
        if way == "body":
            more = {"data": raw, "headers": {"Content-Type": "application/json"}}
        else:
            form = aiohttp.FormData()
            form.add_field("file", raw, filename="vera.json", content_type="application/json")
            more = {"data": form}
        status, made = await server.ask("POST", "/v1/characters/import", **more)  # type: ignore[arg-type]
        assert (status, made["name"], made["description"]) == (201, "Vera", "A clockmaker.")
        status, exported = await server.ask("GET", f"/v1/characters/{made['id']}/export?format=json")
        assert status == 200
        assert exported["data"]["extensions"] == {"other/tool": {"a": 1}}

    async def test_a_picture_with_a_card_in_it_makes_the_round_trip(self, server: Server) -> None:
        mira = await server.character(description="In the picture")
        await server.ask("PUT", f"/v1/characters/{mira}/avatar", data=picture(), headers={"Content-Type": "image/png"})
        status, png = await server.ask("GET", f"/v1/characters/{mira}/export?format=png")
        assert (status, png[:4]) == (200, b"\x89PNG")
        status, again = await server.ask(
            "POST", "/v1/characters/import", data=png, headers={"Content-Type": "image/png"}
        )
        assert (status, again["description"]) == (201, "In the picture")
        assert again["avatar"] is not None

    @pytest.mark.parametrize("raw", [b"", b"{}", b"not a card", b"\x89PNG\r\n\x1a\n", b"[" * 10_000, b"PK\x03\x04"])
    async def test_what_is_no_card_is_refused_and_nothing_made(self, server: Server, raw: bytes) -> None:
        before = len((await server.ask("GET", "/v1/characters"))[1]["characters"])
        status, error = await server.ask("POST", "/v1/characters/import", data=raw)
        assert status in (400, 422)
        assert error["error"]["message"].endswith(".")
        assert len((await server.ask("GET", "/v1/characters"))[1]["characters"]) == before

    async def test_an_avatar_is_served_re_encoded_and_cached_by_its_version(self, server: Server) -> None:
        mira = await server.character()
        assert (await server.ask("GET", f"/v1/characters/{mira}/avatar"))[0] == 404
        status, changed = await server.ask(
            "PUT", f"/v1/characters/{mira}/avatar", data=picture("JPEG"), headers={"Content-Type": "image/jpeg"}
        )
        assert status == 200
        async with server.session.get(server.url + changed["avatar"], headers=server.headers()) as response:
            assert (response.status, response.content_type) == (200, "image/webp")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            etag = response.headers["ETag"]
        assert (await server.ask("GET", changed["avatar"], headers={"If-None-Match": etag}))[0] == 304
        assert (await server.ask("DELETE", f"/v1/characters/{mira}/avatar"))[1]["avatar"] is None

    @pytest.mark.parametrize("raw", [b"", b"<svg onload='alert(1)'/>", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
    async def test_what_is_no_picture_is_refused(self, server: Server, raw: bytes) -> None:
        mira = await server.character()
        status, _ = await server.ask(
            "PUT", f"/v1/characters/{mira}/avatar", data=raw, headers={"Content-Type": "image/png"}
        )
        assert status in (400, 422)

    async def test_a_download_is_saved_under_the_characters_name(self, server: Server) -> None:
        mira = await server.character(name='Zoë "/../" <b>')
        async with server.session.get(
            f"{server.url}/v1/characters/{mira}/export", headers=server.headers()
        ) as response:
            disposition = response.headers["Content-Disposition"]
        assert disposition.startswith("attachment; ")
        assert "/" not in disposition.split("filename*")[0]


class TestWhose:
    async def test_a_private_character_is_its_makers_alone(self, server: Server) -> None:
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        mira = await anna.character()
        assert (await ben.ask("GET", f"/v1/characters/{mira}"))[0] == 404
        assert mira not in [one["id"] for one in (await ben.ask("GET", "/v1/characters"))[1]["characters"]]

    async def test_a_shared_one_is_read_by_all_and_changed_by_its_maker(self, server: Server) -> None:
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        mira = await anna.character(shared=True)
        status, read = await ben.ask("GET", f"/v1/characters/{mira}")
        assert (status, read["mine"], read["editable"]) == (200, False, False)
        assert (await ben.ask("PUT", f"/v1/characters/{mira}", json={"description": "x"}))[0] == 403
        assert (await ben.ask("DELETE", f"/v1/characters/{mira}"))[0] == 403
        assert (await anna.ask("PUT", f"/v1/characters/{mira}", json={"shared": False}))[0] == 200
        assert (await ben.ask("GET", f"/v1/characters/{mira}"))[0] == 404

    async def test_characters_need_their_scope(self, server: Server) -> None:
        chatter = await server.as_user("Chatter", "chat")
        assert (await chatter.ask("POST", "/v1/characters", json={"name": "Mira"}))[0] == 403

    async def test_nobody_makes_characters_for_another(self, server: Server) -> None:
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        path = f"/v1/characters?user_id={anna.made['user']}"
        assert (await ben.ask("POST", path, json={"name": "Mira"}))[0] == 403
        status, made = await server.ask("POST", path, json={"name": "Mira"})
        assert status == 201
        assert (await anna.ask("GET", f"/v1/characters/{made['id']}"))[1]["mine"] is True
