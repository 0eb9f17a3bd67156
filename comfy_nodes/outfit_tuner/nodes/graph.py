"""What a node can tell from the graph around it, before what it is wired to has run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..by_file import ByFile
from ..lineage import Lineage, checkpoint_lineage
from ..models_here import adapters_here, checkpoint_here, encoders_here, hashes_here
from ..provenance import Node, model_file, node_behind
from ..safetensors_header import Header, ModelFileError, read_header
from .progress import reading

__all__ = [
    "Checkpoint",
    "adapter_behind",
    "checkpoint_behind",
    "checkpoint_file",
    "encoder_behind",
    "links",
    "missing",
    "sha256_of",
]

_headers: ByFile[Header] = ByFile(read_header, 2)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file descends from, and its sha256 where it is known."""

    lineage: Lineage
    sha256: str | None


def links(hidden: io.HiddenHolder) -> Mapping[str, Any]:
    """The node's inputs as the graph has them: links as `[node id, output]`, widgets as values."""
    return hidden.dynprompt.get_node(hidden.unique_id)["inputs"]


def missing(given: Mapping[str, Any], *names: str) -> list[str]:
    """Of the lazy inputs called `names`, those that are wired and have not run yet."""
    return [name for name in names if name in given and given[name] is None]


def checkpoint_file(hidden: io.HiddenHolder) -> Path | None:
    """The file that the input `model` comes from; None where the graph does not tell."""
    found = model_file(links(hidden).get("model"), _lookup(hidden))
    return None if found is None else checkpoint_here(found.folder, found.name)


def checkpoint_behind(hidden: io.HiddenHolder, *, hashed: bool) -> Checkpoint | None:
    """The checkpoint that the input `model` comes from; None where the graph does not tell.

    The first time reads its header, and where `hashed` the whole file.

    Raises:
        ModelFileError: the file cannot be read while it is hashed.
    """
    path = checkpoint_file(hidden)
    if path is None:
        return None
    sha256 = sha256_of(path) if hashed else hashes_here().known(path)
    try:
        return Checkpoint(checkpoint_lineage(_headers(path), sha256, path.name), sha256)
    except ModelFileError:  # another format: its hash is known, and what it descends from is not
        return Checkpoint(Lineage(), sha256)


def adapter_behind(hidden: io.HiddenHolder) -> Path | None:
    """The IP-Adapter file that is chosen where the input `models` comes from; None for `auto`."""
    return adapters_here().files.get(_chosen(hidden, "adapter"))


def encoder_behind(hidden: io.HiddenHolder) -> Path | None:
    """The image encoder file that is chosen where the input `models` comes from; None for `auto`."""
    return encoders_here().files.get(_chosen(hidden, "encoder"))


def sha256_of(path: Path) -> str:
    """The file's sha256; the first time takes as long as reading it, with progress on the node.

    Raises:
        ModelFileError: it cannot be read.
    """
    return hashes_here().sha256(path, reading())


def _chosen(hidden: io.HiddenHolder, widget: str) -> str:
    node = node_behind(links(hidden).get("models"), _lookup(hidden))
    value = None if node is None else node["inputs"].get(widget)
    return value if isinstance(value, str) else ""


def _lookup(hidden: io.HiddenHolder) -> Callable[[str], Node | None]:
    graph = hidden.dynprompt
    return lambda node_id: graph.get_node(node_id) if graph.has_node(node_id) else None
