"""Which shards are opened: those of this embedder, here or on a private server, and never a mixture."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from server.errors import SettingsError, StartupError, StoreUnavailable
from server.stores import chroma_open
from server.stores.chroma import Record, open_chroma
from tests.stores.records import DIM, KEY, record
from tests.stores.waiting import until


async def test_another_embedder_is_refused_with_what_to_do(settings, folder):
    async with open_chroma(settings, folder, dim=DIM, embedder_id="english") as shards:
        await shards.add(KEY, [record("a")])
    for dim in (DIM, DIM + 1):
        with pytest.raises(StartupError, match=r"'english', but the settings say 'other': run `vestige reindex`"):
            async with open_chroma(settings, folder, dim=dim, embedder_id="other"):
                pass
    async with open_chroma(settings, folder, dim=DIM, embedder_id="english") as shards:
        assert len(await shards.get(KEY, ["a"])) == 1


async def test_another_number_of_shards_is_refused(make_settings, folder):
    async with open_chroma(make_settings(shards=4), folder, dim=DIM, embedder_id="e") as shards:
        await shards.add(KEY, [record("a")])
    with pytest.raises(StartupError, match=r"4 shards, but the settings say 8: run `vestige reindex`"):
        async with open_chroma(make_settings(shards=8), folder, dim=DIM, embedder_id="e"):
            pass


async def test_with_nothing_stored_any_embedder_will_do(settings, folder):
    for embedder in ("one", "two", "one"):
        async with open_chroma(settings, folder, dim=DIM, embedder_id=embedder) as shards:
            assert shards.previous is None


async def test_a_reindex_reads_the_old_shards_and_ends_when_it_says_so(make_settings, folder):
    before, after = make_settings(shards=2), make_settings(shards=3)
    async with open_chroma(before, folder, dim=DIM, embedder_id="old") as shards:
        await shards.add(KEY, [record("a", "one"), record("b", "two")])

    def vector() -> Record:
        return Record("a", np.ones(5, np.float32), "one", {"scope": KEY})

    async with open_chroma(after, folder, dim=5, embedder_id="new", reindexing=True) as shards:
        assert shards.previous is not None
        assert len(await shards.previous.find(KEY, {"scope": KEY})) == 2
        await shards.add(KEY, [vector()])
    # cut off in the middle: neither a start with the new embedder nor one with the old is safe
    for settings, dim, embedder in ((after, 5, "new"), (before, DIM, "old")):
        with pytest.raises(StartupError, match="vestige reindex"):
            async with open_chroma(settings, folder, dim=dim, embedder_id=embedder):
                pass
    async with open_chroma(after, folder, dim=5, embedder_id="new", reindexing=True) as shards:
        assert shards.previous is not None
        assert [r.document for r in await shards.get(KEY, ["a"])] == ["one"]
        await shards.forget_previous()
        assert shards.previous is None
    async with open_chroma(after, folder, dim=5, embedder_id="new") as shards:
        assert len(await shards.find(KEY, {"scope": KEY})) == 1


async def test_more_shards_than_files_may_be_open_is_refused(make_settings, folder, monkeypatch):
    monkeypatch.setattr(chroma_open.resource, "getrlimit", lambda _: (256, 256))
    with pytest.raises(SettingsError, match="64 shards need 640 open files, but only 256"):
        async with open_chroma(make_settings(shards=64), folder, dim=DIM, embedder_id="e"):
            pass


@pytest.mark.parametrize(
    "url", ["ftp://localhost:8000", "localhost:8000", "http://", "http://host:port", "http://h/path"]
)
async def test_an_address_that_is_none_is_refused(make_settings, folder, url):
    with pytest.raises(SettingsError, match="chroma_url is no address"):
        async with open_chroma(make_settings(chroma_url=url), folder, dim=DIM, embedder_id="e"):
            pass


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "134744072", "0x08080808", "8.8.2056"]
)
async def test_a_public_address_is_refused_however_it_is_written(make_settings, folder, host):
    with pytest.raises(SettingsError, match=r"public address .* \(CVE-2026-45829\)"):
        async with open_chroma(make_settings(chroma_url=f"http://{host}:8000"), folder, dim=DIM, embedder_id="e"):
            pass


async def test_a_name_counts_by_every_address_it_has(make_settings, folder, monkeypatch):
    addresses = [(socket.AF_INET, 1, 6, "", (ip, 8000)) for ip in ("10.0.0.7", "93.184.215.14")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    with pytest.raises(SettingsError, match=r"public address 93\.184\.215\.14"):
        async with open_chroma(make_settings(chroma_url="http://chroma:8000"), folder, dim=DIM, embedder_id="e"):
            pass


async def test_nobody_there_stops_the_start(make_settings, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(StartupError, match="nobody answers at 127"):
            async with open_chroma(make_settings(chroma_url=url), folder, dim=DIM, embedder_id="e"):
                pass


@pytest.fixture
def chroma_server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Chroma server's address, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    arguments = ["run", "--path", str(tmp_path / "outside"), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        until(lambda: _listens(port), seconds=30)
        yield f"http://127.0.0.1:{port}", server
        server.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_over_http_it_is_the_same(make_settings, folder, chroma_server):
    url, server = chroma_server
    settings = make_settings(chroma_url=url, shards=3)
    for expected in ([], ["b"]):
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
            assert [r.id for r in await shards.find(KEY, {"scope": KEY})] == expected
            await shards.add(KEY, [record("a", "one ❀", n=1), record("b", "two", n=2)])
            assert [r.document for r in await shards.get(KEY, ["b", "nope", "a"])] == ["two", "one ❀"]
            await shards.update_metadata(KEY, "a", {"n": 3})
            assert [r.document for r in await shards.find(KEY, {"n": 3, "scope": KEY})] == ["one ❀"]
            await shards.delete(KEY, ["a"])
            await shards.purge()
            await shards.check()
    with pytest.raises(StartupError, match="run `vestige reindex`"):
        async with open_chroma(settings, folder, dim=DIM, embedder_id="other"):
            pass
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        server.kill()
        server.wait()
        with pytest.raises(StoreUnavailable, match="The index failed"):
            await shards.get(KEY, ["b"])
    assert list(folder.chroma.iterdir()) == []
