"""The door of a host through which LoRAs go: `/vestige/lora-files` of the node pack there (`docs/pack-routes.md`)."""

import asyncio
import json
import re
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from server.errors import HostUnavailable, RenderError
from server.loras.records import LoraVersion

__all__ = ["Door", "Refused", "State"]

_SECONDS = 30.0
_LOOK_SECONDS = 120.0
"""A version that people put there is hashed when it is asked for the first time."""
_VERIFY_SECONDS = 900.0
"""A host reads a file of up to 4 GB from its disk before it says that it is whole."""
_SLOWEST = 1 << 20
"""Bytes per second under which a piece is given up; what came of it is kept there."""
_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class State:
    """How much of a version is on a host: all of it, or the first `received` bytes."""

    whole: bool
    received: int


class Refused(RenderError):
    """The pack there said no. `details.host_code` is its code; `details.received` where a piece has to begin."""


class Door:
    """A host by its name in the settings, over a session it does not own. Versions are named as hosts name them.

    Every method raises `HostUnavailable` where it cannot be reached, `Refused` where its pack says no, and
    `RenderError` where there is no such pack.
    """

    def __init__(self, session: aiohttp.ClientSession, name: str, url: str, token: str | None) -> None:
        self._session = session
        self._name = name
        self._url = URL(url)
        self._token = token

    def __str__(self) -> str:
        return self._name

    async def look(self, version: LoraVersion) -> State:
        query = {"sha256": version.sha256}
        return _state(await self._call("GET", _path(version), seconds=_LOOK_SECONDS, params=query))

    async def send(self, version: LoraVersion, pieces: AsyncIterable[bytes], start: int, end: int, total: int) -> State:
        """Sends the bytes from `start` up to `end` (not included) of `total`."""
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}", "Content-Length": str(end - start)}
        seconds = (_VERIFY_SECONDS if end == total else _SECONDS) + (end - start) / _SLOWEST
        return await self._put(version, headers, seconds, data=pieces)

    async def finish(self, version: LoraVersion, total: int) -> State:
        """Has a file verified all of which is there."""
        return await self._put(version, {"Content-Range": f"bytes */{total}"}, _VERIFY_SECONDS)

    async def drop(self, version: LoraVersion) -> State:
        """Has what came of a file forgotten."""
        return _state(await self._call("DELETE", _path(version), params={"sha256": version.sha256}))

    async def pin(self, version: LoraVersion, pinned: bool) -> None:
        """Keeps a version there, or lets it make room; one that people put there stays anyway."""
        try:
            await self._call("PUT" if pinned else "DELETE", f"{_path(version)}/pin")
        except Refused as error:
            if error.details.get("host_code") != "not_here":
                raise

    async def pinned(self, name: str) -> frozenset[int]:
        """The versions of a character that are pinned there."""
        found = await self._call("GET", "vestige/lora-files")
        file = re.compile(re.escape(name) + r"_v(\d+)\.safetensors")
        names = [each["file"] for each in found.get("files", ()) if each.get("pinned")]
        return frozenset(int(match[1]) for match in map(file.fullmatch, names) if match)

    async def make_live(self, version: LoraVersion) -> None:
        """Has the editor there wear this version where it is asked for the live one."""
        await self._call("PUT", f"vestige/loras/{version.name}/live", json={"version": version.version})

    async def hashed_again(self, version: LoraVersion) -> str | None:
        """The sha256 of the version as it lies on the host's disk now; None where it is not there."""
        found = await self._call("POST", f"{_path(version)}/verify", seconds=_VERIFY_SECONDS)
        return found.get("sha256")

    async def _put(self, version: LoraVersion, headers: dict[str, str], seconds: float, **body: Any) -> State:
        query = {"sha256": version.sha256}
        return _state(await self._call("PUT", _path(version), seconds=seconds, headers=headers, params=query, **body))

    async def _call(
        self, method: str, path: str, *, seconds: float = _SECONDS, headers: dict[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method, self._url / path, headers=sent, allow_redirects=False, **more
                ) as response,
            ):
                body = await _all_of(response)
        except TimeoutError:
            raise HostUnavailable(f"{self} did not answer within {seconds:.0f} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise HostUnavailable(f"{self} cannot be reached: is it running?") from error
        return self._answer(response.status, body)

    def _answer(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        match answer:
            case {"error": {"code": str(code), "message": str(message), "details": dict(details)}}:
                raise Refused(f"{self}: {message}", host_code=code, **details)
            case dict() if status in (200, 201):
                return answer
        if status >= 500:
            raise HostUnavailable(f"{self} answers with status {status}: look at its log.")
        raise RenderError(f"{self} takes no LoRAs (status {status}): install or update our node pack there.")


async def _all_of(response: aiohttp.ClientResponse) -> bytes:
    """The body, which may come in many parts; what is beyond the bound is left out, and it is no JSON then."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _ANSWER_BYTES:
            break
    return bytes(body[:_ANSWER_BYTES])


def _path(version: LoraVersion) -> str:
    return f"vestige/lora-files/{version.name}/{version.version}"


def _state(answer: dict[str, Any]) -> State:
    whole, received = answer.get("whole"), answer.get("received")
    if not isinstance(whole, bool) or not isinstance(received, int):
        raise RenderError("A host's pack is of another time: bring it up to date there.")
    return State(whole, received)
