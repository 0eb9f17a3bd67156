"""`/vestige/presets`: tuning presets over HTTP, for the chat server and the editor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from aiohttp import web

from ..presets import (
    Preset,
    PresetDamaged,
    PresetError,
    PresetNotFound,
    PresetNotSaved,
    PresetStore,
    difference,
    to_document,
)
from ..presets.codec import MAX_BYTES, read_pins, read_values
from ..tuning import TuningError
from .body import read_json
from .errors import InvalidRequest, NotFound, RouteError, Unavailable, Unprocessable
from .route import Handler, Route

__all__ = ["PresetRoutes"]

_SAVE_KEYS = frozenset({"values", "pins", "notes", "parent"})
_ROLLBACK_KEYS = frozenset({"version", "notes"})


def _answering(handler: Callable[..., Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
    """The presets' errors as the routes' own."""

    @wraps(handler)
    async def answer(self: PresetRoutes, request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except PresetNotFound as error:
            raise NotFound(str(error), code=error.code) from None
        except PresetDamaged as error:
            raise Unprocessable(str(error), code=error.code) from None
        except PresetNotSaved as error:
            raise Unavailable(str(error), code=error.code) from None
        except PresetError as error:
            raise InvalidRequest(str(error), code=error.code) from None

    return answer


class PresetRoutes:
    """List, read, save, compare and go back. `store` is asked for at each request."""

    def __init__(self, store: Callable[[], PresetStore]) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        one = "/vestige/presets/{name}/{version}"
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/vestige/presets", self.list),
            ("POST", "/vestige/presets/{name}", self.save),
            ("POST", "/vestige/presets/{name}/rollback", self.rollback),
            ("GET", one, self.one),
            ("GET", f"{one}/diff", self.diff),
        ]
        return [Route(method, path, handler) for method, path, handler in handlers]

    @_answering
    async def list(self, request: web.Request) -> web.Response:
        listing = await asyncio.to_thread(self._store().list)
        return web.json_response(
            {
                "presets": [_described(preset) for preset in listing.presets],
                "damaged": [{"file": entry.file, "problem": entry.problem} for entry in listing.damaged],
            }
        )

    @_answering
    async def one(self, request: web.Request) -> web.Response:
        return web.json_response(_described(await self._load(_spec(request))))

    @_answering
    async def save(self, request: web.Request) -> web.Response:
        body = _known(await read_json(request, MAX_BYTES), _SAVE_KEYS)
        notes, parent = _text(body, "notes"), body.get("parent")
        values, pins = body.get("values", {}), body.get("pins", {})
        if parent is not None:  # what is not said is the parent's
            begun = to_document(await self._load(_text(body, "parent") or ""))
            values = {**begun["values"], **_mapping(values, "values")}
            pins = {**begun["pins"], **_mapping(pins, "pins")}
        else:
            pins = {"base_family": None, "base": None, "adapter": None, "encoder": None, **_mapping(pins, "pins")}
        try:
            checked = read_values(values), read_pins(pins)
        except (TuningError, PresetDamaged) as error:
            raise InvalidRequest(_sentence(error), code="invalid_preset") from None
        saved = await asyncio.to_thread(
            lambda: self._store().save(
                request.match_info["name"], checked[0], pins=checked[1], notes=notes or "", parent=parent
            )
        )
        return web.json_response(_described(saved), status=201)

    @_answering
    async def rollback(self, request: web.Request) -> web.Response:
        body = _known(await read_json(request, MAX_BYTES), _ROLLBACK_KEYS)
        version = body.get("version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise InvalidRequest("Send the `version` to go back to, a number.", field="version")
        spec, notes = f"{request.match_info['name']}@{version}", _text(body, "notes")
        saved = await asyncio.to_thread(lambda: self._store().rollback(spec, notes))
        return web.json_response(_described(saved), status=201)

    @_answering
    async def diff(self, request: web.Request) -> web.Response:
        against = request.query.get("against")
        if not against:
            raise InvalidRequest("Say what to compare with: `?against=name@version`.", field="against")
        before, after = await self._load(_spec(request)), await self._load(against)
        return web.json_response(
            {
                "before": before.origin,
                "after": after.origin,
                "changes": [
                    {"name": change.name, "before": change.before, "after": change.after, "text": str(change)}
                    for change in difference(before, after)
                ],
            }
        )

    async def _load(self, spec: str) -> Preset:
        return await asyncio.to_thread(lambda: self._store().load(spec))


def _spec(request: web.Request) -> str:
    return f"{request.match_info['name']}@{request.match_info['version']}"


def _described(preset: Preset) -> dict[str, Any]:
    return {"origin": preset.origin, **to_document(preset)}


def _known(body: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    if unknown := sorted(body.keys() - keys):
        raise InvalidRequest(f"There is no {unknown[0]!r} here: send {', '.join(sorted(keys))}.", field=unknown[0])
    return body


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"`{name}` must be text.", field=name)
    return value


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{name}` must be a JSON object.", field=name)
    return value


def _sentence(error: RouteError | ValueError) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
