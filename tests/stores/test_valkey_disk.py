"""The append-only file reaches the disk, and a full disk loses nothing that was acknowledged."""

import os
from pathlib import Path

import pytest
import redis.asyncio

from server.errors import StoreUnavailable
from server.stores import valkey_disk
from server.stores.redis import store_errors
from server.stores.valkey_disk import RESERVE, AppendOnlyDisk

APPEND = "redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1]) return 1"


class Disk(AppendOnlyDisk):
    """One whose free space is `room`."""

    room = 10 * RESERVE

    def __init__(self, folder: Path, client: redis.asyncio.Redis) -> None:
        super().__init__(folder, client, free=lambda _: self.room)


@pytest.fixture
async def disk(redis_pair, valkey_socket):
    yield Disk(valkey_socket.parent.parent / "redis", redis_pair.state)
    await redis_pair.state.config_set("min-replicas-to-write", 0)


async def test_a_full_disk_refuses_writes_before_they_are_acknowledged_and_still_reads(redis_pair, disk):
    await redis_pair.state.set("key", "before")
    disk.room = RESERVE - 1
    await disk.guard()
    for write in (
        lambda: redis_pair.state.set("key", "after"),
        lambda: redis_pair.state.eval(APPEND, 2, "l", "key", "x"),
    ):
        with pytest.raises(StoreUnavailable, match=r"is its disk full.*nothing was saved"), store_errors("memory"):
            await write()
    assert await redis_pair.state.get("key") == "before"
    assert not await redis_pair.state.exists("l")


async def test_with_room_again_it_writes_again(redis_pair, disk):
    disk.room = 0
    await disk.guard()
    disk.room = RESERVE + 1  # not enough to begin again: it would soon be full once more
    await disk.guard()
    with pytest.raises(StoreUnavailable), store_errors("memory"):
        await redis_pair.state.set("key", "value")
    disk.room = 2 * RESERVE
    await disk.guard()
    assert await redis_pair.state.set("key", "value")


async def test_after_a_restart_of_the_store_it_refuses_again(redis_pair, disk):
    disk.room = 0
    await disk.guard()
    await redis_pair.state.config_set("min-replicas-to-write", 0)  # as a new process begins
    disk.restarted()
    await disk.guard()
    with pytest.raises(StoreUnavailable), store_errors("memory"):
        await redis_pair.state.set("key", "value")


async def test_what_was_appended_is_synced_once(redis_pair, disk, monkeypatch):
    synced = []
    monkeypatch.setattr(valkey_disk, "_sync", lambda fd: synced.append(os.fstat(fd).st_size))
    disk.sync()
    synced.clear()
    await redis_pair.state.set("key", "value")
    disk.sync()
    disk.sync()
    assert len(synced) == 1
