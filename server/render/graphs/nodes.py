"""A graph as typed objects, before a host is chosen: files by what they are, links, and a person's words kept apart."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["FOLDERS", "File", "Folder", "Graph", "Input", "Link", "Node", "Text"]

Folder = Literal["checkpoints", "loras", "characters", "ipadapter", "clip_vision", "references"]
"""Where a host keeps a file: ComfyUI's own names. `characters` are LoRAs by `name@version`, `references` pictures by
their sha256."""

FOLDERS: Mapping[Folder, str] = {
    "checkpoints": "checkpoint",
    "loras": "LoRA",
    "characters": "character",
    "ipadapter": "IP-Adapter",
    "clip_vision": "image encoder",
    "references": "reference",
}
"""What a person calls a file of each folder."""


@dataclass(frozen=True, slots=True)
class File:
    """A file by its name in the catalog, not yet as one host lists it. `sha256` of its bytes where that is known."""

    folder: Folder
    name: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A person's words: only ever the value of a text input."""

    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """What comes out of `node` at its n-th output."""

    node: str
    output: int


Input = str | int | float | bool | File | Text | Link


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its class and what goes into it. `title` is for people who open the graph in the editor."""

    kind: str
    inputs: Mapping[str, Input]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by id. `output` is the id of the node that saves the picture."""

    nodes: Mapping[str, Node]
    output: str = "picture"

    def files(self) -> Iterator[File]:
        """Every file that it names, in the order of its nodes."""
        for node in self.nodes.values():
            for value in node.inputs.values():
                if isinstance(value, File):
                    yield value

    def classes(self) -> frozenset[str]:
        """The node classes it needs."""
        return frozenset(node.kind for node in self.nodes.values())
