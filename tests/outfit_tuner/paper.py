"""The mathematics of IP-Adapter once more, from the papers, in float64 and plain numpy, sharing nothing with the pack.

Ye et al. 2023 (IP-Adapter, arXiv:2308.06721): image projection, section 3.2.1; decoupled cross-attention, equations 3
to 5. Alayrac et al. 2022 (Flamingo, arXiv:2204.14198): Perceiver resampler, section 3.1 and figure 5. Hendrycks and
Gimpel 2016 (arXiv:1606.08415): GELU. Ba et al. 2016 (arXiv:1607.06450): layer normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]


def layer_norm(x: Array, gain: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * gain + bias


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q: Array, k: Array, v: Array, heads: int) -> Array:
    """Multi-head attention of `[tokens, channels]`, head by head."""
    dim = q.shape[-1] // heads
    parts = [slice(head * dim, (head + 1) * dim) for head in range(heads)]
    return np.concatenate([softmax(q[:, p] @ k[:, p].T / math.sqrt(dim)) @ v[:, p] for p in parts], axis=-1)


def project_plain(weights: Weights, pooled: Array, cross_dim: int) -> Array:
    """One reference: `[dim]` to `[tokens, cross_dim]`."""
    tokens = (weights["proj.weight"] @ pooled + weights["proj.bias"]).reshape(-1, cross_dim)
    return layer_norm(tokens, weights["norm.weight"], weights["norm.bias"])


def project_full(weights: Weights, hidden: Array) -> Array:
    """One reference: `[tokens, dim]` to `[tokens, cross_dim]`."""
    inner = gelu(hidden @ weights["proj.0.weight"].T + weights["proj.0.bias"])
    tokens = inner @ weights["proj.2.weight"].T + weights["proj.2.bias"]
    return layer_norm(tokens, weights["proj.3.weight"], weights["proj.3.bias"])


def resample(weights: Weights, hidden: Array, depth: int, head_dim: int = 64) -> Array:
    """One reference: `[tokens, dim]` to `[queries, cross_dim]`."""
    x = hidden @ weights["proj_in.weight"].T + weights["proj_in.bias"]
    latents = weights["latents"][0]
    for block in range(depth):
        a, f = f"layers.{block}.0", f"layers.{block}.1"
        seen = layer_norm(x, weights[f"{a}.norm1.weight"], weights[f"{a}.norm1.bias"])
        asking = layer_norm(latents, weights[f"{a}.norm2.weight"], weights[f"{a}.norm2.bias"])
        q = asking @ weights[f"{a}.to_q.weight"].T
        both = np.concatenate([seen, asking]) @ weights[f"{a}.to_kv.weight"].T
        k, v = both[:, : q.shape[1]], both[:, q.shape[1] :]
        latents = latents + attention(q, k, v, q.shape[1] // head_dim) @ weights[f"{a}.to_out.weight"].T
        normed = layer_norm(latents, weights[f"{f}.0.weight"], weights[f"{f}.0.bias"])
        latents = latents + gelu(normed @ weights[f"{f}.1.weight"].T) @ weights[f"{f}.3.weight"].T
    tokens = latents @ weights["proj_out.weight"].T + weights["proj_out.bias"]
    return layer_norm(tokens, weights["norm_out.weight"], weights["norm_out.bias"])


def decoupled(
    q: Array,
    k: Array,
    v: Array,
    references: list[Array],
    to_k: Array,
    to_v: Array,
    heads: int,
    weight: float,
    scaling: str,
) -> Array:
    """One picture's layer: text attention plus that of the image tokens of each reference, weighted.

    The scalings are people's extension of the paper: the weight on the values, on keys and values, with a penalty for
    narrow layers, or on keys and the mean of each reference's values.
    """
    keys = np.concatenate([tokens @ to_k.T for tokens in references])
    values = [tokens @ to_v.T for tokens in references]
    if "C penalty" in scaling:
        weight = weight * q.shape[-1] / 1280
    if scaling == "V only":
        values = [weight * part for part in values]
    else:
        keys = weight * keys
        if scaling.startswith("K+V"):
            values = [weight * part for part in values]
        else:
            means = [part.mean(0, keepdims=True) for part in values]
            values = [part - mean + weight * mean for part, mean in zip(values, means, strict=True)]
    return attention(q, k, v, heads) + attention(q, keys, np.concatenate(values), heads)
