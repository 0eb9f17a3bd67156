"""Which conditionings are positive and which negative, and which part of the latent each one shows.

A model call carries numbers: `cond_or_uncond` is the position of each chunk's conditioning in the guider's own order.
(1, 0) is the common batch and (0,) that of cfg 1, but DualCFG puts the negative first and PerpNeg two of them last.
So a sampling's guider is asked for its conditionings by name, once; each model call then knows its chunks by the
conditionings' uuids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .attention import NEGATIVE, POSITIVE
from .masks import Crop

__all__ = ["Conditionings", "chunk_crops", "chunk_sides", "chunk_tiles", "note_conditionings", "note_guider"]

_POSITIVE_UUIDS = "vestige_positive_uuids"  # in transformer_options, for one sampling
_CONDITIONINGS = "vestige_conditionings"  # in transformer_options, for one batch of conditionings


@dataclass(frozen=True)
class Conditionings:
    """One call's conditionings: the side of each position, and the crop of each uuid that has an area.

    `pictures` and `full`: how many pictures each chunk has, and their latents' height and width.
    """

    sides: tuple[int, ...]
    crops: Mapping[Any, Crop]
    pictures: int
    full: tuple[int, int]


def note_guider(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """ComfyUI's `OUTER_SAMPLE` wrapper: notes which conditionings the guider calls positive.

    Negative are those of a name with *negative* in it and those whose `prompt_type` says so, as PerpNeg's empty and
    DualCFG's middle one.
    """
    guider = executor.class_obj
    positive = {
        conditioning["uuid"]
        for name, conditionings in guider.conds.items()
        for conditioning in conditionings or ()
        if conditioning.get("prompt_type", name) != "negative" and "negative" not in name
    }
    guider.model_options["transformer_options"][_POSITIVE_UUIDS] = frozenset(positive)
    return executor(*args, **kwargs)


def note_conditionings(
    executor: Any, model: Any, conds: Sequence[Any], x_in: Any, timestep: Any, model_options: dict[str, Any]
) -> Any:
    """ComfyUI's `CALC_COND_BATCH` wrapper: notes sides and crops for the model calls it leads to.

    A position is known by its first conditioning: ComfyUI appends copies of the other side's, to match areas.
    """
    options = model_options.get("transformer_options", {})
    positive = options.get(_POSITIVE_UUIDS)
    if positive is not None:
        sides = tuple(POSITIVE if cond and cond[0]["uuid"] in positive else NEGATIVE for cond in conds)
    else:
        sides = tuple(NEGATIVE if position == 1 else POSITIVE for position in range(len(conds)))
    full = (int(x_in.shape[-2]), int(x_in.shape[-1]))
    crops = {
        conditioning["uuid"]: Crop(int(conditioning["area"][-2]), int(conditioning["area"][-1]), full)
        for cond in conds
        for conditioning in cond or ()
        if "area" in conditioning
    }
    noted = {**options, _CONDITIONINGS: Conditionings(sides, MappingProxyType(crops), int(x_in.shape[0]), full)}
    return executor(model, conds, x_in, timestep, {**model_options, "transformer_options": noted})


def chunk_sides(options: Mapping[str, Any]) -> tuple[int, ...]:
    """The side of each chunk of a model call.

    Without what the wrappers noted, by position alone: 1 is the negative, all others are positive, as IPAdapter_plus
    takes them.
    """
    positions = options["cond_or_uncond"]
    noted: Conditionings | None = options.get(_CONDITIONINGS)
    if noted is None:
        return tuple(NEGATIVE if position == 1 else POSITIVE for position in positions)
    return tuple(noted.sides[position] for position in positions)


def chunk_crops(options: Mapping[str, Any]) -> tuple[Crop | None, ...]:
    """The crop of each chunk of a model call, None where it shows the whole latent."""
    noted: Conditionings | None = options.get(_CONDITIONINGS)
    if noted is None or not noted.crops:
        return (None,) * len(options["cond_or_uncond"])
    return tuple(noted.crops.get(uuid) for uuid in options["uuids"])


def chunk_tiles(options: Mapping[str, Any], latent: Sequence[int]) -> tuple[int, bool]:
    """How often the whole batch is repeated in a model call on a latent of this shape, and whether it is tiles.

    Tiling packs cut every chunk's pictures into tiles and run several tiles as one batch, tile by tile, without a word
    in the options: (4, True) is four of them. (1, False) is the usual call; 0 is a batch that is no multiple.
    """
    noted: Conditionings | None = options.get(_CONDITIONINGS)
    if noted is None:
        return 1, False
    usual = noted.pictures * len(options["cond_or_uncond"])
    times, rest = divmod(latent[0], usual)
    smaller = tuple(latent[-2:]) != noted.full and not any(chunk_crops(options))
    return 0 if rest else times, times > 1 or smaller
