"""HTTP to one ComfyUI: every call has a time limit, a bounded answer, a typed error and a place in the metrics."""

import asyncio
import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from server.errors import GraphRejected, HostUnavailable, RenderError
from server.render.rejection import rejection

__all__ = ["MAX_JSON", "MAX_PICTURE", "SECONDS", "Answer", "Meter", "Transport"]

SECONDS = 30.0
MAX_JSON = 64 << 20  # a host with many packs describes itself in tens of megabytes
MAX_PICTURE = 64 << 20

Meter = Callable[[str, str, float], None]
"""Told of each call: what it was (`prompt`, `view`, …), how it ended (a status or `unreachable`), and its seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is what our pack calls its refusal."""

    status: int
    body: bytes
    code: str | None = None


class Transport:
    """Calls to the ComfyUI at `url`, over a session it does not own. `token` opens our node pack's routes there."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        *,
        token: str | None = None,
        name: str | None = None,
        meter: Meter = lambda _what, _ending, _seconds: None,
    ) -> None:
        self.session = session
        self.url = url
        self.token = token
        self._name = name
        self._meter = meter

    def __str__(self) -> str:
        return self._name or f"The ComfyUI at {self.url.host}:{self.url.port}"

    async def json(self, method: str, path: str, **arguments: Any) -> Any:
        """Raises as `call`, and `GraphRejected` where the answer is no JSON."""
        return self.decoded((await self.call(method, path, **arguments)).body)

    def decoded(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            raise self.strange() from None

    async def call(
        self,
        method: str,
        path: str,
        *,
        limit: int = MAX_JSON,
        seconds: float = SECONDS,
        good: Collection[int] = (200,),
        **arguments: Any,
    ) -> Answer:
        """What the host answers.

        Raises:
            HostUnavailable: it cannot be reached, is too slow, or has an error of its own.
            GraphRejected: it refuses a graph.
            RenderError: any other status than the `good` ones, or an answer past `limit` bytes.
        """
        began, what, ending = time.monotonic(), _template(path), "unreachable"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else None
        try:
            async with (
                asyncio.timeout(seconds),
                self.session.request(
                    method, self.url / path, allow_redirects=False, headers=headers, **arguments
                ) as response,
            ):
                body = await self._read(response, limit)
                ending = str(response.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self.unavailable(error, seconds) from None
        finally:
            self._meter(what, ending, time.monotonic() - began)
        answer = Answer(response.status, body, _code(body) if path.startswith("vestige") else None)
        if answer.status not in good:
            self._refuse(method, path, answer)
        return answer

    def _refuse(self, method: str, path: str, answer: Answer) -> None:
        if answer.status == 400 and path == "prompt":
            raise rejection(str(self), answer.body)
        if answer.status >= 500 and answer.code is None:
            raise HostUnavailable(f"{self} answers with status {answer.status}: look at its log.")
        if answer.code is not None:
            raise RenderError(_sentence(answer.body), path=path, host_code=answer.code)
        raise RenderError(f"{self} refuses {method} /{path} with status {answer.status}.", path=path)

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise RenderError(f"{self} sends more than {limit >> 20} MB for one answer: it was not taken.")
        return b"".join(parts)

    def unavailable(self, error: BaseException, seconds: float = SECONDS) -> HostUnavailable:
        late = isinstance(error, TimeoutError)
        what = f"did not answer within {seconds:.0f} s" if late else "cannot be reached"
        return HostUnavailable(f"{self} {what}. Is it running, and is the address right?")

    def strange(self) -> GraphRejected:
        return GraphRejected(f"{self} does not answer as a ComfyUI does: is the address right?")


def _template(path: str) -> str:
    """A path without what differs from call to call."""
    first, *rest = path.split("/")
    return f"vestige/{rest[0]}" if first == "vestige" and rest else first


def _code(body: bytes) -> str | None:
    """What our pack calls its refusal; None where the body is not one of its."""
    try:
        error = json.loads(body)["error"]
        return str(error["code"]) if isinstance(error["message"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


def _sentence(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])
