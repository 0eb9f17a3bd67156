"""The embedded Valkey: private, quick, never an orphan, and it keeps what it acknowledged."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from server.datafolder import DataFolder
from server.errors import StartupError
from server.stores import valkey as valkey_module
from server.stores.redis import open_redis
from server.stores.valkey import EmbeddedValkey, open_valkey, plain_client, valkey_binary
from tests.stores.waiting import alive, until

ROOT = Path(__file__).parents[2]

SERVER = """
import asyncio, sys
from pathlib import Path
from server.datafolder import DataFolder
from server.stores.valkey import open_valkey

async def main():
    with DataFolder(Path(sys.argv[1])).open() as folder:
        async with open_valkey(folder) as valkey:
            print(valkey.pid, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


def start_server(data: Path) -> tuple[subprocess.Popen[str], int]:
    """A process with an embedded Valkey, and that Valkey's pid."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line.strip().isdigit(), line + server.stdout.read()
    return server, int(line)


async def test_it_is_reached_by_a_private_socket_and_by_no_port(folder):
    async with open_valkey(folder) as valkey, plain_client(valkey.socket) as client:
        config = await client.config_get("*")
        assert config["port"] == "0"
        assert config["maxmemory-policy"] == "noeviction"
        assert stat.S_IMODE(valkey.socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700


async def test_what_was_written_is_there_after_a_restart(folder, settings):
    for expected in (None, "1", "2"):
        async with open_redis(settings, folder) as redis:
            assert await redis.state.get("count") == expected
            await redis.state.incr("count")


@pytest.mark.parametrize("name", ["a" * 120, "données ❀ и прочее", "with space 'and\" quotes"])
async def test_any_path_will_do(tmp_path, make_settings, name):
    settings = make_settings(data=tmp_path / name)
    with DataFolder(settings.data).open() as folder:
        for expected in (None, "kept"):
            async with open_redis(settings, folder) as redis:
                assert await redis.state.get("key") == expected
                await redis.state.set("key", "kept")
        assert list(folder.redis.rglob("*.aof"))


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder whose own path is short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        (Path(path) / ("a" * 90)).mkdir()
        yield Path(path)


@pytest.mark.parametrize("too_long", [False, True])
async def test_a_long_path_leaves_no_socket_folder_behind(tmp_path, monkeypatch, runtime, too_long):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / ("a" * 90) if too_long else runtime))
    with DataFolder(tmp_path / ("a" * 120)).open() as folder:
        async with open_valkey(folder) as valkey:
            assert valkey.socket.is_relative_to(runtime) is not too_long
            assert stat.S_IMODE(valkey.socket.parent.stat().st_mode) == 0o700
        assert not valkey.socket.parent.exists()


async def test_killed_it_comes_back_with_every_acknowledged_write(folder, settings):
    async with open_valkey(folder) as valkey:
        outside = settings.model_copy(update={"redis_url": SecretStr(f"unix://{valkey.socket}")})
        async with open_redis(outside, folder) as redis:
            acknowledged: list[int] = []

            async def write(start: int) -> None:
                for number in range(start, start + 400):
                    try:
                        await redis.state.rpush("list", number)
                    except (RedisError, OSError):
                        continue
                    acknowledged.append(number)

            first = valkey.pid
            assert first is not None
            writers = [asyncio.create_task(write(1_000 * n)) for n in range(5)]
            await asyncio.to_thread(until, lambda: len(acknowledged) >= 300)
            os.kill(first, signal.SIGKILL)
            await asyncio.gather(*writers)
            stored = [int(number) for number in await redis.state.lrange("list", 0, -1)]
            assert valkey.pid not in (None, first)
            assert set(acknowledged) <= set(stored)
            assert len(stored) == len(set(stored)), "a write was applied twice"


async def test_killed_again_and_again_it_comes_back(folder, settings):
    async with open_redis(settings, folder) as redis:
        for number in range(4):
            pid = (await redis.state.info("server"))["process_id"]
            os.kill(pid, signal.SIGKILL)
            for _ in range(200):
                try:
                    await redis.state.set("n", number)
                    break
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
            assert await redis.state.get("n") == str(number)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_server_that_is_killed(tmp_path, how):
    server, pid = start_server(tmp_path / "data")
    with server:
        assert alive(pid)
        server.send_signal(how)
    until(lambda: not alive(pid))


def test_a_second_server_on_the_folder_is_refused_and_the_next_one_after_a_kill_is_not(tmp_path):
    server, pid = start_server(tmp_path / "data")
    with server:
        second = subprocess.run(
            [sys.executable, "-c", SERVER, str(tmp_path / "data")], capture_output=True, text=True, cwd=ROOT
        )
        last = second.stderr.splitlines()[-1]
        assert f"Another vestige (pid {server.pid})" in last
        server.kill()
    again, next_pid = start_server(tmp_path / "data")
    with again:
        assert next_pid != pid
        again.terminate()


async def test_an_orphan_is_told_to_shut_down_and_loses_nothing(folder, monkeypatch):
    socket = folder.run / "valkey.sock"
    orphan = EmbeddedValkey(folder.redis, folder.run, socket, valkey_binary())
    await orphan.launch()
    async with plain_client(socket) as client:
        await client.set("key", "from the orphan")
    old = orphan.pid
    monkeypatch.setattr(valkey_module, "_LOCK_SECONDS", 0.3)
    async with open_valkey(folder) as valkey, plain_client(valkey.socket) as client:
        assert valkey.pid != old
        assert await client.get("key") == b"from the orphan"
    assert orphan.pid is None


async def test_a_torn_end_of_the_file_does_not_stop_a_start(folder, settings):
    async with open_redis(settings, folder) as redis:
        await redis.state.set("key", "kept")
        await redis.state.set("torn", "x" * 100)
    (path,) = folder.redis.rglob("*.incr.aof")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 30)
    async with open_redis(settings, folder) as redis:
        assert await redis.state.get("key") == "kept"
        assert await redis.state.get("torn") is None


async def test_a_damaged_file_stops_the_start_with_what_to_do(folder, settings):
    async with open_redis(settings, folder) as redis:
        for number in range(20):
            await redis.state.set(f"key-{number}", "value")
    (path,) = folder.redis.rglob("*.incr.aof")
    path.write_bytes(path.read_bytes().replace(b"*3\r\n$3\r\nSET\r\n$5\r\nkey-7", b"\0" * 26))
    with pytest.raises(StartupError, match=r"are damaged .* `valkey-check-aof --fix`"):
        async with open_redis(settings, folder):
            pass


async def test_a_program_that_does_not_run_stops_the_start_with_its_last_words(folder):
    valkey = EmbeddedValkey(folder.redis, folder.run, folder.run / "valkey.sock", Path("/nowhere/valkey-server"))
    with pytest.raises(StartupError, match="/nowhere/valkey-server: No such file"):
        await valkey.start()
    await valkey.stop()


def test_without_any_program_the_start_says_what_to_install(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartupError, match="install valkey or redis, or set REDIS_URL"):
        valkey_binary()
