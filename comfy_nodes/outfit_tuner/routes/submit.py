"""`/vestige/submit` and `/vestige/results`: a graph runs once, and its result is found by its key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from aiohttp import web

from ..submissions import (
    GraphRefused,
    NoSuchResult,
    Record,
    Submission,
    SubmissionError,
    Submissions,
    Unwritable,
)
from .body import integer, read_json
from .errors import Conflict, InvalidRequest, NotFound, Unavailable, Unprocessable
from .route import Handler, Route

__all__ = ["SubmitRoutes", "key_of", "prompt_id_of"]

_MAX_BODY = 8 * 2**20
_MAX_NODES = 5000
_MAX_WAIT = 60  # seconds
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", re.ASCII)
_FIELDS = frozenset({"key", "prompt_id", "prompt", "extra_data", "client_id", "front"})


def _answering(handler: Callable[..., Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
    """The errors of submissions as the routes' own."""

    @wraps(handler)
    async def answer(self: SubmitRoutes, request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except GraphRefused as error:
            raise Unprocessable(str(error), code=error.code, **error.details) from None
        except NoSuchResult as error:
            raise NotFound(str(error), code=error.code) from None
        except Unwritable as error:
            raise Unavailable(str(error), code=error.code) from None
        except SubmissionError as error:
            raise Conflict(str(error), code=error.code) from None

    return answer


class SubmitRoutes:
    """Submit, ask for a result, forget one. `submissions` is asked for at each request."""

    def __init__(self, submissions: Callable[[], Submissions]) -> None:
        self._submissions = submissions

    def routes(self) -> list[Route]:
        one = "/vestige/results/{key}"
        handlers: list[tuple[str, str, Handler]] = [
            ("POST", "/vestige/submit", self.submit),
            ("GET", one, self.result),
            ("DELETE", one, self.delete),
        ]
        return [Route(method, path, handler) for method, path, handler in handlers]

    @_answering
    async def submit(self, request: web.Request) -> web.Response:
        submission = _submission(await read_json(request, _MAX_BODY))
        record, new = await self._submissions().submit(submission, request)
        return self._shown(record, 202 if new else 200)

    @_answering
    async def result(self, request: web.Request) -> web.Response:
        wait = integer(request, "wait", 0, 0, _MAX_WAIT)
        return self._shown(await self._submissions().result(key_of(request.match_info["key"]), wait), 200)

    @_answering
    async def delete(self, request: web.Request) -> web.Response:
        await self._submissions().delete(key_of(request.match_info["key"]))
        return web.Response(status=204)

    def _shown(self, record: Record, status: int) -> web.Response:
        state = "running" if self._submissions().runs(record) else record.state
        shown = {
            "key": record.key,
            "prompt_id": record.prompt_id,
            "state": state,
            "queued_at": record.queued_at,
            "finished_at": record.finished_at,
            "outputs": record.outputs,
            "error": record.error,
        }
        return web.json_response(shown, status=status)


def _submission(body: Mapping[str, Any]) -> Submission:
    """Raises `InvalidRequest`."""
    for name in body:
        if name not in _FIELDS:
            raise InvalidRequest(f"`{name[:100]}` is not known here: {', '.join(sorted(_FIELDS))} are.")
    options = {name: body[name] for name in ("extra_data", "client_id", "front") if name in body}
    kinds = {"extra_data": dict, "client_id": str, "front": bool}
    for name, value in options.items():
        if not isinstance(value, kinds[name]):
            raise InvalidRequest(f"`{name}` must be a {kinds[name].__name__}.", field=name)
    return Submission(key_of(body.get("key")), prompt_id_of(body.get("prompt_id")), _graph(body.get("prompt")), options)


def key_of(value: Any) -> str:
    """A key as a client sends it. Raises `InvalidRequest`."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise InvalidRequest("`key` must be 1 to 200 letters, digits, or any of . _ : -", field="key")
    return value


def prompt_id_of(value: Any) -> str:
    """A prompt id as a client sends it. Raises `InvalidRequest`."""
    try:
        if isinstance(value, str) and str(uuid.UUID(value)) == value:
            return value
    except ValueError:
        pass
    raise InvalidRequest("`prompt_id` must be a UUID in lower case, with dashes.", field="prompt_id")


def _graph(value: Any) -> dict[str, Any]:
    nodes = value.values() if isinstance(value, dict) else ()
    if not 0 < len(nodes) <= _MAX_NODES or not all(
        isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)
        for node in nodes
    ):
        raise InvalidRequest(
            "`prompt` must be a graph in ComfyUI's API format: node ids, each with `class_type` and `inputs`.",
            field="prompt",
        )
    return value
