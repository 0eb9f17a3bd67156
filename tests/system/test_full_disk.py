"""A full disk: typed errors, nothing lost, and on it goes when there is room again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json
from tests.system.instance import Instance, start
from tests.system.promises import Conversation

pytestmark = pytest.mark.timeout(180)

SIZE = 96 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no `mount` here: the full disk is not tested")
    if done.returncode:
        pytest.skip(f"no disk may be mounted here, so the full disk is not tested: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Leaves so many bytes free, or none at all."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        os.posix_fallocate(file.fileno(), 0, max(4_096, free - max(leave, 1 << 20)))
        with suppress(OSError):
            while not leave:
                os.write(file.fileno(), bytes(4_096))
    return filler


async def until_writes(server: Instance, talk: Conversation, status: int) -> Json:
    """Returns what a small write says once it is answered with this status."""
    async with asyncio.timeout(30):
        while True:
            body = {"character_id": talk.character}
            got, answer = await server.ask("PUT", "/v1/active-character", json=body)
            assert got in (200, 503)
            if got == status:
                return answer
            await asyncio.sleep(0.05)


async def test_a_full_disk(disk: Path) -> None:
    data = disk / "data"
    async with FakeOpenAI() as fake:
        async with start(data, fake.base_url, window_messages=4) as server:
            talk = Conversation("voice", await server.character(name="voice"))
            for _ in range(6):
                assert (await talk.turn(server)).reply
            filler = fill(disk, leave=4 << 20)
            error = (await until_writes(server, talk, 503))["error"]
            assert error["code"] == "store_unavailable"
            assert "disk full" in error["message"]
            refused = await talk.turn(server)
            assert (refused.accepted, refused.failed) == (False, ["generation_disabled"])
            await talk.kept(server)
            filler.unlink()
            filler = fill(disk)
            body = {"name": "Mira", "description": "x" * 50_000}
            status, made = await server.ask("POST", "/v1/characters", json=body)
            assert (status, made["error"]["code"]) == (503, "store_unavailable")
            assert (await server.ask("GET", "/health"))[0] == 200
            await talk.kept(server)
            filler.unlink()
            await until_writes(server, talk, 200)
            await talk.completed(server)
            for _ in range(4):
                assert (await talk.turn(server)).reply
            await talk.completed(server)
            await server.kill()
        async with start(data, fake.base_url, window_messages=4) as server:
            await talk.completed(server)
            fill(disk)
            assert await server.stop() == 0
        (disk / "filler").unlink()
        async with start(data, fake.base_url, window_messages=4) as server:
            await talk.completed(server)


async def chat(server: Instance, talk: Conversation) -> None:
    """Twenty turns, each sent until it is done."""
    for _ in range(20):
        one = await talk.turn(server)
        while one.reply is None:
            await asyncio.sleep(0.02)
            await talk.follow(server, one)
        assert set(one.failed) <= {"store_unavailable", "generation_disabled"}


async def test_filled_at_once_between_two_turns(disk: Path) -> None:
    """Quicker than anyone can notice: what was accepted in that second is kept all the same."""
    data = disk / "data"
    async with FakeOpenAI() as fake:
        async with start(data, fake.base_url, window_messages=4) as server:
            talk = Conversation("voice", await server.character(name="voice"))
            for _ in range(4):
                assert (await talk.turn(server)).reply
            filler = fill(disk)
            turns = asyncio.create_task(chat(server, talk))
            await until_writes(server, talk, 503)
            filler.unlink()
            await until_writes(server, talk, 200)
            await turns
            await talk.completed(server)
            await server.kill()
        async with start(data, fake.base_url, window_messages=4) as server:
            await talk.completed(server)
