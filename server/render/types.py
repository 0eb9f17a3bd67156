"""What a render is made of, and what it says while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Graph = Mapping[str, Mapping[str, Any]]
"""A graph in ComfyUI's API format: node id → `{"class_type", "inputs"}`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a render is: nodes done of all that will run, and the steps of the one that runs.

    `waiting` is how many renders stand before it in the host's queue; None once it runs.
    """

    share: float
    node: str | None = None
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A live preview of a render that runs: a small picture as the host sends it, not decoded and not to be trusted."""

    format: Literal["jpeg", "png"]
    data: bytes


@dataclass(frozen=True, slots=True)
class PictureRef:
    """Where a host keeps a picture it made. `node` is the id of the node that saved it."""

    node: str
    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A render that ended well. `seconds`: what it took there, from its start; None where the host does not say."""

    prompt_id: str
    pictures: tuple[PictureRef, ...]
    outputs: Mapping[str, Mapping[str, Any]]
    seconds: float | None = None
