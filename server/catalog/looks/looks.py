"""The looks of every tenant's characters, in the state Redis: what servers and workers see alike."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, cast

import structlog
from redis.asyncio import Redis

from server.catalog.etags import matches
from server.catalog.items.codec import etag
from server.catalog.items.writing import Change, Changed, write
from server.catalog.keys import Keys
from server.catalog.looks.model import Look, LookFields
from server.catalog.looks.names import names_in
from server.catalog.scripts import STORE, Scripts
from server.errors import Conflict, InvalidRequest, NotFound, VestigeError
from server.ids import check_slug
from server.loras.records import LoraRecord, LoraVersion
from server.stores.errors import store_errors

__all__ = ["Looks", "LoraVersions", "OnLook", "check_names", "decode_look", "look_change"]

OnLook = Callable[[str, Look], Awaitable[None]]
"""`(tenant, look)`: told after a character has this look."""

_log = structlog.get_logger("vestige.catalog")


class LoraVersions(Protocol):
    """Which versions of a LoRA there are: `server.loras.registry.Registry`."""

    async def live(self, tenant: str, name: str) -> LoraVersion | None: ...

    async def get(self, tenant: str, name: str, version: int) -> LoraRecord: ...


class Looks:
    """Looks by tenant and character. Every method may raise `StoreUnavailable`.

    Whether there is such a character, and who may change it, is for the caller to ask.
    """

    def __init__(self, state: Redis, loras: LoraVersions) -> None:
        self._state = state
        self._scripts = Scripts(state)
        self._loras = loras
        self._listeners: list[OnLook] = []

    def on_put(self, listener: OnLook) -> None:
        """Has `listener` told of every look that this process stores."""
        self._listeners.append(listener)

    async def get(self, tenant: str, character: str) -> Look:
        """Raises:
        NotFound: the character has no look yet.
        """
        found = await self.find(tenant, character)
        if found is None:
            raise NotFound(
                "This character has no look yet: an admin gives one on the page “Pictures and hosts”.", reason="no_look"
            )
        return found

    async def find(self, tenant: str, character: str) -> Look | None:
        """The character's look, None where it has none."""
        raw = await self._raw(tenant, character)
        return decode_look(character, raw) if raw else None

    async def all(self, tenant: str, *, after: str | None = None, limit: int = 50) -> Sequence[Look]:
        """The tenant's looks by character, those after `after`."""
        with store_errors(STORE):
            names = cast(list[str], await self._state.hkeys(Keys(tenant).looks))
        page = sorted(name for name in names if after is None or name > after)[:limit]
        if not page:
            return []
        with store_errors(STORE):
            raws = cast(list[str | None], await self._state.hmget(Keys(tenant).looks, page))
        return [decode_look(name, raw) for name, raw in zip(page, raws, strict=True) if raw is not None]

    async def put(
        self, tenant: str, character: str, fields: LookFields, *, names: Collection[str], if_match: str | None = None
    ) -> Look:
        """The character has this look from now on. `names`: what people call it (`names_of`).

        Raises:
            InvalidRequest: the prompt holds one of the names.
            Conflict: `if_match` is an etag and the look has another one by now, or there is none.
        """
        check_names(fields, names)
        while True:
            was = await self._raw(tenant, character)
            current = etag(was) if was else ""
            if not matches(if_match, current):
                raise Conflict("This look was changed meanwhile: load it again, then save.", etag=current)
            change = look_change(tenant, character, was, fields)
            try:
                await write(self._scripts, tenant, [change])
            except Changed:
                continue
            break
        look = decode_look(character, change.now)
        await self.told(tenant, look)
        return look

    async def delete(self, tenant: str, character: str) -> bool:
        """Whether there was one."""
        with store_errors(STORE):
            return bool(await self._state.hdel(Keys(tenant).looks, check_slug(character, "character_id")))

    async def lora(self, tenant: str, look: LookFields) -> LoraVersion | None:
        """The LoRA's version that a render takes now; None for the checkpoint alone.

        Raises:
            NotFound: the registry has no such version, or none that is live.
        """
        if look.lora_name is None:
            return None
        if look.lora_version is not None:
            record = await self._loras.get(tenant, look.lora_name, look.lora_version)
            return LoraVersion(record.name, record.version, record.file.sha256)
        live = await self._loras.live(tenant, look.lora_name)
        if live is None:
            raise NotFound(f"There is no live version of the LoRA {look.lora_name}.", field="lora")
        return live

    async def told(self, tenant: str, look: Look) -> None:
        """Tells the listeners; one that fails changes nothing."""
        for listener in self._listeners:
            try:
                await listener(tenant, look)
            except VestigeError as error:
                _log.warning("a look was not followed", character=look.character, reason=error.message)

    async def _raw(self, tenant: str, character: str) -> str:
        with store_errors(STORE):
            raw = cast(str | None, await self._state.hget(Keys(tenant).looks, check_slug(character, "character_id")))
        return raw or ""


def check_names(fields: LookFields, names: Collection[str]) -> None:
    """Raises:
    InvalidRequest: the scene's prompt holds one of the names.
    """
    found = names_in(fields.scene.prompt, names)
    if found:
        raise InvalidRequest(
            f"The prompt names the character (“{found[0]}”): describe the scene only, the LoRA brings the face.",
            field="scene.prompt",
        )


def look_change(tenant: str, character: str, was: str, fields: LookFields) -> Change:
    """The change from the record `was` (empty for none) to `fields`."""
    return Change(Keys(tenant).looks, character, was, fields.model_dump_json(exclude_none=True))


def decode_look(character: str, raw: str) -> Look:
    fields = LookFields.model_validate_json(raw)
    return Look(character=character, etag=etag(raw), **dict(fields))
