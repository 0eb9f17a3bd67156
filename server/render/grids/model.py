"""What a grid is: rows of prompts, columns of seeds, and each version beside the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict

from server.errors import InvalidRequest

__all__ = [
    "MOST_PICTURES",
    "SEEDS",
    "STANDARD",
    "Cell",
    "Grid",
    "GridPrompt",
    "GridState",
    "check_size",
    "own_prompts",
]

MOST_PICTURES = 96
LABEL = 12
"""Characters of a row's label."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GridPrompt(_Frozen):
    """A row: what it is called on the sheet, and scene and composition as a look has them."""

    label: str
    text: str


class Cell(_Frozen):
    """A picture of the grid, by the key of its preview. `row` and `seed` count from 0."""

    version: int
    row: int
    seed: int
    key: str


STANDARD = (
    GridPrompt(label="front", text="close-up portrait photo, looking at the camera, plain background, soft light"),
    GridPrompt(label="profile", text="portrait photo in profile, side view, plain background, soft light"),
    GridPrompt(label="laughing", text="upper body photo, laughing, three-quarter view, in a café, window light"),
    GridPrompt(label="full body", text="full body photo, walking down a street, daylight, from some distance"),
    GridPrompt(label="night", text="upper body photo at night, neon light, strong colours, looking over the shoulder"),
    GridPrompt(
        label="crowded",
        text="photo, sitting in a busy market, lanterns, spices, patterned fabrics, many people, steam, rain, "
        "reflections, warm evening light, intricate detail, wide angle",
    ),
)
"""What shows whether a face holds: near, from the side, moved, small, in odd light, and against a full prompt."""
SEEDS = (1, 2, 3)


class Grid(_Frozen):
    """A grid that was asked for. `against`: the version beside it. `character`: whose look it is rendered in."""

    id: str
    lora: str
    version: int
    against: int | None
    character: str
    prompts: tuple[GridPrompt, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    created: str
    by: str

    @classmethod
    def of(cls, cells: Sequence[Cell], **fields: object) -> Self:
        """Its id follows from its pictures: the same grid again is the same one."""
        name = hashlib.sha256("".join(cell.key for cell in cells).encode()).hexdigest()
        return cls.model_validate({"id": f"grid-{name[:20]}", "cells": tuple(cells), **fields})

    @property
    def versions(self) -> tuple[int, ...]:
        return (self.version,) if self.against is None else (self.version, self.against)


@dataclass(frozen=True, slots=True)
class GridState:
    """How far a grid is. `problems`: why pictures are missing that nothing makes any more, each sentence once."""

    grid: Grid
    ready: int
    running: int
    problems: tuple[str, ...]

    @property
    def total(self) -> int:
        return len(self.grid.cells)

    @property
    def finished(self) -> bool:
        """Nothing more comes by itself."""
        return self.running == 0


def own_prompts(texts: Sequence[str]) -> tuple[GridPrompt, ...]:
    """Prompts of an operator's own, labelled by their first words."""
    return tuple(GridPrompt(label=_label(text), text=text) for text in texts)


def check_size(prompts: Sequence[GridPrompt], seeds: Sequence[int], versions: Sequence[int]) -> None:
    """Raises `InvalidRequest` where that is nothing, or too much."""
    count = len(prompts) * len(seeds) * len(versions)
    if not 0 < count <= MOST_PICTURES:
        raise InvalidRequest(f"That is {count} pictures; from 1 to {MOST_PICTURES} make a grid.")
    if len(set(seeds)) < len(seeds):
        raise InvalidRequest("A seed is named twice.", field="seeds")


def _label(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LABEL else f"{words[: LABEL - 1]}…"
