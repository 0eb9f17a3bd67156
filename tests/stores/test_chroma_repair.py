"""Killed at any moment, the index opens again with every acknowledged record."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server.datafolder import DataFolder
from server.errors import StartupError
from server.stores.chroma import ChromaShards, open_chroma
from server.stores.chroma_tools import OpenMark
from tests.stores.records import DIM, KEY, record

ROOT = Path(__file__).parents[2]

WRITER = """
import asyncio, sys
from pathlib import Path
from server.datafolder import DataFolder
from server.settings import Settings
from server.stores.chroma import ChromaShards, open_chroma
from server.stores.chroma_tools import OpenMark
from tests.stores.records import DIM, KEY, record

async def main():
    settings = Settings(data=Path(sys.argv[1]), shards=2)
    with DataFolder(settings.data).open() as folder:
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
            for n in range(10_000):
                await shards.add(KEY, [record(f"w{n}", f"text {n}")])
                print(n, flush=True)

asyncio.run(main())
"""


def write_until_killed(data: Path, count: int) -> int:
    """Kills a process that adds records once it has acknowledged number `count`; the last one it acknowledged."""
    argv = [sys.executable, "-c", WRITER, str(data)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        numbers = (int(line) for line in writer.stdout if line.strip().isdigit())
        acknowledged = next(number for number in numbers if number >= count)
        writer.kill()
        return max([acknowledged, *numbers])


async def test_what_was_acknowledged_before_a_kill_is_there(make_settings):
    settings = make_settings(shards=2)
    last = max(write_until_killed(settings.data, count) for count in (70, 160))
    with DataFolder(settings.data).open() as folder:
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
            ids = [f"w{n}" for n in range(last + 1)]
            assert [r.document for r in await shards.get(KEY, ids)] == [f"text {n}" for n in range(last + 1)]
            await shards.add(KEY, [record("after", "text")])
            (found,) = shards._shard(KEY).query(query_embeddings=[[1.0] * DIM], n_results=5, include=[])["ids"]
            assert len(found) == 5


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 0x5A for byte in path.read_bytes()))


async def fill(shards: ChromaShards) -> str:
    """Puts 100 records into each of two shards; the key of the second."""
    other = next(key for key in map(str, range(100)) if shards._shard(key) is not shards._shard(KEY))
    for key in (KEY, other):
        await shards.add(key, [record(f"w{n}", f"text {n} of {key}") for n in range(100)])
    return other


async def still_works(shards: ChromaShards, keys: Iterable[str]) -> None:
    for key in keys:
        found = await shards.get(key, [f"w{n}" for n in range(100)])
        assert [r.document for r in found] == [f"text {n} of {key}" for n in range(100)]
        await shards.add(key, [record(f"more-{n}", "text") for n in range(100)])
        await shards.delete(key, [f"more-{n}" for n in range(100)])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("header.bin", Path.touch),  # newer than the file that is written last
        ("index_metadata.pickle", Path.unlink),
        ("header.bin", halve),
        ("data_level0.bin", scramble),
        ("data_level0.bin", Path.unlink),
    ],
)
async def test_a_vector_index_torn_by_a_kill_is_dropped_and_no_record_with_it(
    make_settings, folder, file: str, damage: Callable[[Path], object]
):
    settings = make_settings(shards=2)
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        other = await fill(shards)
    torn = next(folder.chroma.rglob(file))
    times = torn.stat()
    damage(torn)
    if torn.exists() and damage is not Path.touch:
        os.utime(torn, ns=(times.st_atime_ns, times.st_mtime_ns))  # a damage that the files' times do not show
    (folder.chroma / "open").touch()  # as a kill leaves it
    with capture_logs() as logs:
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
            await still_works(shards, (KEY, other))
    dropped = [entry["line"] for entry in logs if "dropped" in str(entry.get("line"))]
    assert dropped == [f"dropped the damaged vector index {torn.parent.name}"]


async def test_after_a_kill_that_damaged_nothing_nothing_is_dropped(make_settings, folder):
    settings = make_settings(shards=2)
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        await fill(shards)
    (folder.chroma / "open").touch()
    with capture_logs() as logs:
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e"):
            pass
    assert [entry["event"] for entry in logs] == ["chroma_checked_after_kill"]


async def test_after_two_kills_in_a_row_no_index_can_keep_the_server_down(make_settings, folder):
    settings = make_settings(shards=2)
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        other = await fill(shards)
    OpenMark(folder.chroma).set()
    OpenMark(folder.chroma).set()
    with capture_logs() as logs:
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
            await still_works(shards, (KEY, other))
    assert sum("dropped" in str(entry.get("line")) for entry in logs) == 2
    assert OpenMark(folder.chroma).kills == 0


@pytest.mark.parametrize("killed", [False, True])
async def test_a_damaged_database_stops_the_start_with_what_to_do(settings, folder, killed):
    (folder.chroma / "chroma.sqlite3").write_bytes(b"no database" * 1_000)
    if killed:
        (folder.chroma / "open").touch()
    with pytest.raises(StartupError, match=r"cannot be opened .* restore that folder from a backup"):
        async with open_chroma(settings, folder, dim=DIM, embedder_id="e"):
            pass
