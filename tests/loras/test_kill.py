"""kill -9 of promoters and of the store: a character's live version is always one that is there, file and all."""

import asyncio
import os
import random
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from obstore.store import LocalStore
from redis.asyncio.connection import UnixDomainSocketConnection

from server.loras.files import LoraFiles, path_of
from server.loras.registry import Registry
from server.stores.objects import Objects
from server.stores.redis import make_client
from server.stores.valkey import EmbeddedValkey, valkey_binary
from tests.loras.promoter import NAMES

ROOT = Path(__file__).resolve().parents[2]


async def sound(valkey: EmbeddedValkey, objects: Objects, spool: Path) -> int:
    """How many versions there are; fails where a pointer leads to nothing."""
    redis = make_client({"connection_class": UnixDomainSocketConnection, "path": str(valkey.socket)})
    registry, files, count = Registry(redis), LoraFiles(objects, spool), 0
    try:
        for name in NAMES:
            versions = await registry.list("home", name)
            if not versions:
                continue
            live = await registry.live("home", name)
            assert live is not None
            assert [each.version for each in versions if each.live] == [live.version]
            assert [each.version for each in versions] == list(range(len(versions), 0, -1))
            for each in versions:
                record = await registry.get("home", name, each.version)
                assert record.file.sha256 == each.sha256
                assert await objects.head(path_of(each.sha256)) is not None
            assert await files.verify(live.sha256) == "sound"
            moves = list(reversed(await registry.moves("home", name)))
            assert moves[-1].to == live.version
            assert all(after.before == before.to for before, after in pairwise(moves))
            count += len(versions)
    finally:
        await redis.aclose(close_connection_pool=True)
    return count


@pytest.mark.timeout(180)
async def test_two_promoters_and_the_store_are_killed_again_and_again(tmp_path: Path) -> None:
    dice = random.Random(7)
    for sub in ("redis", "run", "objects"):
        (tmp_path / sub).mkdir()
    objects = Objects(LocalStore(tmp_path / "objects"))
    binary, socket = valkey_binary(), tmp_path / "run" / "valkey.sock"
    valkey = EmbeddedValkey(tmp_path / "redis", tmp_path / "run", socket, binary)
    await valkey.launch()
    counts = [0]
    try:
        for kills in range(4):
            argv = (sys.executable, "-m", "tests.loras.promoter", str(socket), str(tmp_path / "objects"))
            promoters = [
                await asyncio.create_subprocess_exec(
                    *argv, str(tmp_path / f"spool-{each}"), str(10 * kills + each),
                    cwd=ROOT, stdout=asyncio.subprocess.PIPE,
                )
                for each in range(2)
            ]  # fmt: skip
            for promoter in promoters:
                assert promoter.stdout is not None
                await promoter.stdout.readline()  # it is at work
            await asyncio.sleep(dice.random() / 4)
            if kills % 2:
                assert valkey.pid is not None
                os.kill(valkey.pid, signal.SIGKILL)
            for promoter in promoters:
                promoter.kill()
                await promoter.communicate()
            if kills % 2:
                await valkey.stop()
                valkey = EmbeddedValkey(tmp_path / "redis", tmp_path / "run", socket, binary)
                await valkey.launch()
            counts.append(await sound(valkey, objects, tmp_path / "spool"))
    finally:
        await valkey.stop()
    assert all(after > before for before, after in pairwise(counts))  # nothing that was there went
