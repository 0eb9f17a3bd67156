"""What travels along the pack's own links, and the names of those links in the editor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from .adapters import Adapter

__all__ = ["FEATURES", "OUTFIT_MODELS", "REFERENCE", "TUNING", "OutfitModels", "Reference", "ReferenceFeatures"]

OUTFIT_MODELS = "VESTIGE_OUTFIT_MODELS"
REFERENCE = "VESTIGE_REFERENCE"
FEATURES = "VESTIGE_FEATURES"
TUNING = "VESTIGE_TUNING"  # carries a `tuning.Tuning`


@dataclass(frozen=True, eq=False)
class OutfitModels:
    """An IP-Adapter and the image encoder it was trained with, checked against each other.

    `encoder` is ComfyUI's CLIP-vision model; the hashes are the sha256 of the files.
    """

    adapter: Adapter
    encoder: Any
    encoder_sha256: str


@dataclass(frozen=True, eq=False)
class Reference:
    """A picture of an item, fitted to a square that the encoder sees whole.

    `image`: `[1, side, side, 3]`, 0 to 1. `mask`: `[1, side, side]`, 1 where the item is, or None. `sha256` is of the
    original picture's bytes; `fitting` names how it was made square and masked, so that `(sha256, fitting)` decides
    the pixels.
    """

    image: torch.Tensor
    mask: torch.Tensor | None
    sha256: str
    fitting: str


@dataclass(frozen=True, eq=False)
class ReferenceFeatures:
    """What the encoder saw in one or several references, in order.

    `pooled`: `[references, dim]` (CLIP's projected image embedding). `hidden`: `[references, tokens, dim]`, the
    penultimate layer. `blank_hidden_image`: `hidden` of a black picture, `[1, tokens, dim]`, and
    `blank_hidden_pixels`: of pixel values that are all zero, `[1, tokens, dim]`, for the two behaviours' unconditional
    sides. `weights`: one per reference. `key` identifies all of it by content.
    """

    pooled: torch.Tensor
    hidden: torch.Tensor
    blank_hidden_image: torch.Tensor
    blank_hidden_pixels: torch.Tensor
    weights: tuple[float, ...]
    key: str
