"""`/vestige/forget`: what a server brought here and had made here goes, when a person is erased or it is not needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..forgetting import Forgetter, Render
from .body import read_json
from .errors import InvalidRequest
from .route import Route
from .submit import key_of, prompt_id_of

__all__ = ["ForgetRoutes"]

_MAX_BODY = 2**20
_MOST = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELDS = frozenset({"renders", "references", "memory"})


class ForgetRoutes:
    """Forget renders, references and what is in memory. `forgetter` is asked for at each request."""

    def __init__(self, forgetter: Callable[[], Forgetter]) -> None:
        self._forgetter = forgetter

    def routes(self) -> list[Route]:
        return [Route("POST", "/vestige/forget", self.forget)]

    async def forget(self, request: web.Request) -> web.Response:
        body = await read_json(request, _MAX_BODY)
        for name in body:
            if name not in _FIELDS:
                raise InvalidRequest(f"`{name[:100]}` is not known here: {', '.join(sorted(_FIELDS))} are.")
        renders = [_render(one) for one in _listed(body, "renders")]
        references = [_sha256(one) for one in _listed(body, "references")]
        memory = body.get("memory", False)
        if not isinstance(memory, bool):
            raise InvalidRequest("`memory` must be a bool.", field="memory")
        forgetter = self._forgetter()
        kept = [*await forgetter.renders(renders), *await forgetter.references(references)]
        if memory:
            forgetter.memory()
        shown = [{"name": one.name, "code": one.code, "message": one.message} for one in kept]
        return web.json_response({"kept": shown})


def _listed(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > _MOST:
        raise InvalidRequest(f"`{name}` must be a list of at most {_MOST}.", field=name)
    return value


def _render(value: Any) -> Render:
    if not isinstance(value, dict) or set(value) != {"prompt_id", "key"}:
        raise InvalidRequest('Each of `renders` is `{"prompt_id": …, "key": …}`.', field="renders")
    return Render(prompt_id_of(value["prompt_id"]), key_of(value["key"]))


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InvalidRequest("Each of `references` is a sha256: 64 characters of 0-9 and a-f.", field="references")
    return value
