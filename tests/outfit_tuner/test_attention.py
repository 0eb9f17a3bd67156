"""Decoupled cross-attention: against the paper's equation in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from comfy_nodes.outfit_tuner.attention import NEGATIVE, NOTHING, POSITIVE, attend, rows_for, scale_key_values
from comfy_nodes.outfit_tuner.key_values import compute_key_values
from comfy_nodes.outfit_tuner.tuning import SCALINGS, Scaling
from tests.outfit_tuner import paper
from tests.outfit_tuner.devices import DEVICES

HEADS, WIDTH, CROSS, TOKENS, QUERIES = 3, 24, 20, 4, 11
CPU = torch.device("cpu")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 3e-6), (torch.bfloat16, 4e-2), (torch.float16, 5e-3)],
)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    "sides", [(NEGATIVE, POSITIVE), (POSITIVE,), (NEGATIVE, POSITIVE, POSITIVE), (POSITIVE, NEGATIVE, NEGATIVE)]
)
def test_a_layer_is_that_of_the_paper(
    sides: tuple[int, ...], scaling: Scaling, references: int, device: str, dtype: torch.dtype, tolerance: float
) -> None:
    """A batch of two pictures for each chunk."""
    weight, pictures = 0.6, 2
    positive, negative = numbers(references, TOKENS, CROSS), numbers(1, TOKENS, CROSS, seed=1)
    to_k, to_v = numbers(WIDTH, CROSS, seed=2) / 4, numbers(WIDTH, CROSS, seed=3) / 4
    q = numbers(len(sides) * pictures, QUERIES, WIDTH, seed=4)
    k, v = (numbers(len(sides) * pictures, 7, WIDTH, seed=seed) for seed in (5, 6))

    working = torch.float64 if dtype == torch.float64 else torch.float32
    matrices = [(to_k.to(dtype), to_v.to(dtype))]
    made = compute_key_values(
        negative.to(device, working), positive.to(device, working), matrices, [HEADS], dtype=dtype, store=CPU
    )
    asking = q.to(device, dtype)
    keys, values = (rows_for(stored, sides) for stored in made.layer(0, asking))
    keys, values, factor = scale_key_values(keys, values, weight, scaling, references)
    seen = factor * attend(asking, keys, values).double().cpu()

    for row in range(len(sides) * pictures):
        tokens = positive if sides[row // pictures] == POSITIVE else negative
        asked = (q[row].numpy(), k[row].numpy(), v[row].numpy())
        text = paper.attention(*asked, HEADS)
        seen_by = [one.numpy() for one in tokens]
        wanted = paper.decoupled(*asked, seen_by, to_k.numpy(), to_v.numpy(), HEADS, weight, scaling)
        assert np.abs(text + seen[row].numpy() - wanted).max() / np.abs(wanted).max() < tolerance


def test_the_usual_batches_are_views_of_what_is_stored() -> None:
    stored = numbers(2, HEADS, TOKENS, 8)
    assert rows_for(stored, (NEGATIVE, POSITIVE)) is stored
    assert rows_for(stored, (POSITIVE,)).data_ptr() == stored[1:].data_ptr()


def test_nothing_is_seen_of_nothing() -> None:
    rows = rows_for(numbers(2, HEADS, TOKENS, 8), (NOTHING, POSITIVE))
    assert not rows[0].any()
    seen = attend(numbers(2, QUERIES, WIDTH), rows, rows)
    assert not seen[0].any()
    assert seen[1].any()


def test_a_negative_weight_on_keys_turns_them_round() -> None:
    """It must not become a negative scale of the attention kernel, which some kernels compute wrongly."""
    keys, values = numbers(2, 1, HEADS, TOKENS, 8)
    scaled, _, factor = scale_key_values(keys, values, -0.5, "K+V", 1)
    assert torch.equal(scaled, keys * -0.5)
    assert factor == -0.5
