"""Two clients over one or two stores: checked at the start, bounded, and no command sent twice."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from server.errors import SettingsError, StartupError, StoreUnavailable
from server.stores import redis as redis_module
from server.stores.redis import open_redis, purge_redis, store_errors
from server.stores.valkey import valkey_binary
from tests.stores.waiting import until

DEBIAN = Path("/usr/bin/redis-server")
DEBIAN_SAYS = subprocess.run([DEBIAN, "--version"], capture_output=True, text=True).stdout if DEBIAN.exists() else ""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator:
    """`outside(*options)`: the URL of another Redis, started with these options. Debian's where there is one."""
    processes = []

    def start(*options: str, binary: str | Path | None = None) -> str:
        path = tmp_path / f"outside-{len(processes)}"
        path.mkdir()
        binary = binary or shutil.which("redis-server") or valkey_binary()
        arguments = ["--port", "0", "--unixsocket", str(path / "s"), "--dir", str(path), "--save", "", *options]
        processes.append(subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL))
        until(lambda: _answers(path / "s"))
        return f"unix://{path / 's'}"

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(5) in (b"+PONG", b"-NOAU")
        except OSError:
            return False


async def test_both_clients_answer_in_text_and_begin_empty(redis_pair):
    assert await redis_pair.state.keys() == []
    await redis_pair.state.set("name", "Mira ❀")
    assert await redis_pair.cache.get("name") == "Mira ❀"


async def test_the_embedded_store_is_both(folder, settings):
    async with open_redis(settings, folder) as pair:
        assert pair.state is pair.cache


async def test_two_urls_are_two_stores(folder, make_settings, outside):
    settings = make_settings(redis_url=outside(), cache_redis_url=outside("--maxmemory", "50mb"))
    async with open_redis(settings, folder) as pair:
        await pair.cache.set("key", "value")
        assert await pair.state.get("key") is None


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
async def test_a_state_store_that_may_drop_records_is_refused(folder, make_settings, outside, policy):
    settings = make_settings(redis_url=outside("--maxmemory", "100mb", "--maxmemory-policy", policy))
    with pytest.raises(SettingsError, match=f"policy {policy}.*set maxmemory-policy noeviction"):
        async with open_redis(settings, folder):
            pass


