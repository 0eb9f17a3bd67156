"""Adds, promotes and rolls back without end: `python -m tests.loras.promoter SOCKET OBJECTS SPOOL SEED`."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from obstore.store import LocalStore
from redis.asyncio.connection import UnixDomainSocketConnection

from server.errors import VestigeError
from server.loras.files import LoraFiles
from server.loras.registry import Registry
from server.loras.service import Loras
from server.stores.objects import Objects
from server.stores.redis import make_client
from tests.loras import lora_files as made

NAMES = ("halina", "otis")


async def main(socket: str, objects: Path, spool: Path, seed: int) -> None:
    dice = random.Random(seed)
    redis = make_client({"connection_class": UnixDomainSocketConnection, "path": socket})
    registry = Registry(redis)
    loras = Loras(registry, LoraFiles(Objects(LocalStore(objects)), spool))

    async def stream() -> AsyncIterator[bytes]:
        yield made.lora(fill=dice.randbytes(8))

    while True:
        name = dice.choice(NAMES)
        with suppress(VestigeError):
            file, _ = await loras.take("home", stream())
            await loras.add("home", name, file.sha256, by=str(seed))
            versions = await registry.list("home", name)
            for _ in range(3):
                await registry.promote("home", name, dice.choice(versions).version, by=str(seed))
            await registry.rollback("home", name, by=str(seed))
            sys.stdout.write(f"{len(versions)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
