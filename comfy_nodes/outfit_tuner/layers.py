"""The cross-attention layers of a UNet, found by looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .schedules import Block

__all__ = ["CrossAttention", "LayersError", "cross_attention_layers", "transformer_blocks"]


class LayersError(ValueError):
    """A model that an adapter cannot be used with; the message says why and what would do."""


@dataclass(frozen=True)
class CrossAttention:
    """One cross-attention layer.

    `key` is how ComfyUI names it to attention patches: the block, its number, and the layer's index in its
    transformer. `transformer` counts spatial transformers in the order they run. `width` is channels of all `heads`.
    """

    key: tuple[Block, int, int]
    transformer: int
    heads: int
    width: int
    context_dim: int


def cross_attention_layers(unet: Any) -> tuple[CrossAttention, ...]:
    """The layers in the order of adapter files: down blocks, up blocks, the middle block.

    `unet`: ComfyUI's `UNetModel`.

    Raises:
        LayersError: another kind of model.
    """
    if not hasattr(unet, "input_blocks") or not hasattr(unet, "output_blocks"):
        raise LayersError(
            f"This checkpoint is a {type(unet).__name__}: IP-Adapters of this kind need Stable Diffusion 1.5 or SDXL."
        )
    middle = getattr(unet, "middle_block", None)
    running: list[tuple[Block, int, Any]] = []
    running.extend(("input", number, block) for number, block in enumerate(unet.input_blocks))
    running.extend([("middle", 0, middle)] if middle is not None else [])
    running.extend(("output", number, block) for number, block in enumerate(unet.output_blocks))
    found: list[CrossAttention] = []
    transformer = 0
    for kind, number, block in running:
        for part in block:
            if not hasattr(part, "transformer_blocks"):
                continue
            for index, inner in enumerate(part.transformer_blocks):
                attention = inner.attn2
                if attention is None or inner.switch_temporal_ca_to_sa or hasattr(part, "time_stack"):
                    raise LayersError("Video models are not supported: use a Stable Diffusion 1.5 or SDXL checkpoint.")
                width = attention.heads * attention.dim_head
                key = (kind, number, index)
                found.append(CrossAttention(key, transformer, attention.heads, width, attention.to_k.in_features))
            transformer += 1
    if not found:
        raise LayersError("This model has no cross-attention: use a Stable Diffusion 1.5 or SDXL checkpoint.")
    return tuple(sorted(found, key=lambda layer: layer.key[0] == "middle"))


def transformer_blocks(layers: tuple[CrossAttention, ...]) -> tuple[Block, ...]:
    """The block each spatial transformer lies in, in the order they run."""
    by_transformer: dict[int, Block] = {layer.transformer: layer.key[0] for layer in layers}
    return tuple(by_transformer[transformer] for transformer in sorted(by_transformer))
