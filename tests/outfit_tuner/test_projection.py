"""Image tokens: against the papers' formulas in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from comfy_nodes.outfit_tuner.adapters import Kind
from comfy_nodes.outfit_tuner.projection import project
from tests.outfit_tuner import paper
from tests.outfit_tuner.devices import DEVICES

CROSS, DIM, HIDDEN_TOKENS = 24, 40, 7


def matrix(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(math.prod(shape) + len(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64) / math.sqrt(shape[-1])


def norm(name: str, dim: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + 0.3 * matrix(dim), f"{name}.bias": 0.2 * matrix(dim)}


def linear(name: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": matrix(rows, columns), f"{name}.bias": matrix(rows)}


def resampler(depth: int, dim: int, heads: int, queries: int) -> dict[str, torch.Tensor]:
    inner = 64 * heads
    weights = {"latents": matrix(1, queries, dim)} | linear("proj_in", dim, DIM) | linear("proj_out", CROSS, dim)
    weights |= norm("norm_out", CROSS)
    for block in range(depth):
        name = f"layers.{block}"
        weights |= norm(f"{name}.0.norm1", dim) | norm(f"{name}.0.norm2", dim) | norm(f"{name}.1.0", dim)
        weights |= {f"{name}.0.to_q.weight": matrix(inner, dim), f"{name}.0.to_kv.weight": matrix(2 * inner, dim)}
        weights |= {f"{name}.0.to_out.weight": matrix(dim, inner)}
        weights |= {f"{name}.1.1.weight": matrix(3 * dim, dim), f"{name}.1.3.weight": matrix(dim, 3 * dim)}
    return weights


PLAIN = linear("proj", 4 * CROSS, DIM) | norm("norm", CROSS)
FULL = linear("proj.0", DIM, DIM) | linear("proj.2", CROSS, DIM) | norm("proj.3", CROSS)
PLUS = resampler(depth=3, dim=32, heads=2, queries=5)

CASES: dict[
    str, tuple[Kind, dict[str, torch.Tensor], tuple[int, ...], Callable[[paper.Weights, paper.Array], paper.Array]]
] = {
    "plain": ("plain", PLAIN, (DIM,), lambda weights, seen: paper.project_plain(weights, seen, CROSS)),
    "full": ("full", FULL, (HIDDEN_TOKENS, DIM), paper.project_full),
    "plus": ("plus", PLUS, (HIDDEN_TOKENS, DIM), lambda weights, seen: paper.resample(weights, seen, depth=3)),
}
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_tokens_are_those_of_the_paper(name: str, device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Computed in float64 or float32 from weights of any precision, as the pack does."""
    kind, weights, shape, expected = CASES[name]
    stored = {key: weight.to(dtype) for key, weight in weights.items()}
    working = torch.float64 if dtype == torch.float64 else torch.float32
    seen = matrix(3, *shape).to(device, working)
    tokens = project(kind, stored, seen, CROSS)
    exact = {key: weight.numpy() for key, weight in weights.items()}
    wanted = np.stack([expected(exact, one) for one in matrix(3, *shape).numpy()])
    assert tokens.dtype == working
    assert tokens.shape == wanted.shape
    assert np.abs(tokens.double().cpu().numpy() - wanted).max() / np.abs(wanted).max() < tolerance


def test_references_do_not_see_each_other() -> None:
    seen = matrix(3, HIDDEN_TOKENS, DIM)
    together = project("plus", PLUS, seen, CROSS)
    assert torch.allclose(together[1:2], project("plus", PLUS, seen[1:2], CROSS), atol=1e-12)
