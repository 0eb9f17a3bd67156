"""Looking at what is remembered, and acting on it, over HTTP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

TALK = (
    "My cat is called Ophelia",
    "I sail every Sunday",
    "My sister lives in Riga",
    "I cannot stand olives",
    "The boat needs new paint",
    "Work was long today",
    "It rains again",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("memory") / "data") as running:
        yield running


async def talked(server: Server, **character: object) -> str:
    """A character with whom `TALK` was said, a window of it closed."""
    mira = await server.character(**character)
    for text in TALK:
        server.fake.next("I see.")
        assert (await server.say(mira, text))[0] == 200
    await server.memory.upkeep(server.scope(mira))
    return mira


async def get(server: Server, path: str) -> Json:
    status, body = await server.ask("GET", path)
    assert status == 200, body
    return body


class TestLooking:
    async def test_someone_new_has_nothing_and_no_error(self, server: Server) -> None:
        mira = await server.character()
        one = f"/v1/memory/{mira}"
        assert await get(server, f"{one}/recent") == {"messages": []}
        assert await get(server, f"{one}/summary") == {
            "text": None,
            "html": None,
            "updated": None,
            "windows": 0,
            "by": None,
        }
        assert await get(server, f"{one}/search?q=anything") == {"spans": [], "tokens": 0}
        assert await get(server, f"{one}/windows") == {"windows": [], "more": False, "total": 0}
        assert await get(server, f"{one}/pins") == {"pins": []}
        assert (await get(server, f"{one}/export"))["messages"] == []
        assert (await server.ask("POST", f"{one}/forget", json={"message_ids": ["1-1"]}))[1] == {"forgotten": 0}
        assert (await server.ask("DELETE", one))[0] == 204

    async def test_search_brings_dated_spans_with_their_messages(self, server: Server) -> None:
        mira = await talked(server)
        found = await get(server, f"/v1/memory/{mira}/search?q=What+is+the+cat+called%3F&tokens=40")
        turns = [turn for span in found["spans"] for turn in span["turns"]]
        assert any(turn["text"] == "My cat is called Ophelia" and turn["speaker"] == "Owner" for turn in turns)
        assert 0 < found["tokens"] <= 40
        ids = [message["id"] for message in await server.messages(mira)]
        for span in found["spans"]:
            assert (span["start_id"], span["end_id"]) == (
                span["turns"][0]["message_id"],
                span["turns"][-1]["message_id"],
            )
            assert all(turn["message_id"] in ids for turn in span["turns"])
            assert span["start"].endswith("+00:00")

    async def test_windows_hold_the_words_themselves(self, server: Server) -> None:
        mira = await talked(server)
        page = await get(server, f"/v1/memory/{mira}/windows")
        (window,) = page["windows"]
        assert (page["total"], page["more"], window["index"]) == (1, False, 0)
        assert [one["text"] for one in window["messages"]][::2] == list(TALK[:4])
        assert (window["start_id"], window["end_id"]) == (window["messages"][0]["id"], window["messages"][-1]["id"])
        assert window["derived"] == "none"
        assert (await get(server, f"/v1/memory/{mira}/windows?before=0"))["windows"] == []

    async def test_recent_are_the_newest_that_fit(self, server: Server) -> None:
        mira = await talked(server)
        recent = (await get(server, f"/v1/memory/{mira}/recent?tokens=8"))["messages"]
        assert [one["text"] for one in recent] == ["It rains again", "I see."]

    @pytest.mark.parametrize(
        "path",
        [
            "search",
            "search?q=",
            f"search?q={'x' * 4_001}",
            "search?q=x&tokens=0",
            "windows?limit=0",
            "windows?before=-1",
        ],
    )
    async def test_a_question_that_cannot_be_is_refused(self, server: Server, path: str) -> None:
        mira = await server.character()
        assert (await server.ask("GET", f"/v1/memory/{mira}/{path}"))[0] == 400


class TestCorrecting:
    async def test_a_summary_can_be_written_and_dropped(self, server: Server) -> None:
        mira = await talked(server)
        path = f"/v1/memory/{mira}/summary"
        status, written = await server.ask("PUT", path, json={"text": "They talk about **boats**."})
        assert (status, written["text"], written["by"]) == (200, "They talk about **boats**.", "user")
        assert "<strong>boats</strong>" in written["html"]
        await server.say(mira, "And?")
        assert "They talk about **boats**." in server.fake.requests[-1].messages[1]["content"]
        assert (await server.ask("DELETE", path))[0] == 204
        assert (await get(server, path))["text"] is None

    async def test_facts_can_be_corrected(self, server: Server) -> None:
        mira = await talked(server)
        window = (await get(server, f"/v1/memory/{mira}/windows"))["windows"][0]
        path = f"/v1/memory/{mira}/windows/{window['id']}/facts"
        status, changed = await server.ask("PUT", path, json={"facts": ["Owner has a cat, Ophelia."]})
        assert (status, changed["facts"]) == (200, ["Owner has a cat, Ophelia."])
        assert (await server.ask("PUT", path, json={"facts": []}))[0] == 404  # the window has a new id
        assert (await server.ask("PUT", path, json={"facts": "x"}))[0] == 400

    async def test_pins_are_in_every_prompt_until_they_are_taken_out(self, server: Server) -> None:
        mira = await talked(server)
        said = (await server.messages(mira))[0]
        path = f"/v1/memory/{mira}/pins"
        status, note = await server.ask("POST", path, json={"text": "Allergic to nuts"})
        assert (status, note["text"], note["message_id"]) == (201, "Allergic to nuts", None)
        _, pinned = await server.ask("POST", path, json={"message_id": said["id"]})
        assert (pinned["text"], pinned["message_id"]) == (TALK[0], said["id"])
        _, edited = await server.ask("PATCH", f"{path}/{note['id']}", json={"text": "Allergic to walnuts"})
        assert edited["text"] == "Allergic to walnuts"
        assert [pin["id"] for pin in (await get(server, path))["pins"]] == [note["id"], pinned["id"]]
        await server.say(mira, "Cake?")
        assert "- Allergic to walnuts\n- My cat is called Ophelia" in server.fake.requests[-1].messages[1]["content"]
        assert (await server.ask("DELETE", f"{path}/{note['id']}"))[0] == 204
        await server.say(mira, "More cake?")
        assert "walnuts" not in server.fake.requests[-1].text

    @pytest.mark.parametrize(
        ("body", "status"),
        [({}, 400), ({"text": " "}, 400), ({"text": "x" * 40_000}, 413), ({"message_id": "1-1"}, 404)],
    )
    async def test_a_pin_of_nothing_is_refused(self, server: Server, body: Json, status: int) -> None:
        mira = await server.character()
        assert (await server.ask("POST", f"/v1/memory/{mira}/pins", json=body))[0] == status

    @pytest.mark.parametrize("id", ["pin-0", "..%2F..", "%F0%9F%98%80"])
    async def test_a_pin_that_is_not_there_is_not_found(self, server: Server, id: str) -> None:
        mira = await server.character()
        assert (await server.ask("DELETE", f"/v1/memory/{mira}/pins/{id}"))[0] == 404
        assert (await server.ask("PATCH", f"/v1/memory/{mira}/pins/{id}", json={"text": "x"}))[0] == 404


class TestForgetting:
    async def test_forgotten_words_are_in_no_answer_any_more(self, server: Server) -> None:
        mira = await talked(server)
        said = (await server.messages(mira))[0]
        await server.ask("POST", f"/v1/memory/{mira}/pins", json={"message_id": said["id"]})
        status, answer = await server.ask("POST", f"/v1/memory/{mira}/forget", json={"message_ids": [said["id"]]})
        assert (status, answer) == (200, {"forgotten": 1})
        one = f"/v1/memory/{mira}"
        for path in ("/recent", "/search?q=cat+Ophelia", "/windows", "/pins", "/export"):
            assert "Ophelia" not in json.dumps(await get(server, one + path))
        server.fake.next("No idea.")
        await server.say(mira, "What is the cat called?")
        assert "Ophelia" not in server.fake.requests[-1].text

    @pytest.mark.parametrize("ids", [[], ["x"], ["1-1"] * 1_001, "1-1"])
    async def test_what_is_no_list_of_messages_is_refused(self, server: Server, ids: object) -> None:
        mira = await server.character()
        status, _ = await server.ask("POST", f"/v1/memory/{mira}/forget", json={"message_ids": ids})
        assert status in (400, 404)

    async def test_clearing_leaves_the_character_and_nothing_else(self, server: Server) -> None:
        mira = await talked(server, first_mes="Welcome.")
        await server.ask("POST", f"/v1/memory/{mira}/pins", json={"text": "Keep me"})
        assert (await server.ask("DELETE", f"/v1/memory/{mira}"))[0] == 204
        assert [one["id"] for one in await server.messages(mira)] == ["greeting"]
        assert (await get(server, f"/v1/memory/{mira}/pins")) == {"pins": []}
        server.fake.next("Hello.")
        await server.say(mira, "Hello")
        assert "Ophelia" not in server.fake.requests[-1].text

    async def test_a_conversation_outlives_its_character_until_it_is_cleared(self, server: Server) -> None:
        mira = await talked(server)
        assert (await server.ask("DELETE", f"/v1/characters/{mira}"))[0] == 204
        assert len(await server.messages(mira, "?limit=200")) == 2 * len(TALK)
        found = await get(server, f"/v1/memory/{mira}/search?q=cat")
        assert found["spans"]
        assert (await server.say(mira, "Are you there?"))[0] == 404
        assert (await server.ask("DELETE", f"/v1/memory/{mira}"))[0] == 204
        assert await server.messages(mira) == []


class TestPeople:
    async def test_everything_of_a_person_goes_out_in_one_file(self, server: Server) -> None:
        anna = await server.as_user("Anna")
        one, two = await anna.character(), await anna.character(name="Ben")
        await anna.say(one, "To the first")
        await anna.say(two, "To the second")
        exported = await get(anna, "/v1/memory/export")
        assert {each["character"] for each in exported["conversations"]} == {one, two}
        assert {each["id"] for each in exported["characters"]} == {one, two}
        assert "To the first" in json.dumps(exported)
        assert (await server.ask("GET", f"/v1/memory/export?user_id={anna.made['user']}"))[1] == exported

    async def test_deleting_ones_data_leaves_everyone_elses(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        await anna.say(mira, "A canary called Anna")
        await ben.say(mira, "A canary called Ben")
        status, answer = await anna.ask("DELETE", "/v1/memory")
        assert (status, answer["deleted"]["conversations"], answer["deleted"]["messages"]) == (200, 1, 2)
        assert await anna.messages(mira) == []
        assert len(await ben.messages(mira)) == 2

    async def test_with_the_account_everything_goes_from_the_disk_too(
        self, server: Server, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        anna = await server.as_user("Anna")
        mira = await anna.character(description="A canary in a card zq7")
        for number in range(8):
            await anna.say(mira, f"A canary zq7 number {number}")
        await anna.ask("POST", f"/v1/memory/{mira}/pins", json={"text": "A canary zq7 pinned"})
        await server.memory.upkeep(server.scope(mira, anna.made["user"]))
        assert holding(server, b"zq7")
        status, answer = await anna.ask("DELETE", "/v1/memory?account=true")
        assert (status, answer["deleted"]["characters"]) == (200, 1)
        assert (await anna.ask("GET", "/v1/me"))[0] == 401
        assert holding(server, b"zq7") == []

    async def test_nobody_deletes_another_but_an_admin(self, server: Server) -> None:
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        other = anna.made["user"]
        for path in (f"/v1/memory?user_id={other}", f"/v1/memory?user_id={other}&account=true"):
            assert (await ben.ask("DELETE", path))[0] == 403
        assert (await ben.ask("GET", f"/v1/memory/export?user_id={other}"))[0] == 403
        assert (await server.ask("DELETE", f"/v1/memory?user_id={other}&account=true"))[0] == 200
        assert (await anna.ask("GET", "/v1/me"))[0] == 401

    async def test_the_owner_stays(self, server: Server) -> None:
        mira = await server.character()
        await server.say(mira, "Hello")
        assert (await server.ask("DELETE", "/v1/memory?account=true"))[0] == 409
        assert len(await server.messages(mira)) == 2

    async def test_memory_needs_its_scope(self, server: Server) -> None:
        chatter = await server.as_user("Chatter", "chat")
        for method, path in (("GET", "/v1/memory/mira/recent"), ("DELETE", "/v1/memory"), ("GET", "/v1/memory/export")):
            assert (await chatter.ask(method, path))[0] == 403


def holding(server: Server, canary: bytes) -> list[str]:
    """The files of the data folder in which these bytes are."""
    from server.app import FOLDER

    files = [path for path in Path(server.app[FOLDER].path).rglob("*") if path.is_file()]
    return [str(path) for path in files if canary in path.read_bytes()]
