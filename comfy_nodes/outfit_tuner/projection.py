"""From what the image encoder saw to image tokens: the projection that an IP-Adapter file carries.

Plain and full: Ye et al. 2023 (IP-Adapter, arXiv:2308.06721), section 3.2. Plus: a Perceiver resampler as in Alayrac et
al. 2022 (Flamingo, arXiv:2204.14198), section 3.1. The weights are used as they lie in the file's mapping; nothing is
built, initialised or copied.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from .adapters import Kind
from .adapters.layout import HEAD_DIM

__all__ = ["project"]

Weights = Mapping[str, torch.Tensor]


def project(kind: Kind, weights: Weights, embeds: torch.Tensor, cross_dim: int) -> torch.Tensor:
    """Image tokens `[references, tokens, cross_dim]`, in the dtype and on the device of `embeds`.

    `embeds`: `[references, dim]` pooled embeddings for `plain`, `[references, hidden tokens, dim]` otherwise.
    `weights`: the file's `image_proj.*` without the prefix, of any floating dtype.
    """
    if kind == "plain":
        tokens = _linear(weights, "proj", embeds).reshape(embeds.shape[0], -1, cross_dim)
        return _norm(weights, "norm", tokens)
    if kind == "full":
        hidden = F.gelu(_linear(weights, "proj.0", embeds))
        return _norm(weights, "proj.3", _linear(weights, "proj.2", hidden))
    return _resample(weights, embeds)


def _resample(weights: Weights, embeds: torch.Tensor) -> torch.Tensor:
    """Learned latents read the picture: in each block they attend to it and to themselves, then pass a feed-forward."""
    seen = _linear(weights, "proj_in", embeds)
    latents = weights["latents"].to(embeds).expand(embeds.shape[0], -1, -1)
    block = 0
    while f"layers.{block}.0.to_q.weight" in weights:
        latents = latents + _perceive(weights, f"layers.{block}.0", seen, latents)
        inner = F.gelu(_linear(weights, f"layers.{block}.1.1", _norm(weights, f"layers.{block}.1.0", latents)))
        latents = latents + _linear(weights, f"layers.{block}.1.3", inner)
        block += 1
    return _norm(weights, "norm_out", _linear(weights, "proj_out", latents))


def _perceive(weights: Weights, name: str, seen: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    seen, latents = _norm(weights, f"{name}.norm1", seen), _norm(weights, f"{name}.norm2", latents)
    queries = _heads(_linear(weights, f"{name}.to_q", latents))
    keys, values = _linear(weights, f"{name}.to_kv", torch.cat((seen, latents), 1)).chunk(2, dim=-1)
    read = F.scaled_dot_product_attention(queries, _heads(keys), _heads(values))
    return _linear(weights, f"{name}.to_out", read.transpose(1, 2).flatten(2))


def _heads(rows: torch.Tensor) -> torch.Tensor:
    """`[batch, tokens, channels]` to `[batch, heads, tokens, HEAD_DIM]`."""
    return rows.unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)


def _linear(weights: Weights, name: str, rows: torch.Tensor) -> torch.Tensor:
    bias = weights.get(f"{name}.bias")
    return F.linear(rows, weights[f"{name}.weight"].to(rows), None if bias is None else bias.to(rows))


def _norm(weights: Weights, name: str, rows: torch.Tensor) -> torch.Tensor:
    weight, bias = weights[f"{name}.weight"].to(rows), weights[f"{name}.bias"].to(rows)
    return F.layer_norm(rows, rows.shape[-1:], weight, bias)
