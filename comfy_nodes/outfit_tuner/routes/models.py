"""`/vestige/models`: model files and what is in them, so that a server knows one content on many hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ..file_hashes import FileHashes
from ..hashing import BackgroundHashes
from ..lora_check import checkpoint_family
from .route import Route

__all__ = ["ModelRoutes"]

Files = Callable[[], Mapping[str, Mapping[str, Path]]]
"""Folder → name as ComfyUI lists it → path."""


class ModelRoutes:
    """One listing. Files and hashes are asked for at each request; what is not hashed yet is, in the background."""

    def __init__(self, files: Files, hashes: Callable[[], FileHashes]) -> None:
        self._files = files
        self._hashes = hashes
        self._background: BackgroundHashes | None = None

    def routes(self) -> list[Route]:
        return [Route("GET", "/vestige/models", self.list)]

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._list))

    def _list(self) -> dict[str, Any]:
        hashes = self._hashes()
        unknown: list[Path] = []
        listed: dict[str, list[dict[str, Any]]] = {}
        for folder, files in self._files().items():
            listed[folder] = []
            for name, path in sorted(files.items()):
                try:
                    size = path.stat().st_size
                except OSError:
                    continue  # it went away since it was listed
                sha256 = hashes.known(path)
                facts: dict[str, Any] = {"file": name, "bytes": size, "sha256": sha256}
                if folder == "checkpoints":
                    facts["family"] = checkpoint_family(path, sha256)
                listed[folder].append(facts)
                if sha256 is None:
                    unknown.append(path)
        if self._background is None:
            self._background = BackgroundHashes(hashes)
        self._background.want(unknown)
        return {"hashing": self._background.left, "models": listed}
