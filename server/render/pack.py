"""The routes of our node pack on a host, `docs/pack-routes.md`. All of them ask for the pack's token."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from server.errors import GraphRejected, HostUnavailable, RenderError
from server.render.rejection import rejection
from server.render.transport import SECONDS, Transport
from server.render.types import Graph

__all__ = ["PREVIEWS", "Filed", "PackRoutes"]

PREVIEWS: Mapping[str, Any] = {"preview_method": "auto"}
"""ComfyUI's `extra_data` of a prompt that is to show live previews (v0.8 and later)."""

State = Literal["queued", "running", "done", "error"]


@dataclass(frozen=True, slots=True)
class Filed:
    """What the host filed under a key. `prompt_id` is the run that counts, which may be another's than ours."""

    key: str
    prompt_id: str
    state: State
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None

    @property
    def lost(self) -> bool:
        """The host was stopped before it ended: it may be submitted again."""
        return self.state == "error" and (self.error or {}).get("code") == "lost"


class PackRoutes:
    """Asks them over a host's transport."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    async def listing(self, *, seconds: float = SECONDS) -> Mapping[str, Any] | None:
        """What the pack says of itself; None where it is not there.

        Raises:
            HostUnavailable: no answer.
            RenderError: the pack is there and refuses us; `details.host_code` says why.
        """
        answer = await self._to.call("GET", "vestige", seconds=seconds, good=(200, 404, 405))
        found = self._to.decoded(answer.body) if answer.status == 200 else None
        return found if isinstance(found, dict) and found.get("pack") == "vestige" else None

    async def models(self) -> Mapping[str, Any]:
        """Its model files with their hashes (`GET /vestige/models`).

        Raises:
            RenderError: it refuses, or has no such route.
        """
        return await self._mapping("vestige/models")

    async def preset(self, spec: str) -> Mapping[str, Any]:
        """A tuning preset by `name@version`."""
        name, _, version = spec.partition("@")
        return await self._mapping(f"vestige/presets/{quote(name, '')}/{quote(version or 'latest', '')}")

    async def presets(self) -> Sequence[object]:
        """Every version of every tuning preset there. Raises `RenderError`: it refuses, or has no such route."""
        found = (await self._mapping("vestige/presets")).get("presets")
        return found if isinstance(found, list) else []

    async def submit(
        self, key: str, graph: Graph, prompt_id: str, client_id: str, *, front: bool = False, previews: bool = False
    ) -> Filed:
        """Runs a graph once for its key, however often and by whomever it is asked. `front`, `previews`: as ComfyUI's.

        Raises:
            GraphRejected: the host cannot run it, or has another graph under this key.
            HostUnavailable: no answer; asking again is safe.
        """
        body = {"key": key, "prompt_id": prompt_id, "prompt": graph, "client_id": client_id, "front": front}
        body |= {"extra_data": PREVIEWS} if previews else {}
        answer = await self._to.call("POST", "vestige/submit", json=body, good=(200, 202, 409, 422, 503))
        if answer.status in (200, 202):
            return self._filed(answer.body)
        said = self._said(answer.body)
        if answer.code == "graph_refused":
            nodes = (said.get("details") or {}).get("node_errors") or {}
            whole = {"error": {"message": said.get("message")}, "node_errors": nodes}
            raise rejection(str(self._to), json.dumps(whole).encode())
        message = f"{self._to}: {said.get('message') or 'its pack refuses the render'}"
        if answer.status == 409:
            raise GraphRejected(message, host_code=answer.code)
        raise HostUnavailable(message, host_code=answer.code)

    async def filed(self, key: str, *, wait: int = 0) -> Filed | None:
        """What is known of a key; None where nothing was submitted. `wait`: seconds to hold the answer back for."""
        path, seconds = f"vestige/results/{quote(key, '')}", SECONDS + wait
        answer = await self._to.call("GET", path, params={"wait": str(wait)}, seconds=seconds, good=(200, 404))
        return None if answer.status == 404 else self._filed(answer.body)

    async def drop(self, key: str) -> bool:
        """Drops the result of a key that has ended; whether there is nothing any more."""
        answer = await self._to.call("DELETE", f"vestige/results/{quote(key, '')}", good=(204, 404, 409))
        return answer.status != 409

    async def forget(
        self, renders: Sequence[tuple[str, str]], references: Sequence[str], *, memory: bool = False
    ) -> Mapping[str, tuple[str, str]] | None:
        """Has the host forget renders, by prompt id and key, references by sha256, and what its memory holds.

        Returns code and sentence of each that is still there; None where no pack that can do this takes our token.

        Raises:
            HostUnavailable: no answer.
            RenderError: the pack has an error of its own.
        """
        body = {
            "renders": [{"prompt_id": prompt_id, "key": key} for prompt_id, key in renders],
            "references": list(references),
            "memory": memory,
        }
        answer = await self._to.call("POST", "vestige/forget", json=body, good=(200, 401, 403, 404, 405, 503))
        if answer.status != 200:  # no pack, an older one, or one that does not let us in
            return None
        found = self._to.decoded(answer.body)
        try:
            return {str(one["name"]): (str(one["code"]), str(one["message"])) for one in found["kept"]}
        except (KeyError, TypeError):
            raise RenderError(f"{self._to} answers /vestige/forget in another form: update its pack.") from None

    async def _mapping(self, path: str) -> Mapping[str, Any]:
        found = await self._to.json("GET", path)
        if not isinstance(found, dict):
            raise self._to.strange()
        return found

    def _filed(self, body: bytes) -> Filed:
        found = self._to.decoded(body)
        try:
            outputs, error = found["outputs"], found["error"]
            return Filed(
                str(found["key"]),
                str(found["prompt_id"]),
                found["state"],
                outputs if isinstance(outputs, dict) else {},
                error if isinstance(error, dict) else None,
            )
        except (KeyError, TypeError):
            raise RenderError(f"{self._to} answers /vestige/submit in another form: update its pack.") from None

    def _said(self, body: bytes) -> Mapping[str, Any]:
        found = self._to.decoded(body)
        error = found.get("error") if isinstance(found, dict) else None
        return error if isinstance(error, dict) else {}