async def test_without_a_limit_any_policy_will_do_and_a_cache_may_evict(folder, make_settings, outside):
    settings = make_settings(
        redis_url=outside("--maxmemory-policy", "allkeys-lru"),
        cache_redis_url=outside("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
    )
    async with open_redis(settings, folder) as pair:
        assert await pair.state.ping()


async def test_debian_s_redis_is_refused_for_its_policy_and_warned_of_for_its_version(folder, make_settings, outside):
    if not DEBIAN_SAYS:
        pytest.skip("no redis-server from the distribution here: the policy of a real, older Redis was not checked")
    url = outside("--maxmemory", "9mb", "--maxmemory-policy", "volatile-lru", binary=DEBIAN)
    settings = make_settings(redis_url=url)
    with capture_logs() as logs, pytest.raises(SettingsError, match="policy volatile-lru"):
        async with open_redis(settings, folder):
            pass
    version = DEBIAN_SAYS.partition("v=")[2].split()[0]
    warned = [entry for entry in logs if entry["event"] == "redis_version_has_cve_2025_49844"]
    assert bool(warned) == redis_module.vulnerable("redis", version)


@pytest.mark.parametrize(
    ("flavour", "version", "expected"),
    [
        ("redis", "7.0.15", True),
        ("redis", "7.2.10", True),
        ("redis", "7.2.11", False),
        ("redis", "7.4.5", True),
        ("redis", "8.2.1", True),
        ("redis", "8.2.2", False),
        ("redis", "8.4.0", False),
        ("valkey", "7.2.10", True),
        ("valkey", "8.1.4", False),
        ("valkey", "9.1.2", False),
    ],
)
def test_versions_with_the_hole_in_lua_are_known(flavour, version, expected):
    assert redis_module.vulnerable(flavour, version) is expected


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://host:port"])
async def test_an_address_that_is_none_is_refused(folder, make_settings, url):
    with pytest.raises(SettingsError, match="redis_url is no Redis address"):
        async with open_redis(make_settings(redis_url=url), folder):
            pass


async def test_a_store_that_is_not_there_stops_the_start(folder, make_settings, tmp_path):
    with pytest.raises(StartupError, match=r"redis_url does not answer .*: start it,? or correct the address"):
        async with open_redis(make_settings(redis_url=f"unix://{tmp_path}/nobody"), folder):
            pass


async def test_a_wrong_password_stops_the_start_and_is_not_repeated_in_the_message(folder, make_settings, outside):
    url = outside("--requirepass", "right").replace("unix://", "unix://:wr0ng@")
    with pytest.raises(SettingsError, match="refuses the password") as caught:
        async with open_redis(make_settings(redis_url=url), folder):
            pass
    assert "wr0ng" not in str(caught.value)


async def test_a_store_that_is_gone_is_one_typed_error_and_back_it_is_used_again(folder, make_settings, outside):
    url = outside()
    async with open_redis(make_settings(redis_url=url), folder) as pair:
        await pair.state.set("key", "value")
        server = (await pair.state.info("server"))["process_id"]
        os.kill(server, signal.SIGKILL)
        with pytest.raises(StoreUnavailable, match="memory store cannot be reached") as caught, store_errors("memory"):
            await pair.state.get("key")
        assert caught.value.details == {"store": "memory"}


async def test_a_store_that_hangs_is_one_typed_error(folder, make_settings, outside, monkeypatch):
    monkeypatch.setattr(redis_module, "_ANSWER_SECONDS", 0.2)
    async with open_redis(make_settings(redis_url=outside()), folder) as pair:
        server = (await pair.state.info("server"))["process_id"]
        os.kill(server, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="did not answer in time"), store_errors("memory"):
                await pair.state.get("key")
        finally:
            os.kill(server, signal.SIGCONT)


class HalfDeaf:
    """A server that answers the handshake, then takes each `INCR` and hangs up without an answer."""

    def __init__(self) -> None:
        self.increments = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if b"INCR" in data:
                self.increments += 1
                break
            writer.write(b"+OK\r\n" * data.count(b"*"))
            await writer.drain()
        writer.close()


async def test_a_write_whose_answer_was_lost_is_not_sent_again(tmp_path):
    server = HalfDeaf()
    async with await asyncio.start_unix_server(server.serve, tmp_path / "s"):
        client = redis_module.make_client(
            {"connection_class": redis.asyncio.UnixDomainSocketConnection, "path": str(tmp_path / "s")}
        )
        with pytest.raises(StoreUnavailable), store_errors("memory"):
            await client.incr("key")
        await client.aclose()
    assert server.increments == 1


async def test_more_calls_than_connections_wait_for_their_turn(redis_pair):
    answers = await asyncio.gather(*(redis_pair.state.incr("count") for _ in range(500)))
    assert sorted(answers) == list(range(1, 501))


@pytest.mark.parametrize("options", [("--appendonly", "yes"), ("--appendonly", "no")])
async def test_purging_takes_deleted_text_off_the_disk(folder, make_settings, outside, options, tmp_path):
    async with open_redis(make_settings(redis_url=outside(*options)), folder) as pair:
        await pair.state.set("kept", "kept-text")
        await pair.state.set("key", "canary-text")
        await pair.state.config_set("rdbcompression", "no")
        await pair.state.bgsave()
        await pair.state.delete("key")
        await purge_redis(pair.state)
        assert not _files_with(tmp_path / "outside-0", b"canary-text")
        assert _files_with(tmp_path / "outside-0", b"kept-text")


async def test_a_purge_begun_during_a_rewrite_makes_its_own(redis_pair, valkey_socket):
    disk = valkey_socket.parent.parent / "redis"
    await redis_pair.state.config_set("rdb-key-save-delay", "50")  # microseconds: the rewrite takes a while
    await redis_pair.state.mset({f"key-{n}": "x" for n in range(5_000)} | {"secret": "canary-text"})
    await redis_pair.state.bgrewriteaof()
    await redis_pair.state.delete("secret")
    await purge_redis(redis_pair.state)
    await redis_pair.state.config_set("rdb-key-save-delay", "0")
    assert not _files_with(disk, b"canary-text")


async def test_a_store_that_forbids_it_is_named_in_the_log(folder, make_settings, outside):
    async with open_redis(make_settings(redis_url=outside()), folder) as pair:
        await pair.state.execute_command("ACL", "SETUSER", "default", "-bgrewriteaof", "-bgsave")
        with capture_logs() as logs:
            await purge_redis(pair.state)
        assert [entry["event"] for entry in logs] == ["redis_purge_forbidden"]


def _files_with(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_importing_it_opens_nothing():
    code = "import server.stores.redis, sys; print('chromadb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "False\n"
