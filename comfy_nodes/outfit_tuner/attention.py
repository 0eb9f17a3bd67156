"""Decoupled cross-attention: what a layer adds for the image tokens (Ye et al. 2023, arXiv:2308.06721, equation 5).

Every query attends to the text and, apart from it, to the reference; the second is added with a weight. A layer's
batch consists of chunks, one per conditioning, each of which sees its own image tokens. A chunk's pictures all see the
same ones, so they are folded into its queries: keys and values exist once per chunk, however large the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from .tuning import Scaling

__all__ = ["NEGATIVE", "NOTHING", "POSITIVE", "attend", "rows_for", "scale_key_values"]

NEGATIVE, POSITIVE, NOTHING = 0, 1, 2  # rows of stored keys and values; the last is all zeros and not stored
_PENALTY_WIDTH = 1280  # channels of the widest layers, for which the C penalty is 1


def rows_for(stored: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
    """One row per chunk: `stored` `[2, heads, tokens, head_dim]` to `[chunks, heads, tokens, head_dim]`.

    A view in the usual cases, (negative, positive) and one chunk.
    """
    if tuple(sides) == (NEGATIVE, POSITIVE):
        return stored
    rows = [torch.zeros_like(stored[:1]) if side == NOTHING else stored[side : side + 1] for side in sides]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def scale_key_values(
    keys: torch.Tensor, values: torch.Tensor, weight: float, scaling: Scaling, references: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Keys and values `[…, heads, tokens, head_dim]` as the scaling wants them, and the factor that stays to be
    applied to what they are read as.

    `references`: how many references the tokens are of, in order; the mean of values is taken of each. The C penalty
    holds layers of fewer than 1280 channels back in proportion.
    """
    if scaling == "V only":
        return keys, values, weight
    if scaling.endswith("C penalty"):
        weight = weight * (keys.shape[-3] * keys.shape[-1] / _PENALTY_WIDTH)
    if scaling.startswith("K+V"):
        return keys * weight, values, weight
    split = values.unflatten(-2, (references, -1))
    split = split + (weight - 1.0) * split.mean(-2, keepdim=True)
    return keys * weight, split.flatten(-3, -2), 1.0


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """What the queries read of the image tokens.

    `queries`: `[chunks × pictures, tokens, channels]`, chunk by chunk. `keys`, `values`: `[chunks, heads, image tokens,
    head_dim]`. Returns the shape of `queries`.
    """
    chunks, heads, _, head_dim = keys.shape
    folded = queries.reshape(chunks, -1, heads, head_dim).transpose(1, 2)
    return F.scaled_dot_product_attention(folded, keys, values).transpose(1, 2).reshape(queries.shape)
