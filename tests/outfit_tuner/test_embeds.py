"""Several references in one."""

from __future__ import annotations

import math

import pytest
import torch

from comfy_nodes.outfit_tuner.embeds import combine_embeds, weigh_embeds
from comfy_nodes.outfit_tuner.tuning import COMBINES, Combine

THREE = torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 2.0], [0.0, 0.0, 6.0]])
ROOT = math.sqrt(1 + 4 + 36)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("concat", THREE.tolist()),
        ("add", [[7.0, 0.0, 9.0]]),
        ("subtract", [[1.0, 0.0, -3.0]]),
        ("average", [[7 / 3, 0.0, 3.0]]),
        ("norm average", [[7 / 15, 0.0, 3 / ROOT]]),
    ],
)
def test_three_references(how: Combine, wanted: list[list[float]]) -> None:
    assert torch.allclose(combine_embeds(THREE, how), torch.tensor(wanted))


@pytest.mark.parametrize("how", COMBINES)
def test_one_reference_is_itself(how: Combine) -> None:
    assert torch.equal(combine_embeds(THREE[:1], how), THREE[:1])


def test_weights_are_one_for_each_reference() -> None:
    weighed = weigh_embeds(THREE[:, None, :].expand(-1, 5, -1), (0.0, 1.0, -2.0))
    assert torch.equal(weighed[2, 4], torch.tensor([0.0, 0.0, -12.0]))
    assert weigh_embeds(THREE, (1.0, 1.0, 1.0)) is THREE
    with pytest.raises(ValueError, match="3 references have 2 weights"):
        weigh_embeds(THREE, (1.0, 1.0))
