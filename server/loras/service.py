"""What the server knows of LoRAs, put together: the registry, the files, and the two in one step."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from server.datafolder import DataFolder
from server.errors import NotFound
from server.loras.files import LoraFiles
from server.loras.records import LoraFile, LoraRecord
from server.loras.registry import Registry
from server.stores.objects import Objects

__all__ = ["Loras"]


@dataclass(frozen=True)
class Loras:
    """Registry and files of one server. A tenant uses the files that it sent itself, whoever else sent the same."""

    registry: Registry
    files: LoraFiles

    @classmethod
    def over(
        cls,
        redis: Redis,
        objects: Objects,
        folder: DataFolder,
        *,
        registry: CollectorRegistry,
        clock: Callable[[], datetime],
    ) -> Self:
        """Over the state Redis and the object store, with its spool in the data folder."""
        files = LoraFiles(objects, folder.run / "loras", registry)
        files.clear()
        return cls(Registry(redis, clock=clock), files)

    async def take(
        self, tenant: str, pieces: AsyncIterator[bytes], *, length: int | None = None
    ) -> tuple[LoraFile, bool]:
        """Keeps a file that a tenant sends; also tells whether it is new here. Raises as `LoraFiles.take`."""
        file, new = await self.files.take(pieces, length=length)
        await self.registry.uploaded(tenant, file.sha256)
        return file, new

    async def file(self, tenant: str, sha256: str) -> LoraFile:
        """A file that the tenant sent.

        Raises:
            NotFound: it did not, or not in whole.
        """
        if not await self.registry.owns(tenant, sha256):
            raise NotFound("There is no LoRA file of this sha256: upload it first.")
        return await self.files.get(sha256)

    async def add(
        self,
        tenant: str,
        name: str,
        sha256: str,
        *,
        by: str,
        notes: str = "",
        training: str = "",
        dataset_report: str | None = None,
    ) -> tuple[LoraRecord, bool]:
        """Makes a file that the tenant sent a version of a character; also tells whether it is a new one.

        Raises:
            InvalidId: `name` cannot be a character's.
            NotFound: as `file`.
        """
        file = await self.file(tenant, sha256)
        return await self.registry.add(
            tenant, name, file, by=by, notes=notes, training=training, dataset_report=dataset_report
        )
