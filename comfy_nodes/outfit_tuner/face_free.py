"""A mask for an outfit that leaves faces out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["face_free_mask"]


def face_free_mask(faces: torch.Tensor, grow: float, feather: float) -> torch.Tensor:
    """1 where the outfit may be seen, 0 on faces and around them.

    `faces`: `[pictures, height, width]`, 1 where a face is. `grow`, `feather`: shares of the shorter side; a face grows
    by the first on all sides and is left out wholly, then the mask rises to 1 over the second.
    """
    side = min(faces.shape[-2:])
    reach = round(feather * side / 2)  # of a blur, inwards and outwards
    mask = faces.float().clamp(0, 1).unsqueeze(1)
    mask = _slide(mask, round(grow * side) + reach, F.max_pool2d)
    for radius in (reach // 2, reach - reach // 2):  # two even blurs together fall off in a straight line
        mask = _slide(mask, radius, _even_blur)
    return 1 - mask.squeeze(1)


def _slide(mask: torch.Tensor, radius: int, pool: Callable[..., Any]) -> torch.Tensor:
    """Rows, then columns: the same as a square window, at a fraction of the work."""
    if radius == 0:
        return mask
    size = 2 * radius + 1
    rows = pool(mask, (1, size), stride=1, padding=(0, radius))
    return pool(rows, (size, 1), stride=1, padding=(radius, 0))


def _even_blur(mask: torch.Tensor, size: tuple[int, int], stride: int, padding: tuple[int, int]) -> torch.Tensor:
    return F.avg_pool2d(mask, size, stride=stride, padding=padding, count_include_pad=False)
