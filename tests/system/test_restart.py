"""Stopping and starting again: nothing is lost, streams end cleanly, and a server that cannot start says why."""

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.fakes.openai_server import FakeOpenAI, Hold, Received, Say, Stream, says
from tests.harness import Event, Json
from tests.system.instance import Instance, descendants, read, spawn, start, until, until_gone, vestige_run
from tests.system.promises import history, windows

pytestmark = pytest.mark.timeout(180)

ANYWHERE = "0.0.0.0"  # noqa: S104
SUMMARY = "Anna keeps a cat called Ophelia and fears the sea."


class Writer:
    """Speaks, and writes summaries and facts when it is asked for them; what a chat prompt held is kept."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, request: Received) -> str:
        first = request.messages[0]["content"]
        if "JSON object" in first:
            return json.dumps({"summary": "They spoke of Ophelia.", "facts": ["Anna's cat is called Ophelia."]})
        if "picture of their relationship" in first:
            return SUMMARY
        self.prompts.append(request.text)
        return "I will remember."


async def follow(server: Instance, character: str, message: str, seen: list[Event]) -> None:
    async for event in server.events("/v1/chat", {"character_id": character, "message": message}):
        seen.append(event)


async def written(server: Instance, character: str) -> Json:
    """The summary, once there is one."""
    async with asyncio.timeout(30):
        while True:
            _, summary = await server.ask("GET", f"/v1/memory/{character}/summary")
            if summary["text"] is not None:
                return summary
            await asyncio.sleep(0.05)


async def test_it_still_knows_weeks_later(tmp_path: Path) -> None:
    data = tmp_path / "data"
    plan = json.dumps({"free": {"context_tokens": 900, "recall_tokens": 150, "reply_tokens": 50}})
    settings = {"window_messages": 4, "write_facts": "true", "plans": plan}
    async with FakeOpenAI() as fake:
        fake.respond = writer = Writer()
        async with start(data, fake.base_url, **settings) as server:
            mira = await server.character(description="{{char}} keeps a lighthouse.")
            await server.say(mira, "My cat is called Ophelia and she was born in the flood")
            for number in range(20):
                await server.say(mira, f"Today, on day {number}, I " + "walked along the quay and counted boats " * 4)
            status, _ = await server.ask("POST", f"/v1/memory/{mira}/pins", json={"text": "Call me Anna"})
            assert status == 201
            before = await history(server, mira)
            summary = await written(server, mira)
            assert await server.stop() == 0
        async with start(data, fake.base_url, **settings) as server:
            assert await history(server, mira) == before
            assert (await written(server, mira))["text"] == summary["text"] == SUMMARY
            _, found = await server.ask("GET", f"/v1/memory/{mira}/search?q=How is the cat called?&tokens=100")
            assert "Ophelia" in json.dumps(found["spans"])
            status, done = await server.say(mira, "How is my cat called?")
            assert status == 200
            assert "born in the flood" in json.dumps(done["recalled"])
            prompt = writer.prompts[-1]
            assert all(text in prompt for text in ("lighthouse", "born in the flood", "Call me Anna", SUMMARY))
            assert await server.stop() == 0


async def test_told_to_stop_it_lets_replies_end_and_then_ends_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    go = asyncio.Event()
    async with FakeOpenAI() as fake:
        scripts = {
            "quick one": Stream((Say("It "), Hold(go), Say("ends"))),
            "slow one": Stream((Say("Once "), Say("upon"), Hold())),
        }
        fake.respond = lambda request: scripts[str(request.messages[-1]["content"]).rpartition("\n")[2]]
        async with start(data, fake.base_url, log_level="info") as server:
            family = descendants(server.process.pid)
            quick, slow = [await server.character(name=name) for name in ("quick", "slow")]
            one: list[Event] = []
            other: list[Event] = []
            streams = [
                asyncio.create_task(follow(server, quick, "quick one", one)),
                asyncio.create_task(follow(server, slow, "slow one", other)),
            ]
            await until(lambda: len(one) > 1 and len(other) > 1)
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: server.log.count("draining") == 1)
            status, refused = await server.say(quick, "Another?")
            assert (status, refused["error"]["code"]) == (503, "shutting_down")
            go.set()
            await asyncio.gather(*streams)
            assert await server.ended() == 0
            await until_gone(family)
            assert one[-1].name == "done"
            assert one[-1].data["message"]["text"] == "It ends"
            assert (other[-1].name, other[-1].data["error"]["code"]) == ("error", "shutting_down")
            assert other[-1].data["message"]["text"] == "Once upon"
            assert "Traceback" not in server.log
        fake.respond = lambda _: says("a time")
        async with start(data, fake.base_url) as server:
            assert [one["text"] for one in await history(server, quick)] == ["quick one", "It ends"]
            _, cut = await history(server, slow)
            assert (cut["text"], cut["status"]) == ("Once upon", "interrupted")
            status, done = await server.ask(
                "POST", f"/v1/chat/{slow}/continue", headers={"Accept": "application/json"}, json={}
            )
            assert (status, done["message"]["text"]) == (200, "Once upon a time")


async def test_ctrl_c_twice_ends_it_at_once_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with FakeOpenAI() as fake:
        fake.respond = lambda _: Stream((Say("Well"), Hold()))
        async with start(data, fake.base_url, log_level="info") as server:
            family = descendants(server.process.pid)
            mira = await server.character()
            seen: list[Event] = []
            stream = asyncio.create_task(follow(server, mira, "Hello?", seen))
            await until(lambda: len(seen) > 1)
            server.process.send_signal(signal.SIGINT)
            await until(lambda: "draining" in server.log)
            server.process.send_signal(signal.SIGINT)
            assert await server.ended() == 130
            await asyncio.gather(stream, return_exceptions=True)
            await until_gone(family)
        fake.respond = lambda _: says("Here I am")
        async with start(data, fake.base_url) as server:
            first = await history(server, mira)
            assert [one["text"] for one in first] == ["Hello?", ""]
            await server.ask("POST", f"/v1/chat/{mira}/regenerate", headers={"Accept": "application/json"}, json={})
            assert [one["text"] for one in await history(server, mira)] == ["Hello?", "Here I am"]
            assert await server.stop(signal.SIGINT) == 0


async def test_windows_that_were_due_are_closed_after_the_next_turn(tmp_path: Path) -> None:
    """A server that dies between a turn and its upkeep leaves the work to the next one."""
    data = tmp_path / "data"
    async with FakeOpenAI() as fake:
        async with start(data, fake.base_url, window_messages=64) as server:
            mira = await server.character()
            for number in range(10):
                await server.say(mira, f"Line {number}")
            await server.kill()
        async with start(data, fake.base_url, window_messages=4) as server:
            await server.say(mira, "One more")
            await server.stop()  # it closes what is due before it ends
        async with start(data, fake.base_url, window_messages=4) as server:
            assert len(await windows(server, mira)) == 5
            assert len(await history(server, mira)) == 22


async def refused(process: subprocess.Popen[bytes], output: Path) -> str:
    """The one line of a server that did not start."""
    try:
        assert await asyncio.to_thread(process.wait, 60) == 1
    finally:
        process.kill()
        process.wait()
    lines = [line for line in read(output).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("vestige: ")
    return lines[0]


async def test_a_second_server_on_the_same_folder_or_port_is_refused(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "second.log"
    async with FakeOpenAI() as fake, start(data, fake.base_url) as server:
        mira = await server.character()
        line = await refused(spawn(data, fake.base_url, output=output), output)
        assert f"Another vestige (pid {server.process.pid}) is using {data}" in line
        port = str(server.port)
        line = await refused(spawn(tmp_path / "other", fake.base_url, "--port", port, output=output), output)
        assert f"Port {port} on 127.0.0.1 is taken" in line
        status, _ = await server.say(mira, "Are you still there?")
        assert status == 200
        assert (await vestige_run("link", "--data", str(data)))[0] == 0  # still the one that is found


async def test_strangers_are_let_near_only_once_there_are_keys(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "out.log"
    async with FakeOpenAI() as fake:
        line = await refused(spawn(data, fake.base_url, "--host", ANYWHERE, output=output), output)
        assert "Refusing to listen on 0.0.0.0 while no API keys exist" in line
        line = await refused(spawn(data, fake.base_url, output=output, public_url="https://chat.example.org"), output)
        assert "Refusing to answer to a public name while no API keys exist" in line
        code, secret, _ = await vestige_run("keys", "create", "phone", "--data", str(data))
        assert code == 0
        async with start(data, fake.base_url, "--host", ANYWHERE) as server:
            for path in ("/ready", "/metrics", "/docs", "/openapi.json", "/v1/me"):
                assert (await server.ask("GET", path))[0] == 200
                server.token = "wrong"
                assert (await server.ask("GET", path))[0] == 401
                server.token = secret.strip()
                assert (await server.ask("GET", path))[0] == 200
            assert (await server.ask("GET", "/health"))[0] == 200
            assert await server.stop() == 0


BROKEN = {
    "no TOML": ("port = = 3\n", "is not valid TOML"),
    "no UTF-8": (b"operator_policy = '\xff'\n", "is not valid TOML"),
    "unknown": ("prot = 8420\n", "unknown setting 'prot'; did you mean 'port'?"),
    "wrong type": ('message_bytes = "many"\n', "The setting message_bytes"),
    "out of range": ("window_messages = 1000\n", "The setting window_messages"),
    "contradiction": ('default_tier = "gold"\n', "'gold' is not among the plans"),
}


@pytest.mark.parametrize(("content", "says_so"), BROKEN.values(), ids=BROKEN.keys())
async def test_settings_that_cannot_be(tmp_path: Path, content: str | bytes, says_so: str) -> None:
    file, output = tmp_path / "vestige.toml", tmp_path / "out.log"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = await refused(spawn(tmp_path / "data", None, "--config", str(file), output=output), output)
    assert says_so in line
    assert not (tmp_path / "data").exists()


FOLDERS = {
    "newer": ({"schema.json": '{"version": 999, "created": "2026-11-23", "vestige": "9.9"}'}, "a newer vestige (9.9"),
    "damaged": ({"schema.json": "{"}, "is damaged"),
    "foreign": ({"thesis.docx": "x"}, "holds other files ('thesis.docx')"),
}


@pytest.mark.parametrize(("files", "says_so"), FOLDERS.values(), ids=FOLDERS.keys())
async def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path, files: dict[str, str], says_so: str) -> None:
    data, output = tmp_path / "data", tmp_path / "out.log"
    data.mkdir()
    for name, content in files.items():
        (data / name).write_text(content)
    assert says_so in await refused(spawn(data, None, output=output), output)
    assert {name: (data / name).read_text() for name in files} == files


async def test_a_port_that_is_taken_by_another_program(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        output = tmp_path / "out.log"
        port = str(taken.getsockname()[1])
        line = await refused(spawn(tmp_path / "data", "http://127.0.0.1:9/v1", "--port", port, output=output), output)
    assert f"Port {port} on 127.0.0.1 is taken" in line
