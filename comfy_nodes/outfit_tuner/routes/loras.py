"""`/vestige/loras`: characters, their versions and which is live, for the chat server and the editor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ..file_hashes import FileHashes
from ..lora_facts import character_facts
from ..loras import Character, LoraError, find_characters, set_live
from .body import read_json
from .errors import Conflict, InvalidRequest, NotFound
from .route import Route

__all__ = ["LoraRoutes"]

_MAX_JSON = 16 * 2**10


class LoraRoutes:
    """List, look at one, and make a version live. Files and hashes are asked for at each request."""

    def __init__(self, files: Callable[[], Mapping[str, Path]], hashes: Callable[[], FileHashes]) -> None:
        self._files = files
        self._hashes = hashes
        self._hashing = asyncio.Semaphore(1)  # files of hundreds of megabytes, and the disk is one

    def routes(self) -> list[Route]:
        one = "/vestige/loras/{character}"
        return [
            Route("GET", "/vestige/loras", self.list),
            Route("GET", one, self.one),
            Route("PUT", f"{one}/live", self.live),
        ]

    async def list(self, request: web.Request) -> web.Response:
        def facts() -> list[dict[str, Any]]:
            return [character_facts(character, self._hashes()) for character in self._characters().values()]

        return web.json_response({"characters": await asyncio.to_thread(facts)})

    async def one(self, request: web.Request) -> web.Response:
        character = await self._character(request)
        async with self._hashing:
            facts = await asyncio.to_thread(lambda: character_facts(character, self._hashes(), hash_files=True))
        return web.json_response(facts)

    async def live(self, request: web.Request) -> web.Response:
        version = (await read_json(request, _MAX_JSON)).get("version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise InvalidRequest("Send the `version` that goes live, a number.", field="version")
        character = await self._character(request)
        if version not in character.versions:
            raise NotFound(f"There is no v{version} of {character.name}.", code="no_version")
        try:
            await asyncio.to_thread(set_live, character, version)
        except LoraError as error:
            raise Conflict(str(error), code="not_made_live") from None
        return web.json_response(await asyncio.to_thread(lambda: character_facts(character, self._hashes())))

    async def _character(self, request: web.Request) -> Character:
        name = request.match_info["character"]
        found = (await asyncio.to_thread(self._characters)).get(name)
        if found is None:
            raise NotFound(f"There is no LoRA of {name[:100]!r} in the loras folder.", code="no_character")
        return found

    def _characters(self) -> dict[str, Character]:
        return find_characters(self._files())
