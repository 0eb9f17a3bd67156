"""What a host's messages say about one render."""

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from server.render.types import Frame, Graph, Progress

__all__ = ["Watch"]

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_FORMATS: Mapping[int, Literal["jpeg", "png"]] = {1: "jpeg", 2: "png"}
_TYPES: Mapping[str, Literal["jpeg", "png"]] = {"image/jpeg": "jpeg", "image/png": "png"}
_MAX_METADATA = 1 << 20
_SAMPLER = 12


class Watch:
    """Follows the messages about `prompt_id` and keeps how far it is.

    ComfyUI runs only the nodes that are not cached, and says in `execution_cached` which those are; a node that
    reports steps counts by its share, and a sampler for more than the others, which take a moment.
    """

    def __init__(self, prompt_id: str, graph: Graph) -> None:
        self._prompt_id = prompt_id
        self._left = set(graph)
        self._classes = {node: str(value.get("class_type", "")) for node, value in graph.items()}
        self._weights = {node: _SAMPLER if "Sampler" in kind else 1 for node, kind in self._classes.items()}
        self._total = sum(self._weights.values())
        self._running: str | None = None
        self._steps = 0.0
        self.ended = False
        """The host is done with it, one way or another, and its history says how."""

    def text(self, message: str) -> Progress | None:
        """Takes a text frame; what changed, if it did."""
        try:
            event = json.loads(message)
        except ValueError:
            return None
        data = event.get("data") if isinstance(event, dict) else None
        if not isinstance(data, Mapping) or data.get("prompt_id") != self._prompt_id:
            return None
        return self._take(str(event.get("type")), data)

    def binary(self, message: bytes) -> Frame | None:
        """Takes a binary frame; the live preview in it, if it is one of this render's.

        Two forms, all numbers big-endian u32: `1 | format | picture`, which ComfyUI sends to whoever asked for the
        render that runs, and `4 | length of the JSON | JSON | picture`, which says whose it is.
        """
        if len(message) <= 8:
            return None
        kind, number = struct.unpack_from(">II", message)
        if kind == _PREVIEW and number in _FORMATS:
            return Frame(_FORMATS[number], message[8:])
        if kind != _PREVIEW_WITH_METADATA or number > min(_MAX_METADATA, len(message) - 8):
            return None
        try:
            metadata = json.loads(message[8 : 8 + number])
        except ValueError:
            return None
        if not isinstance(metadata, Mapping) or metadata.get("prompt_id") != self._prompt_id:
            return None
        form, picture = _TYPES.get(str(metadata.get("image_type"))), message[8 + number :]
        return Frame(form, picture) if form is not None and picture else None

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        left = sum(self._weights[node] for node in self._left)
        done = self._total - left + self._steps * self._weights.get(self._running or "", 0)
        name = self._classes.get(self._running) if self._running else None
        return Progress(min(1.0, done / self._total) if self._total else 1.0, name)

    def _take(self, kind: str, data: Mapping[str, Any]) -> Progress | None:
        match kind:
            case "execution_start":
                pass
            case "execution_cached":
                self._finish(data.get("nodes") or ())
            case "executing" if data.get("node") is None:
                self._done()
                self.ended = True
            case "executing":
                self._start(str(data.get("display_node") or data["node"]))
            case "progress":
                self._step(data)
            case "executed":
                self._finish([data.get("display_node") or data.get("node")])
            case "execution_success":
                self._done()
            case "execution_error" | "execution_interrupted":
                self.ended = True
            case _:
                return None
        return self.progress

    def _start(self, node: str) -> None:
        if self._running not in (None, node):
            self._finish([self._running])
        self._running = node

    def _step(self, data: Mapping[str, Any]) -> None:
        value, most = data.get("value"), data.get("max")
        if isinstance(value, int | float) and isinstance(most, int | float) and most > 0:
            self._steps = min(1.0, max(0.0, value / most)) if self._running in self._left else 0.0

    def _finish(self, nodes: Iterable[object]) -> None:
        self._left.difference_update(str(node) for node in nodes)
        self._steps = 0.0

    def _done(self) -> None:
        self._left.clear()
        self._steps, self._running = 0.0, None
