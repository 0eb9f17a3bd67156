"""Several references in one: their weights, and the five ways to combine what the encoder saw in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .tuning import Combine

__all__ = ["combine_embeds", "weigh_embeds"]


def weigh_embeds(embeds: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Each reference's embedding times its weight.

    `embeds`: `[references, dim]` or `[references, tokens, dim]`.

    Raises:
        ValueError: not one weight per reference.
    """
    if len(weights) != embeds.shape[0]:
        raise ValueError(f"{embeds.shape[0]} references have {len(weights)} weights.")
    if all(weight == 1.0 for weight in weights):
        return embeds
    factors = torch.tensor(weights, dtype=embeds.dtype, device=embeds.device)
    return embeds * factors.reshape(-1, *[1] * (embeds.dim() - 1))


def combine_embeds(embeds: torch.Tensor, how: Combine) -> torch.Tensor:
    """`[references, …]` to `[combined, …]`: as many as there were for `concat`, else one.

    `subtract` takes the mean of all others from the first. `norm average` divides every number by its root sum of
    squares *over the references* and averages those, as IPAdapter_plus does; where all references are 0 it is 0.
    """
    if embeds.shape[0] == 1 or how == "concat":
        return embeds
    if how == "add":
        return embeds.sum(0, keepdim=True)
    if how == "subtract":
        return embeds[:1] - embeds[1:].mean(0, keepdim=True)
    if how == "average":
        return embeds.mean(0, keepdim=True)
    return torch.nan_to_num(embeds / torch.linalg.vector_norm(embeds, dim=0, keepdim=True), nan=0.0).mean(
        0, keepdim=True
    )
