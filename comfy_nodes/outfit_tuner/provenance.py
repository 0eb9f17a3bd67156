"""Which checkpoint file a MODEL came from, read off the graph that is run.

A link carries no file name. So the way back is walked: through everything that takes a `model` and hands a model on
(LoRAs, FreeU, patches) to the loader that names a file. Where two models meet, or nothing names a file, the origin is
unknown; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ModelFile", "model_file", "node_behind"]

Node = Mapping[str, Any]
"""`{"class_type": …, "inputs": {…}}`, as in the API's format; a link is `[node id, output]`."""

_LONGEST_WAY = 200
_FILES = {"ckpt_name": "checkpoints", "unet_name": "diffusion_models"}


@dataclass(frozen=True)
class ModelFile:
    """`name` as ComfyUI lists it in `folder`."""

    folder: str
    name: str


def model_file(link: object, node: Callable[[str], Node | None]) -> ModelFile | None:
    """The file behind a MODEL link, or None where it cannot be told. `node` gives a node of the graph by its id."""
    for _ in range(_LONGEST_WAY):
        at = node_behind(link, node)
        if at is None:
            return None
        inputs = at.get("inputs", {})
        if "model" in inputs:
            if any(_another_model(key, value) for key, value in inputs.items()):
                return None
            link = inputs["model"]
            continue
        named = [ModelFile(_FILES[key], value) for key, value in inputs.items() if key in _FILES]
        return named[0] if len(named) == 1 and isinstance(named[0].name, str) else None
    return None


def _another_model(key: str, value: object) -> bool:
    """Whether an input brings a second model; `models` is our own adapter and encoder."""
    return key.startswith("model") and key not in ("model", "models") and isinstance(value, (list, tuple))


def node_behind(link: object, node: Callable[[str], Node | None]) -> Node | None:
    """The node that a link comes from; None for a value that is no link."""
    if isinstance(link, (list, tuple)) and len(link) == 2 and isinstance(link[0], str):
        return node(link[0])
    return None
