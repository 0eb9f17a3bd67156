"""Where in the picture the reference is seen: a mask, brought to the grid of tokens of each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from .tuning import Behaviour

__all__ = ["AttentionMask", "Crop", "MaskError"]

_MAX_GRIDS = 64  # kept per mask: layers have few sizes; a latent of another size brings others


class MaskError(ValueError):
    """A mask that cannot be used; the message says why and what would do."""


@dataclass(frozen=True)
class Crop:
    """The part of the latent that a chunk of the batch shows, in latent pixels; `full` is the whole's height, width."""

    top: int
    left: int
    full: tuple[int, int]


@dataclass(frozen=True, eq=False)
class AttentionMask:
    """A mask for the pictures of a batch.

    `mask`: `[1 or pictures, height, width]`, 1 where the reference is seen. One mask serves all pictures; of several,
    each picture has its own and the last one serves the rest.

    `ipadapter_plus` spreads the whole mask over what a layer sees, an area conditioning's crop included, bilinearly and
    on a grid guessed from the number of tokens. `reference` takes the true grid, the crop's own part of the mask, and
    diffusers' bicubic interpolation.
    """

    mask: torch.Tensor
    behaviour: Behaviour
    _grids: dict[tuple[object, ...], torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `MaskError`."""
        if self.mask.dim() != 3 or 0 in self.mask.shape:
            raise MaskError(f"The mask has the shape {list(self.mask.shape)}: it must be [masks, height, width].")
        if not bool(torch.isfinite(self.mask).all()):
            raise MaskError("The mask holds values that are not finite: paint or load it again.")

    def rows(
        self,
        like: torch.Tensor,
        *,
        latent: tuple[int, int],
        grid: tuple[int, int],
        chunks: int,
        crops: Sequence[Crop | None],
    ) -> torch.Tensor:
        """The mask for a layer's batch: `[1 or chunks × pictures, tokens, 1]` in the dtype and on the device of `like`.

        `like`: the layer's queries, `[chunks × pictures, tokens, channels]`. `latent`: height and width of the latent
        that the UNet was given. `grid`: height and width of the layer's tokens. `crops`: of each chunk, None for all.
        """
        crops = tuple(crops) if self.behaviour == "reference" else ()
        key = (like.shape[:2], latent, grid, chunks, crops, like.device, like.dtype)
        found = self._grids.get(key)
        if found is None:
            if len(self._grids) >= _MAX_GRIDS:
                self._grids.clear()
            pictures = like.shape[0] // chunks
            found = self._make(latent, grid, like.shape[1], chunks, pictures, crops).to(like)
            self._grids[key] = found
        return found

    def _make(
        self,
        latent: tuple[int, int],
        grid: tuple[int, int],
        tokens: int,
        chunks: int,
        pictures: int,
        crops: tuple[Crop | None, ...],
    ) -> torch.Tensor:
        mask = self.mask.float()
        if self.behaviour == "ipadapter_plus":
            parts = [_guessed_grid(mask, latent, tokens)]
        else:
            parts = [_true_grid(mask, latent, grid, crop) for crop in dict.fromkeys(crops)]
            if len(parts) > 1:
                by_crop = dict(zip(dict.fromkeys(crops), parts, strict=True))
                parts = [by_crop[crop] for crop in crops]
        if len(parts) == 1 and parts[0].shape[0] == 1:
            return parts[0].unsqueeze(-1)
        if len(parts) == 1:
            parts = parts * chunks
        return torch.cat([_for_pictures(part, pictures) for part in parts]).unsqueeze(-1)


def _for_pictures(mask: torch.Tensor, pictures: int) -> torch.Tensor:
    missing = pictures - mask.shape[0]
    return torch.cat((mask, mask[-1:].expand(missing, -1))) if missing > 0 else mask[:pictures]


def _guessed_grid(mask: torch.Tensor, latent: tuple[int, int], tokens: int) -> torch.Tensor:
    """`[masks, tokens]`, rows cut off or zeros added evenly at both ends where the guess does not come out even."""
    height = int(latent[0] / math.sqrt(latent[0] * latent[1] / tokens))
    height += tokens % height != 0
    width = tokens // height
    flat = F.interpolate(mask.unsqueeze(1), size=(height, width), mode="bilinear").flatten(1)
    excess = flat.shape[1] - tokens
    if excess > 0:
        return flat[:, excess // 2 : excess // 2 + tokens]
    return F.pad(flat, (-excess // 2, -excess - -excess // 2))


def _true_grid(mask: torch.Tensor, latent: tuple[int, int], grid: tuple[int, int], crop: Crop | None) -> torch.Tensor:
    """`[masks, tokens]` of the crop's part of the mask."""
    top, left, size = 0, 0, grid
    if crop is not None:
        scale = (grid[0] / latent[0], grid[1] / latent[1])
        size = (max(grid[0], round(crop.full[0] * scale[0])), max(grid[1], round(crop.full[1] * scale[1])))
        top = min(round(crop.top * scale[0]), size[0] - grid[0])
        left = min(round(crop.left * scale[1]), size[1] - grid[1])
    whole = F.interpolate(mask.unsqueeze(1), size=size, mode="bicubic").squeeze(1)
    return whole[:, top : top + grid[0], left : left + grid[1]].flatten(1)
