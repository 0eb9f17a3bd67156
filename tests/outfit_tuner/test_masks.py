"""Where the reference is seen: masks on the grids of layers."""

from __future__ import annotations

import pytest
import torch

from comfy_nodes.outfit_tuner.masks import AttentionMask, Crop, MaskError
from comfy_nodes.outfit_tuner.tuning import BEHAVIOURS, Behaviour


def left_half(height: int = 32, width: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, :, : width // 2] = 1
    return mask


def rows(
    mask: AttentionMask,
    grid: tuple[int, int],
    *,
    latent: tuple[int, int] | None = None,
    chunks: int = 2,
    pictures: int = 1,
    crops: tuple[Crop | None, ...] | None = None,
) -> torch.Tensor:
    like = torch.zeros(chunks * pictures, grid[0] * grid[1], 8)
    latent = latent or (grid[0] * 2, grid[1] * 2)
    crops = crops if crops is not None else (None,) * chunks
    return mask.rows(like, latent=latent, grid=grid, chunks=chunks, crops=crops)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("grid", [(8, 16), (4, 8), (16, 32)])
def test_one_mask_serves_the_whole_batch(behaviour: Behaviour, grid: tuple[int, int]) -> None:
    found = rows(AttentionMask(left_half(), behaviour), grid, pictures=3)
    assert found.shape == (1, grid[0] * grid[1], 1)
    fitted = found.reshape(grid)
    assert (fitted[:, : grid[1] // 2 - 1] - 1).abs().max() < 0.1
    assert fitted[:, grid[1] // 2 + 1 :].abs().max() < 0.1


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_of_several_masks_each_picture_has_its_own_and_the_last_serves_the_rest(behaviour: Behaviour) -> None:
    masks = torch.stack([torch.full((4, 4), share) for share in (0.0, 0.5, 1.0)])
    for pictures, wanted in ((2, [0.0, 0.5]), (5, [0.0, 0.5, 1.0, 1.0, 1.0])):
        found = rows(AttentionMask(masks, behaviour), (4, 4), chunks=2, pictures=pictures)
        assert torch.allclose(found[:, 0, 0], torch.tensor(wanted * 2))


@pytest.mark.parametrize("latent", [(17, 23), (8, 64), (72, 8), (25, 16), (9, 9)])
@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_latent_shape_has_a_row_for_each_token(
    behaviour: Behaviour, halvings: int, latent: tuple[int, int]
) -> None:
    grid = latent
    for _ in range(halvings):
        grid = (-(-grid[0] // 2), -(-grid[1] // 2))
    found = rows(AttentionMask(torch.ones(1, 40, 56), behaviour), grid, latent=latent)
    assert found.shape == (1, grid[0] * grid[1], 1)
    if behaviour == "reference":
        assert torch.allclose(found, torch.ones_like(found))


def test_a_crop_sees_its_own_part_of_the_mask() -> None:
    """The latent is 16 × 32; two chunks show its left and its right half, 16 × 16, at half the resolution."""
    full = (16, 32)
    mask = AttentionMask(left_half(), "reference")
    found = rows(mask, (8, 8), latent=(16, 16), crops=(Crop(0, 0, full), Crop(0, 16, full)))
    assert torch.allclose(found[0, :, 0].reshape(8, 8)[:, :7], torch.ones(8, 7), atol=0.1)
    assert torch.allclose(found[1, :, 0].reshape(8, 8)[:, 1:], torch.zeros(8, 7), atol=0.1)


def test_ipadapter_plus_squeezes_the_whole_mask_into_a_crop() -> None:
    mask = AttentionMask(left_half(), "ipadapter_plus")
    crop = Crop(0, 16, (16, 32))
    squeezed = rows(mask, (8, 8), latent=(16, 16), crops=(crop, crop))
    assert torch.equal(squeezed, rows(mask, (8, 8), latent=(16, 16)))


def test_a_crop_at_the_edge_of_an_odd_latent_stays_inside() -> None:
    mask = AttentionMask(torch.ones(1, 7, 7), "reference")
    found = rows(mask, (3, 3), latent=(5, 5), crops=(Crop(12, 12, (17, 17)), None))
    assert found.shape == (2, 9, 1)


def test_the_work_is_done_once_for_a_shape() -> None:
    mask = AttentionMask(left_half(), "reference")
    assert rows(mask, (8, 8)) is rows(mask, (8, 8))
    for side in range(1, 200):
        rows(mask, (side, 1))
    assert len(mask._grids) <= 64


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(4, 4), r"shape \[4, 4\]: it must be"),
        (torch.ones(0, 4, 4), r"shape \[0, 4, 4\]: it must be"),
        (torch.full((1, 4, 4), float("nan")), "not finite"),
    ],
)
def test_what_is_no_mask_is_refused(mask: torch.Tensor, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        AttentionMask(mask, "reference")
