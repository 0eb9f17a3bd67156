"""How strongly each layer of the UNet looks at the reference.

A layer is counted as ComfyUI counts spatial transformers: down blocks, the middle block, up blocks, from 0. SDXL has 11
(the middle one is 4), Stable Diffusion 1.5 has 16 (the middle one is 6). The names and numbers are those people tuned
with in IPAdapter_plus. Which layers carry style and which composition: Wang et al. 2024 (InstantStyle,
arXiv:2404.02733) for SDXL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["WEIGHT_TYPES", "Block", "LayerWeight", "ScheduleError", "layer_schedule", "parse_layer_weights"]

Block = Literal["input", "middle", "output"]

_WEAK = 0.2  # of the weight, where a type holds a part of the UNet back
_FLOOR = 0.05  # of the weight, where an ease is at its lowest

SDXL, SD15 = 11, 16  # spatial transformers
_COMPOSITION: dict[int, dict[int, float]] = {SDXL: {3: 1.0}, SD15: {4: 0.25, 5: 1.0}}
_STYLE: dict[int, tuple[int, ...]] = {SDXL: (6,), SD15: (0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15)}


class ScheduleError(ValueError):
    """A schedule that cannot be used on this model; the message says why and what would do."""


@dataclass(frozen=True)
class LayerWeight:
    """One layer's share. `opposed`: the reference is shown to the negative side instead, to push away from it."""

    weight: float
    opposed: bool = False


def _linear(layer: int, layers: int, block: Block) -> float:
    return 1.0


def _eased(shape: Callable[[float], float]) -> Callable[[int, int, Block], float]:
    """A factor from the floor to 1 along the depth of the UNet; `shape` takes the depth, 0 to 1."""
    return lambda layer, layers, block: _FLOOR + (1 - _FLOOR) * shape(layer / layers)


def _weak(*held_back: Block) -> Callable[[int, int, Block], float]:
    return lambda layer, layers, block: _WEAK if block in held_back else 1.0


_FACTORS: Mapping[str, Callable[[int, int, Block], float]] = {
    "linear": _linear,
    "ease in": _eased(lambda depth: 1 - depth),
    "ease out": _eased(lambda depth: depth),
    "ease in-out": _eased(lambda depth: 1 - abs(2 * depth - 1)),
    "reverse in-out": _eased(lambda depth: abs(2 * depth - 1)),
    "weak input": _weak("input"),
    "weak middle": _weak("middle"),
    "weak output": _weak("output"),
    "strong input": _weak("middle", "output"),
    "strong middle": _weak("input", "output"),
    "strong output": _weak("input", "middle"),
}
_PRECISE = ("style transfer precise", "composition precise")
_SELECTIVE = (
    "style transfer",
    "composition",
    "strong style transfer",
    "style and composition",
    "strong style and composition",
    *_PRECISE,
)
WEIGHT_TYPES: tuple[str, ...] = (*_FACTORS, *_SELECTIVE)


def layer_schedule(
    weight_type: str, weight: float, layer_weights: str, blocks: Sequence[Block], *, composition_weight: float
) -> tuple[LayerWeight | None, ...]:
    """The weight of every layer, None where the reference is not seen.

    `blocks`: the block each spatial transformer of the UNet lies in. `layer_weights`, where it is not empty, takes the
    place of every weight type but the precise ones, of which the opposed layers stay. `composition_weight` is what
    `style and composition` gives the composition layers.

    Raises:
        ScheduleError: no such type, a string that cannot be read, or a type that this UNet has no layers for.
    """
    if weight_type not in WEIGHT_TYPES:
        raise ScheduleError(f"weight_type is {weight_type!r}: it must be one of {', '.join(WEIGHT_TYPES)}.")
    layers = len(blocks)
    shares = _by_layer(weight_type, layer_weights, blocks, weight, composition_weight)
    schedule = [LayerWeight(shares[layer]) if shares.get(layer) else None for layer in range(layers)]
    if weight_type in _PRECISE:
        composition = _known(weight_type, layers)
        for layer, share in enumerate(schedule):
            if share is not None and (layer in composition) == (weight_type == "style transfer precise"):
                schedule[layer] = replace(share, opposed=True)
    return tuple(schedule)


def parse_layer_weights(text: str) -> dict[int, float]:
    """Factors by layer from a string such as `3:0.5, 6:1.0`; layers that are not named do not see the reference.

    Raises:
        ScheduleError: not of that form, not finite, or a layer named twice.
    """
    factors: dict[int, float] = {}
    for part in text.split(","):
        layer_text, _, factor_text = part.partition(":")
        try:
            layer, factor = int(layer_text), float(factor_text)
        except ValueError:
            raise ScheduleError(
                f"layer_weights has {part.strip()!r}: write layer:factor pairs such as 3:0.5, 6:1.0."
            ) from None
        if not math.isfinite(factor) or layer < 0:
            raise ScheduleError(f"layer_weights has {part.strip()!r}: layers count from 0 and factors are finite.")
        if layer in factors:
            raise ScheduleError(f"layer_weights names layer {layer} twice: leave one of them.")
        factors[layer] = factor
    return factors


def _by_layer(
    weight_type: str, layer_weights: str, blocks: Sequence[Block], weight: float, composition_weight: float
) -> dict[int, float]:
    layers = len(blocks)
    if layer_weights.strip():
        factors = parse_layer_weights(layer_weights)
        beyond = [layer for layer in factors if layer >= layers]
        if beyond:
            raise ScheduleError(f"layer_weights names layer {beyond[0]}: this model's layers are 0 to {layers - 1}.")
        return {layer: factor * weight for layer, factor in factors.items()}
    if weight_type in _FACTORS:
        factor = _FACTORS[weight_type]
        return {layer: weight * factor(layer, layers, block) for layer, block in enumerate(blocks)}
    composition = _known(weight_type, layers)
    style = dict.fromkeys(_STYLE[layers], weight)
    all_but_composition = {layer: weight for layer in range(layers) if layer not in composition}
    composed = {layer: weight * share for layer, share in composition.items()}
    if weight_type == "style transfer":
        return style
    if weight_type == "composition":
        return composed
    if weight_type == "strong style transfer":
        return all_but_composition
    if weight_type == "style and composition":
        return style | {layer: composition_weight * share for layer, share in composition.items()}
    if weight_type == "strong style and composition":
        return all_but_composition | dict.fromkeys(composition, weight)
    if weight_type == "style transfer precise":
        return style | composed
    faint = dict.fromkeys(range(layers), 0.1 * weight)
    return faint | style | composed


def _known(weight_type: str, layers: int) -> dict[int, float]:
    if layers not in _COMPOSITION:
        raise ScheduleError(
            f"{weight_type} is known for SDXL and Stable Diffusion 1.5 only; this model has {layers} transformers:"
            " use layer_weights."
        )
    return _COMPOSITION[layers]
