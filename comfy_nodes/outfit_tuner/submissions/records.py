"""What is asked for, and what is written down about it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, cast

__all__ = ["Record", "State", "Submission", "digest", "plain"]

State = Literal["queued", "done", "error"]
FORMAT = 1
_MAX_TEXT = 4000  # characters of an error
_MAX_OUTPUTS = 2**20  # bytes of outputs as JSON; past that the pictures' names alone are kept


@dataclass(frozen=True)
class Submission:
    """A graph to run in the API's format, under a prompt id the client chose, its result to be filed under `key`.

    `options` goes to ComfyUI as it is: `extra_data`, `client_id`, `front`.
    """

    key: str
    prompt_id: str
    graph: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is known of a key. `process` names the ComfyUI that runs it; times are UTC with their offset.

    `outputs` is what ComfyUI's history has, by node id. `error` has `code` and `message`, and where a node raised
    `node_id`, `node_type` and `exception_type`.
    """

    key: str
    prompt_id: str
    digest: str
    process: str
    state: State = "queued"
    queued_at: str = ""
    finished_at: str | None = None
    outputs: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        return self.state != "queued"

    @property
    def lost(self) -> bool:
        """Whether its ComfyUI stopped before it was done."""
        return self.error is not None and self.error["code"] == "lost"

    def done(self, outputs: dict[str, Any]) -> Record:
        return replace(self, state="done", finished_at=now(), outputs=_bounded(outputs))

    def failed(self, code: str, message: str, **details: Any) -> Record:
        error = {"code": code, "message": message[:_MAX_TEXT], **cast("dict[str, Any]", plain(details))}
        return replace(self, state="error", finished_at=now(), error=error)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """Raises `ValueError` for what is none, or of a newer format."""
        document = json.loads(data)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise ValueError("not a result of a known format")
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError("not a result") from error


def digest(graph: dict[str, Any]) -> str:
    """A graph by its content: the sha256 of its canonical JSON."""
    return hashlib.sha256(json.dumps(graph, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def plain(value: Any) -> Any:
    """The value as JSON can hold it; nodes may show anything."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)[:_MAX_TEXT]


def _bounded(outputs: dict[str, Any]) -> dict[str, Any]:
    held = cast("dict[str, Any]", plain(outputs))
    if len(json.dumps(held)) <= _MAX_OUTPUTS:
        return held
    return {
        node: {"images": shown["images"]}
        for node, shown in held.items()
        if isinstance(shown, dict) and shown.get("images")
    }
